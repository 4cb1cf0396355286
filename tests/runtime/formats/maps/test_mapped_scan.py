"""Any file is read by a map, and a file without one says what it holds and what would help."""

from __future__ import annotations

import logging
from pathlib import Path

import h5py
import numpy as np
import pytest
from beamline_files import (
    ENERGY_EV,
    Experiment,
    assert_is,
    experiment_of,
    star_experiment,
    write_plain,
)

from ptychonyx.runtime import load_scan
from ptychonyx.runtime.errors import ScanError
from ptychonyx.runtime.formats import map_template
from ptychonyx.runtime.scan import Scan


@pytest.fixture
def made(small_scan: Scan) -> Experiment:
    return experiment_of(small_scan)


def write_map(folder: Path, text: str) -> Path:
    path = folder / "map.yaml"
    path.write_text(text)
    return path


def test_the_star_by_a_map(star: Path, tmp_path: Path) -> None:
    made = star_experiment(star)
    text = write_plain(tmp_path / "scan.dat", made)
    scan = load_scan(tmp_path / "scan.dat", map_path=write_map(tmp_path, text))
    assert_is(scan, made)
    np.testing.assert_array_equal(scan.probe, made.probe)


def test_an_npz_by_keys_needs_no_map(made: Experiment, tmp_path: Path) -> None:
    y, x = made.corners_px.T
    np.savez(tmp_path / "odd.npz", stack=made.patterns, yy=y, xx=x)
    keys = {"patterns": "stack", "positions_y": "yy", "positions_x": "xx"}
    with pytest.raises(ScanError, match="detector pixel are missing, by which they become pixels"):
        load_scan(tmp_path / "odd.npz", keys=keys)
    text = "patterns: stack\npositions: {y: yy, x: xx, unit: px, origin: corner}\n"
    scan = load_scan(tmp_path / "odd.npz", map_path=write_map(tmp_path, text))
    assert_is(scan, made, has_pixel=False)
    np.testing.assert_array_equal(scan.corners_px, made.corners_px)


@pytest.mark.parametrize("axes", ["nyx", "nxy", "yxn", "mnyx", "yxmn"])
def test_axes_in_any_order(axes: str, made: Experiment, tmp_path: Path) -> None:
    stack = made.patterns.reshape(8, 5, 32, 32)
    order = ["mnyx".index(letter) for letter in (axes if "m" in axes else "m" + axes)]
    if "m" not in axes:
        stack = made.patterns[None]
    stored = stack.transpose(order)
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["images"] = stored if "m" in axes else stored[0]
        file["table"] = np.c_[made.positions_m[:, ::-1], np.zeros(40)]
    text = f"patterns: {{path: images, axes: {axes}}}\npositions: {{path: table, columns: xyz}}\n"
    text += f"object_pixel: {made.pixel_m!r}\nenergy: 8800\n"
    scan = load_scan(tmp_path / "scan.h5", map_path=write_map(tmp_path, text))
    assert_is(scan, made)
    np.testing.assert_array_equal(scan.patterns[3:17], made.patterns[3:17])


