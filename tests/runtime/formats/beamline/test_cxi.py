"""CXI, read by its published names, and written so that it comes back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from beamline_files import DETECTOR_PIXEL_M, assert_is, experiment_of, star_experiment, write_cxi

from ptychonyx.runtime import load_object, load_probe, load_scan, save_scan
from ptychonyx.runtime.errors import ScanError
from ptychonyx.runtime.formats.beamline.cxi_writing import write_product
from ptychonyx.runtime.product import Product
from ptychonyx.runtime.scan import Scan


def test_the_star_as_cxi(star: Path, tmp_path: Path) -> None:
    made = star_experiment(star)
    write_cxi(tmp_path / "scan.anything", made)
    scan = load_scan(tmp_path / "scan.anything")
    assert_is(scan, made)
    np.testing.assert_array_equal(scan.probe, made.probe)
    assert scan.bad_pixels is not None
    assert np.argwhere(scan.bad_pixels).tolist() == [[0, 1]]


def test_round_trip(small_scan: Scan, tmp_path: Path) -> None:
    scan = replace(small_scan, bad_pixels=np.eye(32, dtype=bool))
    save_scan(scan, tmp_path / "scan.cxi")
    read = load_scan(tmp_path / "scan.cxi")
    np.testing.assert_array_equal(read.patterns[:], np.asarray(scan.patterns[0:40]))
    np.testing.assert_allclose(read.corners_px, scan.corners_px, atol=1e-9)
    for name in ("probe", "object_", "bad_pixels", "frame", "name"):
        np.testing.assert_array_equal(getattr(read, name), getattr(scan, name))
    for name in ("pixel_size_m", "photon_energy_eV", "detector_distance_m"):
        assert getattr(read, name) == pytest.approx(getattr(scan, name), rel=1e-14)
    np.testing.assert_array_equal(load_object(tmp_path / "scan.cxi").object_, scan.object_)
    np.testing.assert_array_equal(load_probe(tmp_path / "scan.cxi"), scan.probe)


def test_halves_apart_are_one_scan(small_scan: Scan, tmp_path: Path) -> None:
    made = experiment_of(small_scan)
    for name in ("diffraction.cxi", "product.cxi"):
        write_cxi(tmp_path / name, made)
    with h5py.File(tmp_path / "diffraction.cxi", "r+") as file:
        del file["entry_1/data_1/translation"], file["entry_1/sample_1"]
    with h5py.File(tmp_path / "product.cxi", "r+") as file:
        del file["entry_1/data_1/data"], file["entry_1/instrument_1/detector_1/data"]
    for name in ("diffraction.cxi", "product.cxi"):
        assert_is(load_scan(tmp_path / name), made)
    (tmp_path / "diffraction.cxi").rename(tmp_path / "other.cxi")
    with pytest.raises(ScanError, match=r"kind CXI, but holds no patterns.*`--patterns`"):
        load_scan(tmp_path / "product.cxi")
    assert_is(load_scan(tmp_path / "product.cxi", patterns_path=tmp_path / "other.cxi"), made)
    with pytest.raises(
        ScanError, match=r"with 40 images of 32×32, uint\d+, but holds no positions"
    ):
        load_scan(tmp_path / "other.cxi")


@pytest.mark.parametrize("crop", [None, 24])
def test_images_that_are_not_square_are_cropped_around_the_beam(
    crop: int | None, small_scan: Scan, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = experiment_of(small_scan)
    images = np.zeros((40, 40, 50), made.patterns.dtype)
    images[:, 4:36, 10:42] = made.patterns  # the beam is at (20, 26)
    write_cxi(tmp_path / "wide.cxi", replace(made, patterns=images))
    with h5py.File(tmp_path / "wide.cxi", "r+") as file:
        detector = file["entry_1/instrument_1/detector_1"]
        del detector["mask"], detector["corner_position"]
        corner = np.array([26.5, 20.5, 0]) * -DETECTOR_PIXEL_M
        detector["corner_position"] = corner
    scan = load_scan(tmp_path / "wide.cxi", crop_px=crop)
    assert "cropped to" in caplog.text
    assert "as the file says" in caplog.text
    start = (32 - scan.window_px) // 2
    stop = 32 - start
    if crop is None:
        assert scan.window_px == 40
        np.testing.assert_array_equal(scan.patterns[:][:, 4:36, 4:36], made.patterns)
    else:
        assert scan.window_px == crop
        np.testing.assert_array_equal(scan.patterns[:], made.patterns[:, start:stop, start:stop])
    assert scan.pixel_size_m == pytest.approx(made.pixel_m * 32 / scan.window_px)


def test_an_energy_that_no_photon_has_is_not_taken(small_scan: Scan, tmp_path: Path) -> None:
    write_cxi(tmp_path / "scan.cxi", experiment_of(small_scan))
    with h5py.File(tmp_path / "scan.cxi", "r+") as file:
        file["entry_1/instrument_1/source_1/energy"][()] = 8800.0
    with pytest.raises(ScanError, match=r"photon energy are missing.*in a map \(`--map`\)"):
        load_scan(tmp_path / "scan.cxi")


def test_a_product_as_cxi(small_scan: Scan, tmp_path: Path) -> None:
    assert small_scan.object_ is not None
    assert small_scan.probe is not None
    product = Product(
        small_scan.object_[4:, 6:],
        (4, 6),
        small_scan.corners_px,
        np.arange(40),
        32,
        small_scan.probe,
        pixel_size_m=small_scan.pixel_size_m,
        photon_energy_eV=small_scan.photon_energy_eV,
        detector_distance_m=small_scan.detector_distance_m,
        frame=small_scan.frame,
    )
    write_product(product, tmp_path / "product.cxi")
    save_scan(small_scan, tmp_path / "diffraction.cxi")
    scan = load_scan(tmp_path / "product.cxi", patterns_path=tmp_path / "diffraction.cxi")
    np.testing.assert_allclose(scan.corners_px, small_scan.corners_px - [4, 6], atol=1e-9)
    np.testing.assert_array_equal(scan.object_, product.object_)
    with pytest.raises(ValueError, match="does not know its pixel size, which CXI needs"):
        write_product(replace(product, pixel_size_m=None), tmp_path / "other.cxi")
