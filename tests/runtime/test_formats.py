"""Every format gives the same scan; corners are right whatever the convention."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import h5py
import numpy as np
import pytest

from ptychonyx.runtime import load_object, load_probe, load_scan, read_product, write_product
from ptychonyx.runtime.formats import write_ptychodus, write_ptychopinn_npz
from ptychonyx.runtime.product import NOMINAL_PIXEL_M, Product
from ptychonyx.runtime.scan import Scan


def test_npz_round_trip(small_scan: Scan, tmp_path: Path) -> None:
    write_ptychopinn_npz(small_scan, tmp_path / "scan.npz")
    read = load_scan(tmp_path / "scan.npz", quantity="counts")
    np.testing.assert_array_equal(read.patterns[3:7], small_scan.patterns[3:7])
    np.testing.assert_allclose(read.corners_px, small_scan.corners_px, atol=1e-9)
    np.testing.assert_array_equal(read.probe, small_scan.probe)
    np.testing.assert_array_equal(read.object_, small_scan.object_)
    assert read.photon_energy_eV == small_scan.photon_energy_eV
    assert [path.name for path in tmp_path.iterdir()] == ["scan.npz"]


def test_ptychodus_round_trip_off_centre_and_not_square(small_scan: Scan, tmp_path: Path) -> None:
    assert small_scan.frame is not None
    assert small_scan.frame.canvas_shape[0] != small_scan.frame.canvas_shape[1]
    assert small_scan.frame.center_m[0] < 0 < small_scan.frame.center_m[1]
    write_ptychodus(small_scan, tmp_path)
    for path in (tmp_path, tmp_path / "product.h5", tmp_path / "diffraction.h5"):
        read = load_scan(path)
        np.testing.assert_allclose(read.corners_px, small_scan.corners_px, atol=1e-6)
        np.testing.assert_array_equal(read.patterns[5:9], small_scan.patterns[5:9])
        np.testing.assert_array_equal(read.probe, small_scan.probe)
        assert read.frame == small_scan.frame


def test_ptychodus_pairs_by_scan_index(small_scan: Scan, tmp_path: Path) -> None:
    write_ptychodus(small_scan, tmp_path)
    with h5py.File(tmp_path / "diffraction.h5", "r+") as file:
        order = np.random.default_rng(0).permutation(small_scan.num_patterns)[:-3]
        patterns = file["patterns"][()][order]
        attributes = dict(file["patterns"].attrs)
        del file["patterns"], file["indexes"]
        file["patterns"], file["indexes"] = patterns, order
        file["patterns"].attrs.update(attributes)
    read = load_scan(tmp_path)
    assert read.num_patterns == small_scan.num_patterns - 3
    assert read.position_indexes is not None
    kept = read.position_indexes
    np.testing.assert_allclose(read.corners_px, small_scan.corners_px[kept], atol=1e-6)
    expected = np.asarray(small_scan.patterns[0 : small_scan.num_patterns])[kept]
    np.testing.assert_array_equal(read.patterns[0 : read.num_patterns], expected)
    np.testing.assert_array_equal(read.patterns[4:6], expected[4:6])


@pytest.mark.parametrize(
    ("extra", "origin", "offset"),
    [
        ({}, None, 16),
        ({"bad_pixels": np.zeros((32, 32), bool)}, None, 15.5),
        ({}, "corner", 0),
        ({}, "ptychodus", 15.5),
    ],
)
def test_position_origin(extra: dict, origin: str | None, offset: float, tmp_path: Path) -> None:
    np.savez(
        tmp_path / "scan.npz",
        diff3d=np.full((2, 32, 32), 0.5),
        xcoords=[40.0, 41.25],
        ycoords=[20.0, 21.0],
        **extra,
    )
    read = load_scan(tmp_path / "scan.npz", position_origin=origin)
    np.testing.assert_allclose(read.corners_px, np.array([[20, 40], [21, 41.25]]) - offset)


def test_last_axis_patterns_are_turned(tmp_path: Path) -> None:
    patterns = np.random.default_rng(0).uniform(0.1, 0.9, (5, 32, 32))
    np.savez(
        tmp_path / "scan.npz",
        diffraction=patterns.transpose(1, 2, 0),
        xcoords=np.arange(5.0),
        ycoords=np.arange(5.0),
    )
    read = load_scan(tmp_path / "scan.npz")
    assert read.quantity == "amplitude"
    np.testing.assert_array_equal(read.patterns[0:5], patterns)


def product_of(scan: Scan, **changes: object) -> Product:
    assert scan.object_ is not None
    assert scan.probe is not None
    shape = scan.object_.shape
    product = Product(
        object_=scan.object_,
        object_corner_px=(3, -4),
        corners_px=scan.corners_px,
        position_indexes=np.arange(scan.num_patterns),
        window_px=scan.window_px,
        probe=scan.probe,
        coverage=np.ones(shape, np.int32),
        disagreement=np.zeros(shape, np.float32),
        metadata={"backend": "pytorch", "input_scale": 0.5},
    )
    return dataclasses.replace(product, **changes)


@pytest.mark.parametrize("pixel_size_m", [None, 28e-9])
def test_product_round_trip(pixel_size_m: float | None, small_scan: Scan, tmp_path: Path) -> None:
    product = product_of(small_scan, pixel_size_m=pixel_size_m, complete=False, num_patterns_used=7)
    write_product(product, tmp_path / "product.h5")
    read = read_product(tmp_path / "product.h5")
    for name in ("object_", "probe", "coverage", "disagreement"):
        np.testing.assert_array_equal(getattr(read, name), getattr(product, name))
    np.testing.assert_allclose(read.corners_px, product.corners_px, atol=1e-6)
    assert read.pixel_size_m == pixel_size_m
    assert read.object_corner_px == (3, -4)
    assert (read.complete, read.num_patterns_used) == (False, 7)
    assert read.metadata == product.metadata
    with h5py.File(tmp_path / "product.h5") as file:
        assert file["object"].attrs["pixel_width_m"] == pixel_size_m or NOMINAL_PIXEL_M
        assert {"photon_energy_eV", "probe_energy_eV"} <= set(file.attrs)
        assert {"mass_attenuation_m2_per_kg", "mass_attenuation_m2_kg"} <= set(file.attrs)


def test_npz_product_gives_its_object_and_probe(small_scan: Scan, tmp_path: Path) -> None:
    write_product(product_of(small_scan), tmp_path / "product.npz")
    read = load_object(tmp_path / "product.npz")
    np.testing.assert_array_equal(read.object_, small_scan.object_)
    assert read.corner_px == (3, -4)
    np.testing.assert_array_equal(load_probe(tmp_path / "product.npz"), small_scan.probe)


def test_a_product_that_cannot_be_written_leaves_nothing(
    small_scan: Scan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("ptychonyx.runtime.product.os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_product(product_of(small_scan), tmp_path / "product.h5")
    assert list(tmp_path.iterdir()) == []


def test_real_scan(star: Path) -> None:
    scan = load_scan(star / "siemens64.npz", quantity="counts")
    assert (scan.num_patterns, scan.window_px) == (516, 64)
    assert load_probe(star / "siemens64_reference_3modes.npz").shape == (3, 64, 64)
    assert scan.corners_px.min() >= 0
