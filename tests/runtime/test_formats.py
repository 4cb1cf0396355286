"""Every format gives the same scan; corners are right whatever the convention."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest

from ptychonyx.runtime import load_object, load_probe, load_product, load_scan, save_product
from ptychonyx.runtime.errors import QuantityError, ScanError
from ptychonyx.runtime.formats import save_scan
from ptychonyx.runtime.formats.hdf5 import MAX_UNUSED_SHARE, Hdf5Patterns
from ptychonyx.runtime.formats.npz import Npz
from ptychonyx.runtime.formats.ptychodus_product import NOMINAL_PIXEL_M
from ptychonyx.runtime.product import Product
from ptychonyx.runtime.scaling import counts_per_pattern, probe_in_counts, read_amplitudes
from ptychonyx.runtime.scan import Frame, Scan
from ptychonyx.runtime.stitching.patches import cut_patches


def test_npz_round_trip(small_scan: Scan, tmp_path: Path) -> None:
    save_scan(small_scan, tmp_path / "scan.npz")
    read = load_scan(tmp_path / "scan.npz", quantity="counts")
    np.testing.assert_array_equal(read.patterns[3:7], small_scan.patterns[3:7])
    np.testing.assert_allclose(read.corners_px, small_scan.corners_px, atol=1e-9)
    np.testing.assert_array_equal(read.probe, small_scan.probe)
    np.testing.assert_array_equal(read.object_, small_scan.object_)
    assert read.photon_energy_eV == small_scan.photon_energy_eV
    assert [path.name for path in tmp_path.iterdir()] == ["scan.npz"]


def test_ptychodus_round_trip_off_center_and_not_square(small_scan: Scan, tmp_path: Path) -> None:
    assert small_scan.frame is not None
    assert small_scan.frame.canvas_shape[0] != small_scan.frame.canvas_shape[1]
    assert small_scan.frame.center_m[0] < 0 < small_scan.frame.center_m[1]
    save_scan(small_scan, tmp_path)
    for path in (tmp_path, tmp_path / "product.h5", tmp_path / "diffraction.h5"):
        read = load_scan(path)
        np.testing.assert_allclose(read.corners_px, small_scan.corners_px, atol=1e-6)
        np.testing.assert_array_equal(read.patterns[5:9], small_scan.patterns[5:9])
        np.testing.assert_array_equal(read.probe, small_scan.probe)
        assert read.frame == small_scan.frame


def test_ptychodus_pairs_by_scan_index(small_scan: Scan, tmp_path: Path) -> None:
    save_scan(small_scan, tmp_path)
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
    save_product(product, tmp_path / "product.h5")
    read = load_product(tmp_path / "product.h5")
    for name in ("object_", "probe", "coverage", "disagreement"):
        np.testing.assert_array_equal(getattr(read, name), getattr(product, name))
    np.testing.assert_allclose(read.corners_px, product.corners_px, atol=1e-6)
    assert read.pixel_size_m == pixel_size_m
    assert read.object_corner_px == (3, -4)
    assert (read.complete, read.num_patterns_used) == (False, 7)
    assert read.metadata == product.metadata
    with h5py.File(tmp_path / "product.h5") as file:
        assert file["object"].attrs["pixel_width_m"] == (pixel_size_m or NOMINAL_PIXEL_M)
        assert {"photon_energy_eV", "probe_energy_eV"} <= set(file.attrs)
        assert {"mass_attenuation_m2_per_kg", "mass_attenuation_m2_kg"} <= set(file.attrs)


def test_npz_product_gives_its_object_and_probe(small_scan: Scan, tmp_path: Path) -> None:
    save_product(product_of(small_scan), tmp_path / "product.npz")
    read = load_object(tmp_path / "product.npz")
    np.testing.assert_array_equal(read.object_, small_scan.object_)
    assert read.corner_px == (3, -4)
    np.testing.assert_array_equal(load_probe(tmp_path / "product.npz"), small_scan.probe)


def test_a_product_that_cannot_be_written_leaves_nothing(
    small_scan: Scan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("ptychonyx.runtime.files.os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        save_product(product_of(small_scan), tmp_path / "product.h5")
    assert list(tmp_path.iterdir()) == []


def test_real_scan(star: Path) -> None:
    scan = load_scan(star / "siemens64.npz", quantity="counts")
    assert (scan.num_patterns, scan.window_px) == (516, 64)
    assert load_probe(star / "siemens64_reference_3modes.npz").shape == (3, 64, 64)
    assert scan.corners_px.min() >= 0


def test_npz_is_written_relative_to_an_object_that_is_off_the_corner(
    small_scan: Scan, tmp_path: Path
) -> None:
    moved = dataclasses.replace(
        small_scan,
        object_corner_px=(7.5, -3.0),
        corners_px=small_scan.corners_px + np.array([7.5, -3]),
    )
    save_scan(moved, tmp_path / "scan.npz")
    read = load_scan(tmp_path / "scan.npz", quantity="counts")
    assert read.object_corner_px == (0, 0)
    np.testing.assert_allclose(read.corners_px, small_scan.corners_px, atol=1e-9)


@pytest.mark.parametrize("side", [31, 32])
@pytest.mark.parametrize("has_bad_pixels", [False, True])
def test_npz_round_trip_of_odd_windows_and_bad_pixels(
    has_bad_pixels: bool, side: int, tmp_path: Path
) -> None:
    bad_pixels = np.eye(side, dtype=np.bool_) if has_bad_pixels else None
    corners_px = np.array([[0.25, 3.0], [-1.5, 9.0], [4.0, 4.0]])
    patterns = np.random.default_rng(0).random((3, side, side), dtype=np.float32)
    scan = Scan(patterns, "amplitude", corners_px, bad_pixels=bad_pixels, pixel_size_m=2e-8)
    save_scan(scan, tmp_path / "scan.npz")
    read = load_scan(tmp_path / "scan.npz")
    np.testing.assert_allclose(read.corners_px, corners_px, atol=1e-12)
    np.testing.assert_array_equal(read.patterns[0:3], patterns)
    assert (read.quantity, read.pixel_size_m, read.probe) == ("amplitude", 2e-8, None)
    assert (read.bad_pixels is not None) == has_bad_pixels
    if bad_pixels is not None:
        np.testing.assert_array_equal(read.bad_pixels, bad_pixels)


def test_ptychodus_round_trip_of_oblong_pixels_bad_pixels_and_odd_canvas(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    object_ = rng.normal(size=(41, 66)).astype(np.complex64)
    scan = Scan(
        patterns=rng.poisson(3, (6, 16, 16)).astype(np.uint16),
        quantity="counts",
        corners_px=rng.uniform(0, 20, (6, 2)),
        probe=rng.normal(size=(2, 16, 16)).astype(np.complex64),
        object_=object_,
        bad_pixels=rng.random((16, 16)) > 0.9,
        pixel_size_m=3e-8,
        photon_energy_eV=9000.0,
        detector_distance_m=1.5,
        frame=Frame((41, 66), (5e-6, -2e-5), (2e-8, 3e-8)),
        position_indexes=np.array([5, 3, 11, 2, 8, 90]),
        name="oblong",
    )
    save_scan(scan, tmp_path / "new" / "folder")
    read = load_scan(tmp_path / "new" / "folder")
    np.testing.assert_allclose(read.corners_px, scan.corners_px, atol=1e-9)
    for name in ("probe", "object_", "bad_pixels", "position_indexes"):
        np.testing.assert_array_equal(getattr(read, name), getattr(scan, name))
    for name in ("frame", "pixel_size_m", "photon_energy_eV", "detector_distance_m", "name"):
        assert getattr(read, name) == getattr(scan, name)
    assert read.patterns.dtype == np.uint16
    with h5py.File(tmp_path / "new" / "folder" / "diffraction.h5") as file:
        attributes = file["patterns"].attrs
        wavelength_m = 1.239841984e-6 / 9000
        for side, pixel_m in (("height", 2e-8), ("width", 3e-8)):
            found = attributes[f"detector_pixel_{side}_m"]
            assert found == pytest.approx(wavelength_m * 1.5 / (16 * pixel_m))


def test_ptychodus_without_a_frame_keeps_corners_relative_to_the_object(
    small_scan: Scan, tmp_path: Path
) -> None:
    scan = dataclasses.replace(
        small_scan,
        frame=None,
        object_corner_px=(5, -9),
        corners_px=small_scan.corners_px + np.array([5, -9]),
    )
    save_scan(scan, tmp_path)
    np.testing.assert_allclose(load_scan(tmp_path).corners_px, small_scan.corners_px, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"quantity": "amplitude"}, "Ptychodus files hold counts; write an NPZ"),
        ({"probe": None, "photon_energy_eV": None}, "has no `probe`, `photon_energy_eV`"),
        ({"object_corner_px": (0.5, 0)}, "whole pixels are needed"),
    ],
)
def test_a_scan_that_ptychodus_cannot_hold(
    changes: dict, message: str, small_scan: Scan, tmp_path: Path
) -> None:
    with pytest.raises(ScanError, match=message):
        save_scan(dataclasses.replace(small_scan, **changes), tmp_path / "folder")
    assert list(tmp_path.iterdir()) == []


def test_repeated_positions_are_averaged(small_scan: Scan, tmp_path: Path) -> None:
    save_scan(small_scan, tmp_path)
    with h5py.File(tmp_path / "product.h5", "r+") as file:
        for name in ("probe_position_indexes", "probe_position_y_m", "probe_position_x_m"):
            values = np.r_[file[name][()], file[name][()][:2]]
            if name == "probe_position_y_m":
                values[-2:] += 2 * 28e-9
            del file[name]
            file[name] = values
    read = load_scan(tmp_path)
    expected = small_scan.corners_px.copy()
    expected[:2, 0] += 1
    np.testing.assert_allclose(read.corners_px, expected, atol=1e-6)


@pytest.mark.parametrize("rows", ["in order", "shuffled", "sparse"])
def test_hdf5_patterns_are_read_by_slices_only(
    rows: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patterns = np.arange(400 * 4, dtype=np.uint16).reshape(400, 2, 2)
    with h5py.File(tmp_path / "diffraction.h5", "w") as file:
        file["patterns"] = patterns
    rng = np.random.default_rng(0)
    wanted = {
        "in order": np.arange(400),
        "shuffled": rng.permutation(400),
        "sparse": np.array([399, 7, 0, 250]),
    }[rows]
    num_read = []
    original = h5py.Dataset.__getitem__

    def counted(self: h5py.Dataset, key: object) -> object:
        result = original(self, key)
        num_read.append(len(result))
        return result

    monkeypatch.setattr(h5py.Dataset, "__getitem__", counted)
    source = Hdf5Patterns(tmp_path / "diffraction.h5", wanted)
    assert num_read == []
    for key in (slice(0, 3), slice(1, 2), slice(2, 400), slice(-2, None), slice(3, 3)):
        np.testing.assert_array_equal(source[key], patterns[wanted[key]])
    assert source[3:3].shape == (0, 2, 2)
    assert num_read[0] <= MAX_UNUSED_SHARE * 3
    again = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(again[1:3], patterns[wanted[1:3]])


def test_npz_patterns_are_not_read_before_they_are_sliced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez(tmp_path / "scan.npz", diff3d=np.ones((3, 8, 8)), xcoords=[1, 2, 3], ycoords=[1, 2, 3])
    read = []
    original = Npz.__getitem__
    monkeypatch.setattr(
        Npz, "__getitem__", lambda self, name: read.append(name) or original(self, name)
    )
    scan = load_scan(tmp_path / "scan.npz", quantity="counts")
    assert "diff3d" not in read
    for start in range(3):
        assert scan.patterns[start : start + 1].shape == (1, 8, 8)
    assert read.count("diff3d") == 1


def training_file(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["patterns"] = np.arange(2 * 64).reshape(2, 8, 8)
        file["bad_pixels"] = np.eye(8, dtype=bool)
        file["probe"] = np.ones((3, 8, 8), complex)
        file["object"] = np.ones((20, 30), complex)
        file["probe_position_y_px"], file["probe_position_x_px"] = [4.0, 5.5], [10.0, 11.0]
        file["object_pixel_width_m"] = file["object_pixel_height_m"] = 2e-8
        file["detector_object_distance_m"], file["photon_energy_eV"] = 1.5, 9000.0


def test_training_data_of_ptychodus(tmp_path: Path) -> None:
    training_file(tmp_path / "train.h5")
    scan = load_scan(tmp_path / "train.h5")
    np.testing.assert_allclose(scan.corners_px, [[0.5, 6.5], [2.0, 7.5]])
    assert (scan.quantity, scan.position_origin, scan.frame) == ("counts", "ptychodus", None)
    assert (scan.pixel_size_m, scan.photon_energy_eV, scan.detector_distance_m) == (2e-8, 9000, 1.5)
    np.testing.assert_array_equal(scan.bad_pixels, np.eye(8, dtype=bool))
    assert load_probe(tmp_path / "train.h5").shape == scan.probe.shape == (3, 8, 8)
    assert load_object(tmp_path / "train.h5").object_.shape == scan.object_.shape == (20, 30)
    moved = load_scan(tmp_path / "train.h5", position_origin="center")
    np.testing.assert_allclose(moved.corners_px, scan.corners_px - 0.5)


@pytest.mark.parametrize(
    ("shape", "modes"), [((8, 8), 1), ((3, 8, 8), 3), ((8, 8, 1), 1), ((5, 2, 8, 8), 2)]
)
def test_probes_come_modes_first(shape: tuple[int, ...], modes: int, tmp_path: Path) -> None:
    probe = np.random.default_rng(0).normal(size=shape)
    np.savez(tmp_path / "scan.npz", probeGuess=probe)
    np.save(tmp_path / "probe.npy", probe)
    for name in ("scan.npz", "probe.npy"):
        read = load_probe(tmp_path / name)
        assert (read.shape, read.dtype) == ((modes, 8, 8), np.complex64)
        np.testing.assert_allclose(read.ravel(), probe.ravel()[: read.size], rtol=1e-6)


def test_layers_of_a_thick_object_are_multiplied(tmp_path: Path) -> None:
    layers = np.exp(1j * np.random.default_rng(0).random((3, 9, 12)))
    np.save(tmp_path / "object.npy", layers)
    np.testing.assert_allclose(
        load_object(tmp_path / "object.npy").object_, layers.prod(axis=0), rtol=1e-5
    )


def test_nominal_positions_serve_where_measured_ones_are_missing(tmp_path: Path) -> None:
    patterns = np.full((2, 8, 8), 0.5)
    nominal = {"ycoords_start": [4, 5], "xcoords_start": [6, 7]}
    np.savez(tmp_path / "nominal.npz", diffraction=patterns, **nominal)
    np.testing.assert_allclose(load_scan(tmp_path / "nominal.npz").corners_px, [[0, 2], [1, 3]])
    measured = {"ycoords": [4.5, 5], "xcoords": [6, 7]}
    np.savez(tmp_path / "both.npz", diffraction=patterns, **nominal, **measured)
    np.testing.assert_allclose(load_scan(tmp_path / "both.npz").corners_px, [[0.5, 2], [1, 3]])


@pytest.mark.parametrize("shape", [(5, 8, 8), (8, 8, 5), (8, 8, 8), (5, 8, 8, 1)])
def test_axis_order_follows_the_number_of_positions(shape: tuple[int, ...], tmp_path: Path) -> None:
    patterns = np.random.default_rng(0).uniform(0.1, 0.9, shape)
    num = 8 if shape == (8, 8, 8) else 5
    np.savez(tmp_path / "scan.npz", diff3d=patterns, xcoords=np.arange(num), ycoords=np.arange(num))
    expected = patterns.transpose(2, 0, 1) if shape == (8, 8, 5) else patterns.reshape(num, 8, 8)
    read = load_scan(tmp_path / "scan.npz").patterns
    assert read.shape == expected.shape
    np.testing.assert_array_equal(read[1:4], expected[1:4])


def test_real_scan_explains_its_patterns(star: Path) -> None:
    """With the right corners the reference reproduces the amplitudes; half a pixel off, less so."""
    scan = load_scan(star / "siemens64.npz", quantity="counts")
    with pytest.raises(QuantityError, match="--quantity counts"):
        load_scan(star / "siemens64.npz")
    assert counts_per_pattern(scan) == pytest.approx(4.42e5, rel=0.01)
    reference = load_object(star / "siemens64_reference_3modes.npz").object_
    probe = load_probe(star / "siemens64_reference_3modes.npz")
    assert probe_in_counts(probe, counts_per_pattern(scan))[1] == pytest.approx(1, abs=0.1)

    def residual(shift_px: float) -> float:
        corners_px = scan.corners_px[:100:5] + shift_px
        patches = cut_patches(reference.astype(np.complex128), corners_px, 64)
        far = np.fft.fftshift(np.fft.fft2(patches[:, None] * probe, norm="ortho"), axes=(-2, -1))
        amplitude = np.sqrt(np.sum(np.abs(far) ** 2, axis=1))
        measured = np.concatenate([read_amplitudes(scan, i, i + 1) for i in range(0, 100, 5)])
        return float(np.sum((amplitude - measured) ** 2) / np.sum(measured**2))

    assert residual(0.0) < 0.008
    assert residual(0.0) < min(residual(0.5), residual(-0.5))


@pytest.mark.ptychodus
def test_ptychodus_itself_reads_and_writes_the_same_scan(small_scan: Scan, tmp_path: Path) -> None:
    io = pytest.importorskip("ptychodus.api.io", reason="Ptychodus 1.7 is not installed")
    from ptychodus.api.reconstruct import prepare_reconstruct_input

    save_scan(small_scan, tmp_path)
    product = io.load_product(tmp_path / "product.h5")
    patterns = io.load_diffraction_data(tmp_path / "diffraction.h5")
    exported = prepare_reconstruct_input(patterns, product)
    io.save_ptychopinn_training_data(tmp_path / "train.npz", exported)
    io.save_training_data(tmp_path / "train.h5", exported)
    (tmp_path / "again").mkdir()
    io.save_product(tmp_path / "again" / "product.h5", product)
    io.save_diffraction_data(tmp_path / "again" / "diffraction.h5", patterns)
    for name in ("train.npz", "train.h5", "again"):
        read = load_scan(tmp_path / name, quantity="counts")
        np.testing.assert_allclose(read.corners_px, small_scan.corners_px, atol=1e-6)
        np.testing.assert_array_equal(read.patterns[0:40], small_scan.patterns)
        np.testing.assert_array_equal(read.probe, small_scan.probe)


def test_training_file_of_ours_reads_back(small_scan: Scan, tmp_path: Path) -> None:
    bad = np.zeros((32, 32), bool)
    bad[3, 5] = True
    scan = dataclasses.replace(small_scan, bad_pixels=bad)
    path = tmp_path / "train.h5"
    save_scan(scan, path)
    read = load_scan(path)
    np.testing.assert_allclose(
        read.corners_px, scan.corners_px - np.array(scan.object_corner_px), atol=1e-9
    )
    np.testing.assert_array_equal(read.patterns[0:40], scan.patterns)
    for name in ("probe", "object_", "bad_pixels"):
        np.testing.assert_array_equal(getattr(read, name), getattr(scan, name))
    for name in ("pixel_size_m", "photon_energy_eV", "detector_distance_m"):
        assert getattr(read, name) == pytest.approx(getattr(scan, name), rel=1e-12)
    with pytest.raises(ScanError, match="has no `photon_energy_eV`"):
        save_scan(dataclasses.replace(scan, photon_energy_eV=None), tmp_path / "no.h5")
    assert [file.name for file in tmp_path.iterdir()] == ["train.h5"]
