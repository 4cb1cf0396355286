"""Ptychodus' pair of files: patterns in one, positions and object in the other, paired by scan index."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

import h5py
import numpy as np
import pytest
from format_files import Arrays, Edit, attribute, drop, put

from ptychonyx.runtime import load_object, load_scan
from ptychonyx.runtime.errors import ScanError
from ptychonyx.runtime.formats import save_scan
from ptychonyx.runtime.scaling import counts_per_pattern
from ptychonyx.runtime.scan import Frame, Scan


def test_round_trip_off_center_and_not_square(small_scan: Scan, tmp_path: Path) -> None:
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


def test_round_trip_of_oblong_pixels_bad_pixels_and_odd_canvas(tmp_path: Path) -> None:
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


def test_a_scan_without_a_frame_keeps_corners_relative_to_the_object(
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


def test_halves_are_paired_by_scan_index(small_scan: Scan, tmp_path: Path) -> None:
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


def test_what_has_no_partner_is_left_out_aloud(
    small_scan: Scan, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save_scan(small_scan, tmp_path)
    with h5py.File(tmp_path / "diffraction.h5", "r+") as file:
        put("indexes", np.arange(40) + 4)(file)
    with caplog.at_level(logging.WARNING):
        assert load_scan(tmp_path).num_patterns == 36
    assert (
        "4 of 40 patterns lie before the first position or after the last: left out" in caplog.text
    )
    assert "4 of 40 positions have no pattern: left out" in caplog.text


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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"quantity": "amplitude"}, "Ptychodus files hold counts; write an NPZ"),
        ({"probe": None, "photon_energy_eV": None}, "has no `probe`, `photon_energy_eV`"),
        ({"object_corner_px": (0.5, 0)}, "whole pixels are needed"),
    ],
)
def test_a_scan_that_ptychodus_cannot_hold(
    changes: Arrays, message: str, small_scan: Scan, tmp_path: Path
) -> None:
    with pytest.raises(ScanError, match=message):
        save_scan(dataclasses.replace(small_scan, **changes), tmp_path / "folder")
    assert list(tmp_path.iterdir()) == []


def as_group(name: str) -> Edit:
    """Put a group where a dataset is expected."""

    def edit(file: h5py.File) -> None:
        del file[name]
        file.create_group(name)

    return edit


BAD_HDF5: dict[str, tuple[str, Edit, str]] = {
    "no patterns": ("diffraction.h5", drop("patterns"), "has no dataset `patterns`"),
    "no positions": (
        "product.h5",
        drop("probe_position_x_m"),
        "no dataset `probe_position_x_m`",
    ),
    "no object": ("product.h5", drop("object"), "has no dataset `object`"),
    "no indexes of positions": (
        "product.h5",
        drop("probe_position_indexes"),
        "no dataset `probe_position_indexes`",
    ),
    "fewer positions than indexes": (
        "product.h5",
        put("probe_position_x_m", np.zeros(39)),
        "40 `probe_position_indexes` but 39 `probe_position_x_m`",
    ),
    "position not finite": (
        "product.h5",
        put("probe_position_y_m", np.r_[np.zeros(39), np.nan]),
        "Position 39 is not finite",
    ),
    "fractional indexes": (
        "product.h5",
        put("probe_position_indexes", np.arange(40) + 0.5),
        "whole numbers are needed",
    ),
    "positions as text": (
        "product.h5",
        put("probe_position_y_m", np.array(["1e-6"] * 40, "S")),
        r"`probe_position_y_m` of .* has dtype \|S4; real numbers",
    ),
    "positions as references": (
        "product.h5",
        lambda file: put("probe_position_y_m", np.full(40, file["object"].ref, h5py.ref_dtype))(
            file
        ),
        "has dtype object; real numbers",
    ),
    "one position": ("product.h5", put("probe_position_y_m", 1e-6), r"shape \(\), expected \(n,\)"),
    "one index of positions": (
        "product.h5",
        put("probe_position_indexes", 3),
        r"shape \(\), expected \(n,\)",
    ),
    "a table of positions": (
        "product.h5",
        put("probe_position_y_m", np.zeros((20, 2))),
        r"shape \(20, 2\), expected \(n,\)",
    ),
    "one index of patterns": ("diffraction.h5", put("indexes", 3), r"shape \(\), expected \(n,\)"),
    "indexes as text": (
        "diffraction.h5",
        put("indexes", np.array(["1"] * 40, "S")),
        "whole numbers are needed",
    ),
    "mask as text": (
        "diffraction.h5",
        put("bad_pixels", np.array([["0"] * 32] * 32, "S")),
        "real numbers are needed",
    ),
    "object as a group": ("product.h5", as_group("object"), "has no dataset `object`"),
    "nothing as positions": (
        "product.h5",
        put("probe_position_y_m", h5py.Empty(np.float64)),
        "40 `probe_position_indexes` but 0",
    ),
    "no pixel size": (
        "product.h5",
        drop("object", "pixel_width_m"),
        "no attribute `object_pixel_width_m`",
    ),
    "negative pixel": (
        "product.h5",
        attribute("object", "pixel_height_m", -1.0),
        "both sides must be positive",
    ),
    "pixel as text": ("product.h5", attribute("object", "pixel_width_m", "a"), "one number"),
    "object as a list": ("product.h5", put("object", np.zeros(5)), r"`object` .* shape \(5,\)"),
    "oblong probe": ("product.h5", put("probe", np.ones((1, 2, 32, 30))), "`probe` of"),
    "probe of another size": (
        "product.h5",
        put("probe", np.ones((3, 16, 16))),
        "`probe` has shape",
    ),
    "probe with infinities": (
        "product.h5",
        put("probe", np.full((32, 32), np.inf)),
        "values that are not finite",
    ),
    "nothing in common": (
        "diffraction.h5",
        put("indexes", np.arange(40) + 900),
        "None of the 40 patterns .* has a scan index among those of the 40 positions, 0 to 39",
    ),
    "indexes repeated": (
        "diffraction.h5",
        put("indexes", np.r_[np.arange(39), 7]),
        "two patterns have the same scan index, 7",
    ),
    "indexes all alike": (
        "diffraction.h5",
        put("indexes", np.zeros(40, np.int64)),
        "have the same scan index",
    ),
    "fewer indexes than patterns": (
        "diffraction.h5",
        put("indexes", np.arange(39)),
        "40 patterns but 39 indexes",
    ),
    "empty": ("diffraction.h5", put("patterns", np.zeros((0, 32, 32))), "The scan is empty"),
    "one image": ("diffraction.h5", put("patterns", np.zeros((32, 32))), r"expected \(n, N, N\)"),
    "oblong": (
        "diffraction.h5",
        put("patterns", np.ones((40, 32, 30))),
        "square windows are needed",
    ),
    "complex": (
        "diffraction.h5",
        put("patterns", np.ones((40, 32, 32), complex)),
        "real numbers are needed",
    ),
    "mask of another size": (
        "diffraction.h5",
        put("bad_pixels", np.zeros((8, 8), bool)),
        "`bad_pixels` has shape",
    ),
}


@pytest.mark.parametrize(("name", "edit", "message"), BAD_HDF5.values(), ids=BAD_HDF5)
def test_bad_files_are_refused_when_they_are_opened(
    name: str, edit: Edit, message: str, small_scan: Scan, tmp_path: Path
) -> None:
    save_scan(small_scan, tmp_path)
    with h5py.File(tmp_path / name, "r+") as file:
        edit(file)
    with pytest.raises(ScanError, match=message):
        load_scan(tmp_path)


BAD_COUNTS: dict[str, tuple[float, str]] = {
    "all zero": (0.0, "All diffraction patterns are zero"),
    "negative": (-1.0, "Pattern 0 holds a negative value"),
}


@pytest.mark.parametrize(("value", "message"), BAD_COUNTS.values(), ids=BAD_COUNTS)
def test_bad_counts_are_refused_when_they_are_read(
    value: float, message: str, small_scan: Scan, tmp_path: Path
) -> None:
    save_scan(small_scan, tmp_path)
    with h5py.File(tmp_path / "diffraction.h5", "r+") as file:
        put("patterns", np.full((40, 32, 32), value))(file)
    scan = load_scan(tmp_path)
    with pytest.raises(ScanError, match=message):
        counts_per_pattern(scan)


@pytest.mark.parametrize(
    ("name", "message"),
    [("diffraction.h5", r"diffraction\.h5"), ("product.h5", "There is no file")],
)
def test_a_folder_with_one_half_is_refused(
    name: str, message: str, small_scan: Scan, tmp_path: Path
) -> None:
    save_scan(small_scan, tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(ScanError, match=message):
        load_scan(tmp_path)


def test_bad_pairs(small_scan: Scan, tmp_path: Path) -> None:
    save_scan(small_scan, tmp_path)
    wrong: tuple[tuple[Arrays, str], ...] = (
        ({"quantity": "amplitude"}, "hold counts; leave it out"),
        ({"position_origin": "center"}, "in metres, which leave no choice"),
        ({"patterns_path": tmp_path / "other.h5"}, "There are no patterns for"),
    )
    for arguments, message in wrong:
        with pytest.raises(ScanError, match=message):
            load_scan(tmp_path / "product.h5", **arguments)
    with pytest.raises(ScanError, match="holds patterns itself"):
        load_scan(tmp_path / "diffraction.h5", patterns_path=tmp_path / "diffraction.h5")
    (tmp_path / "diffraction.h5").rename(tmp_path / "alone.h5")
    with pytest.raises(
        ScanError, match=r"put diffraction\.h5 beside the product, or name the file"
    ):
        load_scan(tmp_path / "product.h5")
    (tmp_path / "product.h5").unlink()
    with pytest.raises(ScanError, match=r"put product\.h5 beside diffraction\.h5"):
        load_scan(tmp_path / "alone.h5")


def test_patterns_alone_have_no_object(small_scan: Scan, tmp_path: Path) -> None:
    save_scan(small_scan, tmp_path)
    with pytest.raises(ScanError, match="no dataset `object`"):
        load_object(tmp_path / "diffraction.h5")
