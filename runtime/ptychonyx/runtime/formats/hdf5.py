"""HDF5 files, opened only while something is read from them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ..errors import ScanError

MAX_UNUSED_SHARE = 4
"""Scattered rows are read as one block of at most this many times their number: one block is much
faster than many single rows."""


@contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading, or say what is wrong with it.

    Raises
    ------
    ScanError
        If there is no such file, or it turns out to be damaged while it is read.
    """
    if not path.is_file():
        raise ScanError(f"There is no file {path}; check the path.")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except ScanError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError) as error:  # h5py's, for damaged files
        raise ScanError(
            f"{path} is not a readable HDF5 file ({error}); an undamaged file is needed: it may be "
            "truncated, copy it again."
        ) from None


def dataset_names(path: Path) -> tuple[str, ...]:
    """Return the names at the root of a file."""
    with open_hdf5(path) as file:
        return tuple(file)


def read_dataset(file: h5py.File, name: str, path: Path) -> NDArray[Any]:
    """Read a whole dataset.

    Raises
    ------
    ScanError
        If there is none of this name.
    """
    return np.asarray(find_dataset(file, name, path)[()])


def find_dataset(file: h5py.File, name: str, path: Path) -> h5py.Dataset:
    """Return a dataset without reading it.

    Raises
    ------
    ScanError
        If there is none of this name.
    """
    if not isinstance(file.get(name), h5py.Dataset):
        raise ScanError(
            f"{path} has no dataset `{name}`, which such a file needs; it holds: "
            f"{', '.join(file) or 'nothing'}."
        )
    return file[name]


class Hdf5Patterns:
    """Some rows of the dataset `patterns`, read piece by piece.

    The file is opened for each piece, so a scan can be shared by threads and sent to processes.

    Parameters
    ----------
    path : path
    rows : int64 array, shape (n,), optional
        Which pattern of the file is which of the scan; by default all in the file's order.

    Raises
    ------
    ScanError
        If the dataset is missing, is not a stack of images, or does not hold real numbers.
    """

    def __init__(self, path: Path, rows: NDArray[np.int64] | None = None) -> None:
        with open_hdf5(path) as file:
            dataset = find_dataset(file, "patterns", path)
            shape, self.dtype = dataset.shape, dataset.dtype
        if len(shape) != 3:
            raise ScanError(
                f"`patterns` of {path} has shape {shape}, expected (n, N, N): correct the file."
            )
        if self.dtype.kind not in "buif":
            raise ScanError(
                f"`patterns` of {path} has dtype {self.dtype}; real numbers are needed: correct "
                "the file."
            )
        self._path = path
        self._rows = np.arange(shape[0]) if rows is None else rows
        self.shape: tuple[int, ...] = (len(self._rows), *shape[1:])

    def __getitem__(self, key: slice | NDArray[np.int64], /) -> NDArray[Any]:
        """Read the patterns of one slice, or of some indexes; opens the file once."""
        rows = self._rows[key]
        if len(rows) == 0:
            return np.empty((0, *self.shape[1:]), dtype=self.dtype)
        first, last = int(rows.min()), int(rows.max())
        with open_hdf5(self._path) as file:
            dataset = find_dataset(file, "patterns", self._path)
            if last - first < MAX_UNUSED_SHARE * len(rows):
                block = dataset[first : last + 1]
                return np.asarray(block if _is_range(rows) else block[rows - first])
            used, order = np.unique(rows, return_inverse=True)
            return _read_runs(dataset, used)[order]


def _read_runs(dataset: h5py.Dataset, rows: NDArray[np.int64]) -> NDArray[Any]:
    """Read increasing rows; h5py would take an array of them, but needs longer to select each."""
    runs = np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1)
    return np.concatenate([dataset[int(run[0]) : int(run[-1]) + 1] for run in runs])


def _is_range(rows: NDArray[np.int64]) -> bool:
    return bool(np.all(np.diff(rows) == 1))
