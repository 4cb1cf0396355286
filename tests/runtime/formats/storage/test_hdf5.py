"""Patterns of an HDF5 file are read by slices only, whatever order the scan wants them in."""

from __future__ import annotations

import fcntl
import os
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest

from ptychonyx.runtime import load_product, load_scan
from ptychonyx.runtime.errors import ScanError
from ptychonyx.runtime.formats import save_scan
from ptychonyx.runtime.formats.storage.hdf5 import MAX_UNUSED_SHARE, Hdf5Patterns
from ptychonyx.runtime.scan import Scan


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


def test_a_locked_file_is_being_written(small_scan: Scan, tmp_path: Path) -> None:
    save_scan(small_scan, tmp_path)
    with (tmp_path / "diffraction.h5").open("rb+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(ScanError, match="is being written by another program") as caught:
            load_scan(tmp_path)
    assert "truncated" not in str(caught.value)
    load_scan(tmp_path)


def test_a_file_that_was_not_closed_is_being_written(small_scan: Scan, tmp_path: Path) -> None:
    save_scan(small_scan, tmp_path)
    with h5py.File(tmp_path / "open.h5", "w", libver="latest") as file:
        file["patterns"] = small_scan.patterns[:]
        file.flush()
        content = (tmp_path / "open.h5").read_bytes()
    (tmp_path / "diffraction.h5").write_bytes(content)
    with pytest.raises(ScanError, match="is being written by another program"):
        load_scan(tmp_path)


@pytest.mark.parametrize(("changed_s", "is_fresh"), [(1e10, True), (1, False)])
def test_a_file_that_grows_may_still_be_written(
    changed_s: float, is_fresh: bool, small_scan: Scan, tmp_path: Path
) -> None:
    save_scan(small_scan, tmp_path)
    whole = (tmp_path / "diffraction.h5").read_bytes()
    (tmp_path / "diffraction.h5").write_bytes(whole[:20_000])
    os.utime(tmp_path / "diffraction.h5", (changed_s, changed_s))
    with pytest.raises(ScanError, match="copy it again") as caught:
        load_scan(tmp_path)
    assert ("still being written" in str(caught.value)) == is_fresh


HUGE: dict[str, tuple[str, tuple[int, ...], str]] = {
    "object": ("product.h5", (1, 60_000, 60_000), "`object` of .* GB are allowed"),
    "small object": ("product.h5", (1, 3300, 3300), "`object` of .* only 0 bytes in the file"),
    "probe": ("product.h5", (1, 3, 20_000, 20_000), "but the patterns are 32×32"),
    "modes": ("product.h5", (1, 4000, 32, 32), "4000 modes; at most 64"),
    "positions": ("product.h5", (2_000_000_000,), "at most 10000000 positions"),
    "coverage": ("product.h5", (50_000, 50_000), r"expected \("),
    "patterns": ("diffraction.h5", (40, 100_000, 100_000), "windows of at most 8192 pixels"),
    "many patterns": ("diffraction.h5", (2**40, 32, 32), "at most 10000000 patterns"),
    "bad_pixels": ("diffraction.h5", (60_000, 60_000), r"expected \(32, 32\)"),
    "indexes": ("diffraction.h5", (2_000_000_000,), "at most 10000000 positions"),
}
PLACES = {
    "positions": "probe_position_indexes",
    "coverage": "ptychonyx/coverage",
    "small object": "object",
    "modes": "probe",
    "many patterns": "patterns",
}


@pytest.mark.parametrize("what", HUGE)
def test_what_a_header_promises_is_refused_before_data_are_read(
    what: str, small_scan: Scan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HDF5 makes up what was never written, so a file of a few kB can hold any shape."""
    name, shape, message = HUGE[what]
    save_scan(small_scan, tmp_path)
    with h5py.File(tmp_path / name, "r+") as file:
        place = PLACES.get(what, what)
        attributes = dict(file[place].attrs) if place in file else {}
        if place in file:
            del file[place]
        file.create_dataset(place, shape, np.uint8 if what != "small object" else np.complex64)
        file[place].attrs.update(attributes)
    read = h5py.Dataset.__getitem__

    def small_only(self: h5py.Dataset, key: object) -> object:
        assert self.nbytes < 1e6, f"{self.name} was read"
        return read(self, key)

    monkeypatch.setattr(h5py.Dataset, "__getitem__", small_only)
    with pytest.raises(ScanError, match=message):
        load_product(tmp_path / name) if what == "coverage" else load_scan(tmp_path)
