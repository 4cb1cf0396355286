"""Every release of Ptychodus opens our CXI, and we open what those that write it make of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ptychonyx.runtime import load_product, load_scan, save_scan
from ptychonyx.runtime.scan import Scan

from .conftest import make_environment
from .test_old_releases import RELEASES

pytestmark = [pytest.mark.slow, pytest.mark.integration, pytest.mark.timeout(1800)]
WRITERS = ("1.6.0", "1.7.0")
"""Releases that read whole products as CXI, and write them."""


@pytest.fixture
def scan(truth: Scan) -> Scan:
    return replace(truth, bad_pixels=np.eye(truth.window_px, dtype=bool))


def read_there(release: str, scan: Scan, folder: Path) -> Mapping[str, Any]:
    """Let a release read our file, and return what it saw; what it wrote is in `theirs`."""
    save_scan(scan, folder / "ours.cxi")
    environment = make_environment(release, folder, *RELEASES[release])
    (folder / "theirs").mkdir()
    script = Path(__file__).with_name("drive_cxi.py")
    environment.call("python", script, folder / "ours.cxi", folder / "theirs")
    with np.load(folder / "theirs" / "seen.npz", allow_pickle=False) as seen:
        return dict(seen)


@pytest.mark.parametrize("release", RELEASES)
def test_patterns_positions_and_probe_are_read(release: str, scan: Scan, tmp_path: Path) -> None:
    seen = read_there(release, scan, tmp_path)
    assert scan.frame is not None
    assert scan.probe is not None
    np.testing.assert_array_equal(seen["patterns"], scan.patterns[0 : scan.num_patterns])
    assert float(seen["energy_eV"]) == pytest.approx(scan.photon_energy_eV)
    assert float(seen["distance_m"]) == pytest.approx(scan.detector_distance_m)
    middle_px = scan.corners_px + scan.window_px / 2 - np.array(scan.frame.canvas_shape) / 2
    expected = middle_px * scan.frame.pixel_size_m + scan.frame.center_m
    np.testing.assert_allclose(seen["positions_m"], expected, rtol=0, atol=1e-14)
    np.testing.assert_array_equal(seen["probe"].reshape(scan.probe.shape), scan.probe)


@pytest.mark.parametrize("release", WRITERS)
def test_a_scan_there_and_back(release: str, scan: Scan, tmp_path: Path) -> None:
    seen = read_there(release, scan, tmp_path)
    assert scan.frame is not None
    assert scan.object_ is not None
    np.testing.assert_array_equal(seen["bad_pixels"], scan.bad_pixels)
    assert float(seen["product_energy_eV"]) == pytest.approx(scan.photon_energy_eV)
    assert float(seen["product_distance_m"]) == pytest.approx(scan.detector_distance_m)
    np.testing.assert_array_equal(seen["object"].reshape(scan.object_.shape), scan.object_)
    np.testing.assert_allclose(seen["center_m"], scan.frame.center_m, rtol=1e-12)
    np.testing.assert_allclose(seen["pixel_m"], scan.frame.pixel_size_m, rtol=1e-12)
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
