"""Products of ours open in every release of Ptychodus from 1.2 on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ptychonyx.runtime import Product, save_product
from ptychonyx.runtime.scan import Scan

from .conftest import RUNTIME, make_environment

pytestmark = [pytest.mark.slow, pytest.mark.integration, pytest.mark.timeout(1800)]

RELEASES = {
    "1.2": ("onnxruntime", "typer", "rich", "pyyaml"),
    "1.3.2": ("onnxruntime", "typer", "rich", "pyyaml"),
    "1.5.1": ("onnxruntime", "typer", "rich", "pyyaml"),
    "1.6.0": (*RUNTIME, "PyQt5"),
    "1.7.0": (*RUNTIME, "PyQt5"),
}
"""Release -> what its environment holds besides, the same as in the other tests."""


def product_of(scan: Scan) -> Product:
    assert scan.object_ is not None
    assert scan.probe is not None
    assert scan.position_indexes is not None
    return Product(
        object_=scan.object_,
        object_corner_px=(0, 0),
        corners_px=scan.corners_px,
        position_indexes=scan.position_indexes,
        window_px=scan.window_px,
        probe=scan.probe,
        coverage=np.ones(scan.object_.shape, np.int32),
        disagreement=np.zeros(scan.object_.shape, np.float32),
        pixel_size_m=scan.pixel_size_m,
        photon_energy_eV=scan.photon_energy_eV,
        detector_distance_m=scan.detector_distance_m,
        frame=scan.frame,
        name="made by Ptychonyx",
    )


@pytest.mark.parametrize("release", RELEASES)
def test_a_product_opens(release: str, truth: Scan, tmp_path: Path) -> None:
    environment = make_environment(release, tmp_path, *RELEASES[release])
    assert truth.probe is not None
    assert truth.object_ is not None
    product = replace(product_of(truth), probe=truth.probe)
    paths = [tmp_path / "product.h5", tmp_path / "other.npz"]
    for path in paths:
        save_product(product, path)
    script = Path(__file__).with_name("drive_reader.py")
    output = environment.call("python", script, *paths)
    (line,) = (each for each in output.splitlines() if each.startswith("RESULT "))
    assert truth.frame is not None
    for path in paths:
        seen = json.loads(line.removeprefix("RESULT "))[path.name]
        assert seen["name"] == "made by Ptychonyx"
        assert seen["energy_eV"] == pytest.approx(truth.photon_energy_eV)
        assert tuple(seen["shape"]) == truth.frame.canvas_shape
        assert seen["center_m"] == pytest.approx(truth.frame.center_m)
        assert seen["pixel_m"] == pytest.approx(truth.frame.pixel_size_m)
        with np.load(path.with_suffix(".arrays.npz"), allow_pickle=False) as arrays:
            np.testing.assert_array_equal(
                arrays["object"].reshape(truth.object_.shape), truth.object_
            )
            np.testing.assert_array_equal(arrays["indexes"], truth.position_indexes)
            np.testing.assert_array_equal(arrays["probe"].reshape(truth.probe.shape), truth.probe)
            pixels = arrays["positions_m"] - np.array(truth.frame.center_m)
            pixels = pixels / np.array(truth.frame.pixel_size_m)
            corners_px = pixels + np.array(truth.frame.canvas_shape) / 2 - truth.window_px / 2
            np.testing.assert_allclose(corners_px, truth.corners_px, atol=1e-6)
