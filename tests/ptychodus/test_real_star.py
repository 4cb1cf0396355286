"""The real Siemens star goes in as Ptychodus files, and comes out as from the plain command line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ptychonyx.runtime import load_object, load_scan
from ptychonyx.runtime.stitching.patches import canvas_for

from .conftest import MODEL, Environment, standard_folder

pytestmark = [pytest.mark.slow, pytest.mark.integration, pytest.mark.timeout(1800)]

MAX_DIFFERENCE = 1e-5
GEOMETRY = {"pixel_size_m": 2e-8, "photon_energy_eV": 8000.0, "detector_distance_m": 2.0}
"""For what the file does not say; it only names the axes."""


def test_the_star_is_the_same_in_ptychodus(
    environment: Environment, star: Path, tmp_path: Path
) -> None:
    scan = load_scan(star / "siemens64.npz", quantity="counts")
    canvas = canvas_for(scan)
    y, x = canvas.corner_px
    missing: dict[str, Any] = {
        name: value for name, value in GEOMETRY.items() if getattr(scan, name) is None
    }
    placed = replace(
        scan,
        object_=np.ones(canvas.shape, np.complex64),
        object_corner_px=(float(y), float(x)),
        **missing,
    )
    folder = standard_folder(placed, tmp_path / "input")
    result = environment.drive("infer", folder, tmp_path / "a.h5")
    assert result["failure"] is None
    words = ("reconstruct", star / "siemens64.npz", "--quantity", "counts", "-m", MODEL)
    environment.call("ptychonyx", *words, "-o", tmp_path / "plain.h5")
    inside = load_object(tmp_path / "a.h5").object_
    plain = load_object(tmp_path / "plain.h5")
    assert plain.corner_px == canvas.corner_px
    assert inside.shape == plain.object_.shape
    assert (plain.object_ != 0).mean() > 0.3
    assert np.abs(inside - plain.object_).max() <= MAX_DIFFERENCE
