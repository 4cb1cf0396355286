"""What each bad scan is answered with; models and flags have tables of their own."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from ptychonyx.runtime import load_scan
from ptychonyx.runtime.errors import QuantityError, ScanError
from ptychonyx.runtime.formats import load_object, load_probe, save_scan
from ptychonyx.runtime.scaling import counts_per_pattern, probe_in_counts
from ptychonyx.runtime.scan import Scan

Change = dict[str, Any]
GOOD: Change = {
    "diff3d": np.random.default_rng(0).uniform(0, 9, (4, 32, 32)),
    "xcoords": np.arange(4.0),
    "ycoords": np.arange(4.0),
    "probeGuess": np.ones((32, 32), complex),
}


def with_pixel(value: float) -> np.ndarray:
    patterns = GOOD["diff3d"].copy()
    patterns[2, 5, 5] = value
    return patterns


BAD_NPZ: dict[str, tuple[Change, str]] = {
    "no patterns": ({"diff3d": None}, "holds no diffraction patterns; expected one of: diff3d"),
    "no positions": ({"ycoords": None}, "has no `ycoords`"),
    "x and y differ": ({"xcoords": np.arange(3.0)}, "4 `ycoords` but 3 `xcoords`"),
    "too few positions": (
        {"xcoords": np.arange(3.0), "ycoords": np.arange(3.0)},
        "holds 4 patterns, but there are 3 positions",
    ),
    "position not finite": ({"xcoords": np.array([0, 1, np.nan, 3])}, "Position 2 is not finite"),
    "not square": ({"diff3d": np.full((4, 32, 30), 0.5)}, "32×30; square windows are needed"),
    "two axes": ({"diff3d": np.full((4, 32), 0.5)}, "expected \\(n, N, N\\)"),
    "empty": (
        {"diff3d": np.zeros((0, 32, 32)), "xcoords": np.zeros(0), "ycoords": np.zeros(0)},
        "The scan is empty",
    ),
    "NaN": ({"diff3d": with_pixel(np.nan)}, "Pattern 2 holds a value that is not a finite number"),
    "infinite": ({"diff3d": with_pixel(np.inf)}, "Pattern 2 holds a value that is not a finite"),
    "negative": ({"diff3d": with_pixel(-1)}, "Pattern 2 holds a negative value"),
    "all zero": ({"diff3d": np.zeros((4, 32, 32))}, "all sampled diffraction patterns are zero"),
    "complex patterns": ({"diff3d": np.ones((4, 32, 32), complex)}, "real numbers are needed"),
    "objects": ({"diff3d": np.array([None] * 4)}, "real numbers are needed"),
    "probe size": ({"probeGuess": np.ones((16, 16), complex)}, "`probe` has shape"),
    "probe zero": ({"probeGuess": np.zeros((32, 32), complex)}, "a finite probe that is not zero"),
    "mask size": ({"bad_pixels": np.zeros((3, 3), bool)}, "`bad_pixels` has shape"),
    "object of four axes": ({"objectGuess": np.ones((2, 2, 2, 2))}, "expected \\(H, W\\)"),
}


@pytest.mark.parametrize(("change", "message"), BAD_NPZ.values(), ids=BAD_NPZ)
def test_bad_npz(change: Change, message: str, tmp_path: Path) -> None:
    values = {name: array for name, array in (GOOD | change).items() if array is not None}
    np.savez(tmp_path / "scan.npz", **values)
    with pytest.raises(ScanError, match=message):
        use(load_scan(tmp_path / "scan.npz"))


def use(scan: Scan) -> None:
    counts = counts_per_pattern(scan)
    if scan.probe is not None:
        probe_in_counts(scan.probe, counts)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_integers_need_a_word(tmp_path: Path) -> None:
    np.savez(tmp_path / "scan.npz", **GOOD | {"diff3d": np.full((4, 32, 32), 7.0)})
    with pytest.raises(QuantityError) as caught:
        load_scan(tmp_path / "scan.npz")
    for word in ("counts", "amplitude"):
        assert f"{tmp_path / 'scan.npz'} --quantity {word}" in str(caught.value)
        assert load_scan(tmp_path / "scan.npz", quantity=word).quantity == word


def test_files_that_are_no_scan(tmp_path: Path) -> None:
    with pytest.raises(ScanError, match="There is no file"):
        load_scan(tmp_path / "missing.npz")
    (tmp_path / "scan.tif").write_bytes(b"II*")
    with pytest.raises(ScanError, match="is of no known format"):
        load_scan(tmp_path / "scan.tif")
    (tmp_path / "text.npz").write_text("not a zip")
    with pytest.raises(ScanError, match="is not a readable NPZ file"):
        load_scan(tmp_path / "text.npz")
    np.savez(tmp_path / "cut.npz", **GOOD)
    truncate(tmp_path / "cut.npz")
    with pytest.raises(ScanError, match="copy it again"):
        load_scan(tmp_path / "cut.npz")
    np.savez(tmp_path / "bare.npz", xcoords=np.arange(3))
    for read, what in ((load_object, "no object"), (load_probe, "no probe")):
        with pytest.raises(ScanError, match=what):
            read(tmp_path / "bare.npz")
    for word in ({"quantity": "photons"}, {"position_origin": "middle"}):
        with pytest.raises(ScanError, match="expected one of"):
            load_scan(tmp_path / "bare.npz", **word)


def remove(name: str, dataset: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        with h5py.File(folder / name, "r+") as file:
            del file[dataset]

    return edit


def set_indexes(folder: Path, values: np.ndarray) -> None:
    with h5py.File(folder / "diffraction.h5", "r+") as file:
        file["indexes"][...] = values


BAD_PTYCHODUS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no diffraction": (lambda folder: (folder / "diffraction.h5").unlink(), "diffraction.h5"),
    "no product": (lambda folder: (folder / "product.h5").unlink(), "There is no file"),
    "truncated": (lambda folder: truncate(folder / "diffraction.h5"), "is not a readable HDF5"),
    "no patterns": (remove("diffraction.h5", "patterns"), "has no dataset `patterns`"),
    "no positions": (remove("product.h5", "probe_position_x_m"), "no dataset `probe_position_x_m`"),
    "no object": (remove("product.h5", "object"), "has no dataset `object`"),
    "other scan": (
        lambda folder: set_indexes(folder, np.arange(40) + 900),
        "shares its scan index",
    ),
    "index twice": (lambda folder: set_indexes(folder, np.zeros(40)), "have the same scan index"),
}


@pytest.mark.parametrize(("edit", "message"), BAD_PTYCHODUS.values(), ids=BAD_PTYCHODUS)
def test_bad_ptychodus_files(
    edit: Callable[[Path], Any], message: str, small_scan: Scan, tmp_path: Path
) -> None:
    save_scan(small_scan, tmp_path)
    edit(tmp_path)
    with pytest.raises(ScanError, match=message):
        load_scan(tmp_path)


def test_bad_pixels_are_zero_before_anything_else(small_scan: Scan) -> None:
    patterns = np.asarray(small_scan.patterns[0:5], dtype=np.float32)
    patterns[:, 3, 4] = np.nan
    mask = np.zeros((32, 32), bool)
    mask[3, 4] = True
    scan = Scan(patterns, "counts", small_scan.corners_px[:5], bad_pixels=mask)
    clean = dataclasses.replace(scan, patterns=np.nan_to_num(patterns), bad_pixels=None)
    assert counts_per_pattern(scan) == pytest.approx(counts_per_pattern(clean))
