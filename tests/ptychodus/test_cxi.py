"""Ptychodus 1.7 opens our CXI, and we open what it makes of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ptychonyx.runtime import load_product, load_scan, save_scan
from ptychonyx.runtime.scan import Scan

from .conftest import RUNTIME, make_environment

pytestmark = [pytest.mark.slow, pytest.mark.integration, pytest.mark.timeout(1800)]


def test_a_scan_there_and_back(truth: Scan, tmp_path: Path) -> None:
    side = truth.window_px
    scan = replace(truth, bad_pixels=np.eye(side, dtype=bool))
    save_scan(scan, tmp_path / "ours.cxi")
    environment = make_environment("1.7.0", tmp_path, *RUNTIME, "PyQt5")
    (tmp_path / "theirs").mkdir()
    script = Path(__file__).with_name("drive_cxi.py")
    environment.call("python", script, tmp_path / "ours.cxi", tmp_path / "theirs")
    with np.load(tmp_path / "theirs" / "seen.npz", allow_pickle=False) as seen:
        np.testing.assert_array_equal(seen["patterns"], scan.patterns[0 : scan.num_patterns])
        np.testing.assert_array_equal(seen["bad_pixels"], scan.bad_pixels)
        assert seen["energies"].tolist() == pytest.approx([scan.photon_energy_eV] * 2)
        assert seen["distances"].tolist() == pytest.approx([scan.detector_distance_m] * 2)
        corners_px = np.stack([seen["y_px"], seen["x_px"]], axis=1) - (side - 1) / 2
        np.testing.assert_allclose(corners_px, scan.corners_px, atol=1e-6)
        assert scan.object_ is not None
        assert scan.probe is not None
        np.testing.assert_array_equal(seen["object"].reshape(scan.object_.shape), scan.object_)
        np.testing.assert_array_equal(seen["probe"].reshape(scan.probe.shape), scan.probe)
    for name in ("diffraction.cxi", "product.cxi"):
        back = load_scan(tmp_path / "theirs" / name)
        np.testing.assert_array_equal(back.patterns[:], scan.patterns[0 : scan.num_patterns])
        np.testing.assert_allclose(back.corners_px, scan.corners_px, atol=1e-9)
        np.testing.assert_array_equal(back.object_, scan.object_)
        np.testing.assert_array_equal(back.probe, scan.probe)
        np.testing.assert_array_equal(back.bad_pixels, scan.bad_pixels)
        assert back.pixel_size_m == pytest.approx(scan.pixel_size_m)
    product = load_product(tmp_path / "theirs" / "product.cxi")
    np.testing.assert_allclose(product.corners_px, scan.corners_px, atol=1e-9)
