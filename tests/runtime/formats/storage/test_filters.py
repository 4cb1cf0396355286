"""Data that are packed with a filter that is not there are no damaged file."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import h5py
import numpy as np
import pytest

from ptychonyx.runtime import load_scan
from ptychonyx.runtime.errors import ScanError
from ptychonyx.runtime.formats import save_scan
from ptychonyx.runtime.scan import Scan

UNKNOWN = (256, 400, 511)
"""Numbers for tests, which no library has."""


@pytest.mark.parametrize("number", UNKNOWN)
def test_a_filter_that_is_missing_is_named(number: int, small_scan: Scan, tmp_path: Path) -> None:
    save_scan(small_scan, tmp_path)
    with h5py.File(tmp_path / "diffraction.h5", "r+") as file:
        del file["patterns"]
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((1, 32, 32))
        properties.set_filter(number, h5py.h5z.FLAG_OPTIONAL, (0,))
        kind = h5py.h5t.py_create(np.dtype(np.uint16))
        space = h5py.h5s.create_simple((40, 32, 32))
        patterns = h5py.h5d.create(file.id, b"patterns", kind, space, properties)
        patterns.write_direct_chunk((0, 0, 0), b"packed", 0)
    message = rf"`patterns` of .* filter .*number {number}.*pip install hdf5plugin"
    with pytest.raises(ScanError, match=message) as caught:
        load_scan(tmp_path)
    assert "truncated" not in str(caught.value)


@pytest.mark.skipif(not importlib.util.find_spec("hdf5plugin"), reason="hdf5plugin is not there")
def test_patterns_of_an_eiger_are_read(small_scan: Scan, tmp_path: Path) -> None:
    import hdf5plugin

    save_scan(small_scan, tmp_path)
    with h5py.File(tmp_path / "diffraction.h5", "r+") as file:
        del file["patterns"]
        packing = hdf5plugin.Bitshuffle()
        file.create_dataset("patterns", data=small_scan.patterns[:], chunks=(1, 32, 32), **packing)
    np.testing.assert_array_equal(load_scan(tmp_path).patterns[:], small_scan.patterns[:])
