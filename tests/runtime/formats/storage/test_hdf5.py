"""Patterns of an HDF5 file are read by slices only, whatever order the scan wants them in."""

from __future__ import annotations

import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest

from ptychonyx.runtime.formats.storage.hdf5 import MAX_UNUSED_SHARE, Hdf5Patterns


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
