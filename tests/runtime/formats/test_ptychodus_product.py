"""A product comes back as it was written, opens elsewhere, and is whole or absent."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from format_files import FRAME, make_product, put, write_npz
from numpy.typing import NDArray

from ptychonyx.runtime import load_object, load_probe, load_product, load_scan, save_product
from ptychonyx.runtime.errors import NotFiniteError, ScanError
from ptychonyx.runtime.formats import check_product_path, save_scan
from ptychonyx.runtime.formats.ptychodus_product import NOMINAL_PIXEL_M
from ptychonyx.runtime.product import Product
from ptychonyx.runtime.scan import Scan

SUFFIXES = (".h5", ".hdf5", ".npz")


CASES: dict[str, dict[str, Any]] = {
    "all known": {},
    "no frame": {"frame": None, "object_corner_px": (3, -4)},
    "no pixel size": {"frame": None, "pixel_size_m": None, "object_corner_px": (-2, 5)},
    "part of the canvas": {
        "frame": dataclasses.replace(FRAME, canvas_shape=(90, 100)),
        "object_corner_px": (11, 30),
    },
    "solved, its resolution known": {
        "pattern_residuals": np.array([0.1, np.nan, 0.2, 0, 0, 0, 0], np.float32),
        "pass_residuals": np.array([0.5, 0.25, 0.125]),
        "ring_correlation": np.random.default_rng(1).random((3, 9)),
    },
    "solved, its positions refined": {
        "given_corners_px": np.random.default_rng(2).uniform(0, 30, (7, 2)),
    },
    "solved, with brightness and background": {
        "pattern_factors": np.random.default_rng(3).uniform(0.8, 1.2, 7),
        "background": np.random.default_rng(4).random((16, 16), np.float32),
    },
    "nothing known": {
        "frame": None,
        "pixel_size_m": None,
        "photon_energy_eV": None,
        "detector_distance_m": None,
        "coverage": None,
        "disagreement": None,
        "metadata": {},
        "complete": True,
    },
}


def spoiled(shape: tuple[int, ...], place: tuple[int, ...]) -> NDArray[np.complex64]:
    array = np.ones(shape, np.complex64)
    array[place] = np.nan
    return array


def assert_same(read: Product, written: Product) -> None:
    for field in dataclasses.fields(Product):
        found, expected = getattr(read, field.name), getattr(written, field.name)
        if field.name == "corners_px":
            np.testing.assert_allclose(found, expected, atol=1e-6)
        elif field.name == "frame" and expected is not None:
            assert found.canvas_shape == expected.canvas_shape
            assert found.pixel_size_m == expected.pixel_size_m
            np.testing.assert_allclose(found.center_m, expected.center_m, rtol=1e-12)
        elif isinstance(expected, np.ndarray):
            np.testing.assert_array_equal(found, expected)
            assert found.dtype == expected.dtype
        else:
            assert found == expected, field.name


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("changes", CASES.values(), ids=CASES)
def test_a_product_comes_back(changes: dict[str, Any], suffix: str, tmp_path: Path) -> None:
    written, path = make_product(**changes), tmp_path / f"product{suffix}"
    save_product(written, path)
    read = load_product(path)
    assert_same(read, written)
    save_product(read, path)
    assert_same(load_product(path), written)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_others_find_what_they_look_for(suffix: str, tmp_path: Path) -> None:
    product, path = make_product(object_corner_px=(2, 3), frame=None), tmp_path / f"p{suffix}"
    save_product(product, path)
    read = load_object(path)
    np.testing.assert_array_equal(read.object_, product.object_)
    np.testing.assert_array_equal(read.coverage, product.coverage)
    assert (read.corner_px, read.pixel_size_m, read.name) == ((2, 3), 3e-8, "star σ")
    np.testing.assert_array_equal(load_probe(path), product.probe)


def test_positions_are_in_metres_from_the_canvas_center(tmp_path: Path) -> None:
    product = make_product()
    save_product(product, tmp_path / "product.h5")
    y = (product.corners_px[:, 0] + 16 / 2 - 40 / 2) * 2e-8 - 3e-6
    x = (product.corners_px[:, 1] + 16 / 2 - 61 / 2) * 3e-8 + 7.5e-6
    with h5py.File(tmp_path / "product.h5") as file:
        np.testing.assert_allclose(file["probe_position_y_m"], y)
        np.testing.assert_allclose(file["probe_position_x_m"], x)
        object_ = file["object"].attrs
        assert (object_["center_y_m"], object_["center_x_m"]) == (-3e-6, 7.5e-6)
        assert (object_["pixel_height_m"], object_["pixel_width_m"]) == (2e-8, 3e-8)


def test_hdf5_has_what_every_release_of_ptychodus_asks_for(tmp_path: Path) -> None:
    save_product(make_product(), tmp_path / "product.h5")
    with h5py.File(tmp_path / "product.h5") as file:
        assert file["probe"].shape == (1, 3, 16, 16)
        assert file["object"].shape == (1, 40, 61)
        assert file["object_layer_spacing_m"].shape == (0,)
        assert file["probe_position_indexes"].dtype == np.int64
        assert {"loss_epochs", "loss_values", "probe_position_x_m"} <= set(file)
        assert {"name", "comments", "exposure_time_s", "probe_photon_count"} <= set(file.attrs)
        assert file.attrs["photon_energy_eV"] == file.attrs["probe_energy_eV"] == 8800
        assert {"mass_attenuation_m2_per_kg", "mass_attenuation_m2_kg"} <= set(file.attrs)
        assert json.loads(file["ptychonyx"].attrs["metadata"])["input_scale"] == 0.25


def test_npz_has_the_same_words_and_no_pickles(tmp_path: Path) -> None:
    save_product(make_product(), tmp_path / "product.npz")
    with np.load(tmp_path / "product.npz", allow_pickle=False) as file:
        assert all(file[name] is not None for name in file.files)
        assert float(file["photon_energy_eV"]) == float(file["probe_energy_eV"]) == 8800
        assert {"mass_attenuation_m2_per_kg", "mass_attenuation_m2_kg"} <= set(file.files)
        assert (float(file["object_center_x_m"]), float(file["probe_pixel_width_m"])) == (
            7.5e-6,
            3e-8,
        )


@pytest.mark.parametrize(("pixel_size_m", "stored_m"), [(None, NOMINAL_PIXEL_M), (4e-8, 4e-8)])
def test_an_unknown_pixel_size_is_nominal_in_the_file_and_none_to_us(
    pixel_size_m: float | None, stored_m: float, tmp_path: Path
) -> None:
    save_product(make_product(frame=None, pixel_size_m=pixel_size_m), tmp_path / "product.h5")
    with h5py.File(tmp_path / "product.h5") as file:
        assert file["object"].attrs["pixel_width_m"] == stored_m
        assert file["ptychonyx"].attrs["pixel_size_known"] == (pixel_size_m is not None)
    assert load_object(tmp_path / "product.h5").pixel_size_m == pixel_size_m


def test_older_products_open(tmp_path: Path) -> None:
    save_product(make_product(), tmp_path / "product.h5")
    with h5py.File(tmp_path / "product.h5", "r+") as file:
        probe, attributes = file["probe"][0], dict(file["probe"].attrs)
        del file["probe"], file["ptychonyx"], file.attrs["photon_energy_eV"]
        file["probe"] = probe  # three axes, before probes could vary along the scan
        file["probe"].attrs.update(attributes)
        file.attrs["name"] = np.bytes_(b"old")
    read = load_product(tmp_path / "product.h5")
    assert (read.photon_energy_eV, read.name, read.frame) == (8800, "old", FRAME)
    assert (read.coverage, read.num_patterns_used, read.metadata) == (None, None, {})
    np.testing.assert_array_equal(read.probe, make_product().probe)


def test_a_written_product_is_a_scan_again(small_scan: Scan, tmp_path: Path) -> None:
    save_scan(small_scan, tmp_path)
    read = load_product(tmp_path / "product.h5")
    for name in ("result.h5", "result.npz"):
        save_product(dataclasses.replace(read, metadata={"a": 1}), tmp_path / name)
        scan = load_scan(tmp_path / name)
        np.testing.assert_allclose(scan.corners_px, small_scan.corners_px, atol=1e-6)
        assert scan.frame == small_scan.frame


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_was_there_stays_if_writing_fails(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"product{suffix}"
    save_product(make_product(), path)
    before = path.read_bytes()

    def fail(*args: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("ptychonyx.runtime.files.writing.os.replace", fail)
    with pytest.raises(OSError, match="No space left"):
        save_product(make_product(name="second"), path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_paths_are_checked_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must end in one of: .h5, .hdf5, .npz"):
        check_product_path(tmp_path / "product.tif")
    with pytest.raises(ValueError, match="There is no folder"):
        check_product_path(tmp_path / "missing" / "product.h5")
    with pytest.raises(ScanError, match="There is no file"):
        load_product(tmp_path / "product.h5")


def test_a_product_that_cannot_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("ptychonyx.runtime.files.writing.os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        save_product(make_product(), tmp_path / "product.h5")
    assert list(tmp_path.iterdir()) == []


def test_a_file_without_a_probe_is_no_product(small_scan: Scan, tmp_path: Path) -> None:
    save_scan(small_scan, tmp_path)
    with h5py.File(tmp_path / "product.h5", "r+") as file:
        del file["probe"]
    for read in (load_product, load_probe):
        with pytest.raises(ScanError, match="holds no probe"):
            read(tmp_path / "product.h5")
    assert load_scan(tmp_path).probe is None
    write_npz(tmp_path / "scan.npz", {})
    with pytest.raises(ScanError, match="holds no probe"):
        load_product(tmp_path / "scan.npz")


NOT_FINITE: dict[str, tuple[dict[str, Any], str]] = {
    "object": ({"object_": spoiled((40, 61), (9, 30))}, "not finite at 1 of its pixels, which"),
    "probe": ({"probe": spoiled((3, 16, 16), (1, 2, 3))}, "`probe` of 'star σ' is not finite"),
    "positions": ({"corners_px": spoiled((7, 2), (3, 1)).real}, "`corners_px` of .* not finite"),
}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(("changes", "message"), NOT_FINITE.values(), ids=NOT_FINITE)
def test_what_is_not_finite_is_never_written(
    changes: dict[str, Any], message: str, suffix: str, tmp_path: Path
) -> None:
    with pytest.raises(NotFiniteError, match=message):
        save_product(make_product(**changes), tmp_path / f"product{suffix}")
    assert list(tmp_path.iterdir()) == []


def test_the_patterns_that_see_what_is_not_finite_are_named(tmp_path: Path) -> None:
    corners_px = np.array([[0, 0], [0, 20], [10, 30], [24, 45], [0, 0], [5, 16], [24, 0.0]])
    product = make_product(object_=spoiled((40, 61), (12, 31)), corners_px=corners_px)
    with pytest.raises(NotFiniteError, match=r"which patterns 1, 2, 5 see") as caught:
        save_product(product, tmp_path / "product.h5")
    assert caught.value.indexes == (1, 2, 5)


OWN_FIELDS: dict[str, tuple[str, Any, str]] = {
    "scalar corner": ("object_corner_px", 3, "two whole numbers"),
    "corner of fractions": ("object_corner_px", np.array([0.5, 1]), "two whole numbers"),
    "canvas as text": ("scan_canvas_shape", "40,61", "two whole numbers"),
    "a count as text": ("num_patterns_used", "many", "one number is needed"),
    "metadata as a list": ("metadata", "[1, 2]", "is a JSON list, not an object"),
    "metadata as a number": ("metadata", 3.5, "one text is needed"),
    "no JSON": ("metadata", "{residual", "is no JSON"),
    "deep": ("metadata", "[" * 50_000, "is no JSON"),
    "wide number": ("metadata", '{"residual": 1' + "0" * 400 + "}", "for `residual`, not a number"),
    "residual as text": ("metadata", '{"residual": "small"}', "'small' for `residual`"),
    "nested": ("metadata", '{"residual": {"a": 1}}', "has a dict for `residual`"),
}


@pytest.mark.parametrize(("name", "value", "message"), OWN_FIELDS.values(), ids=OWN_FIELDS)
def test_our_own_fields_are_not_trusted(
    name: str, value: Any, message: str, tmp_path: Path
) -> None:
    save_product(make_product(), tmp_path / "product.h5")
    with h5py.File(tmp_path / "product.h5", "r+") as file:
        del file["ptychonyx"].attrs[name]
        file["ptychonyx"].attrs[name] = value
    with pytest.raises(ScanError, match=message):
        load_product(tmp_path / "product.h5")


@pytest.mark.parametrize(
    "name", ["coverage", "disagreement", "pattern_residuals", "given_corners_px"]
)
def test_maps_of_another_shape_are_refused(name: str, tmp_path: Path) -> None:
    known = {"pattern_residuals": np.zeros(7, np.float32), "given_corners_px": np.zeros((7, 2))}
    save_product(make_product(**known), tmp_path / "product.h5")
    with h5py.File(tmp_path / "product.h5", "r+") as file:
        put(f"ptychonyx/{name}", np.ones((3, 4)))(file)
    with pytest.raises(ScanError, match=rf"`ptychonyx_{name}` of .* has shape \(3, 4\), expected"):
        load_product(tmp_path / "product.h5")


def test_coverage_counts_patches(tmp_path: Path) -> None:
    """NaN would become any number."""
    save_product(make_product(), tmp_path / "product.h5")
    with h5py.File(tmp_path / "product.h5", "r+") as file:
        put("ptychonyx/coverage", np.full((40, 61), np.nan))(file)
    for read in (load_product, load_object):
        with pytest.raises(ScanError, match="has dtype float64; whole numbers are needed"):
            read(tmp_path / "product.h5")


def test_positions_of_a_product_are_finite(tmp_path: Path) -> None:
    save_product(make_product(), tmp_path / "product.h5")
    with h5py.File(tmp_path / "product.h5", "r+") as file:
        file["object"].attrs["pixel_height_m"] = 5e-324
    with pytest.raises(ScanError, match=r"Position 0 is not finite in pixels \(.*product\.h5\)"):
        load_product(tmp_path / "product.h5")


def test_a_product_without_a_name_has_that_of_its_file(tmp_path: Path) -> None:
    for name in ("", np.array([], "S1"), h5py.Empty("S1")):
        save_product(make_product(), tmp_path / "some.h5")
        with h5py.File(tmp_path / "some.h5", "r+") as file:
            file.attrs["name"] = name
        assert load_product(tmp_path / "some.h5").name == "some"