def test_positions_from_a_text_file_paired_by_index(
    made: Experiment, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["images"] = made.patterns
        file["numbers"] = np.arange(40) + 10
    rows = [f"{10 + n}, {y!r}, {x!r}" for n, (y, x) in enumerate(made.positions_m.tolist())]
    (tmp_path / "stage.csv").write_text("\n".join(["number, y, x", *rows[:3], *rows[5:]]))
    text = "patterns: {path: images, indexes: numbers}\nobject_pixel: 30 nm\n"
    text += "positions: {file: stage.csv, y: y, x: x, indexes: number}\n"
    with caplog.at_level(logging.WARNING):
        scan = load_scan(tmp_path / "scan.h5", map_path=write_map(tmp_path, text))
    assert "2 of 40 patterns have no position of their own: put between" in caplog.text
    np.testing.assert_array_equal(scan.patterns[:], made.patterns)
    expected = made.positions_m / 30e-9
    expected[3:5] = expected[2] + (expected[5] - expected[2]) * np.array([[1], [2]]) / 3
    shift_px = scan.corners_px - expected
    np.testing.assert_allclose(shift_px - shift_px[0], 0, atol=1e-9)


def test_dark_frames_and_mask(made: Experiment, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["images"] = made.patterns
        file["dark"] = np.stack([np.full((32, 32), 1), np.full((32, 32), 3)])
        file["good"] = np.eye(32)
    write_plain(tmp_path / "other.h5", made)
    text = f"patterns: images\ndark: dark\nmask: {{path: good, bad: zero}}\nobject_pixel: {made.pixel_m!r}\n"
    text += "positions: {file: other.h5, y: motors/vertical, x: motors/horizontal}\n"
    scan = load_scan(tmp_path / "scan.h5", map_path=write_map(tmp_path, text))
    expected = np.maximum(made.patterns.astype(np.float32) - 2, 0)
    np.testing.assert_array_equal(scan.patterns[0:40], expected)
    assert scan.bad_pixels is not None
    np.testing.assert_array_equal(scan.bad_pixels, np.eye(32) == 0)


def test_a_file_of_no_known_layout_says_what_it_holds(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file.create_dataset("a/b/images", data=np.ones((2, 8, 9), np.uint32), compression="gzip")
    message = r"holds: a/b/images \(2, 8, 9\) uint32, deflate.*say it with `--map`.*--map-template"
    with pytest.raises(ScanError, match=message):
        load_scan(tmp_path / "raw.h5")


def test_the_template_is_a_map_that_reads_the_file(made: Experiment, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["entry/data"] = made.patterns
        file["entry/pos_y"], file["entry/pos_x"] = made.positions_m.T
        file["entry/energy"], file["entry/distance"] = ENERGY_EV, 1.92
        file["entry/x_pixel_size"] = 75e-6
        file["entry/probe"] = made.probe
    text = map_template(tmp_path / "scan.h5")
    scan = load_scan(tmp_path / "scan.h5", map_path=write_map(tmp_path, text))
    assert_is(scan, made)
    np.testing.assert_array_equal(scan.probe, made.probe)


BAD_MAPS = {
    "no YAML": ("patterns: [", "is no YAML"),
    "a list": ("- patterns", "words with what lies where are needed"),
    "an unknown word": ("pattern: images", "has `pattern`, which says nothing here"),
    "no such array": ("patterns: nothing", "has no dataset `nothing`"),
    "wrong axes": ("patterns: {path: images, axes: yx}", "does not fit the axes 'yx'"),
    "axes without y": ("patterns: {path: images, axes: abc}", "y and x for those of an image"),
    "unknown unit": ("patterns: images\nenergy: 3 furlong", "has the unit 'furlong'; known are"),
    "negative energy": ("patterns: images\nenergy: -3", "positive numbers are needed"),
    "no positions": ("patterns: images", "holds no positions; .*`--map`"),
    "one axis": ("patterns: images\npositions: {y: t}", "has no `x`"),
    "a table of another shape": ("patterns: images\npositions: images", "say its `columns`"),
    "objects of Python": ("!!python/object/apply:os.system ['true']", "is no YAML"),
}


@pytest.mark.parametrize(("text", "message"), BAD_MAPS.values(), ids=BAD_MAPS)
def test_bad_maps(text: str, message: str, made: Experiment, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["images"], file["t"] = made.patterns, np.zeros(40)
    with pytest.raises(ScanError, match=f"(?s){message}"):
        load_scan(tmp_path / "scan.h5", map_path=write_map(tmp_path, text))


def test_floats_may_be_either(made: Experiment, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "scan.h5", "w") as file:
        file["images"], file["table"] = made.patterns + 0.5, made.corners_px
    text = "patterns: images\npositions: {path: table, unit: px}\n"
    with pytest.raises(ScanError, match="may be counts or amplitudes; `quantity` must say"):
        load_scan(tmp_path / "scan.h5", map_path=write_map(tmp_path, text))
    path = write_map(tmp_path, f"{text}quantity: amplitude\n")
    assert load_scan(tmp_path / "scan.h5", map_path=path).quantity == "amplitude"
