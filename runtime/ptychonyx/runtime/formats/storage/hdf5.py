"""HDF5 files, opened only while something is read from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ...errors import ScanError
from ...scan import check_square
from .arrays import MAX_POSITIONS, REALS, Header, check_kind, check_size
from .damage import being_written, damaged
from .filters import check_filters, filter_names
from .links import MAX_DEPTH, find, names_of

MAX_UNUSED_SHARE = 4
"""Scattered rows are read as one block of at most this many times their number: one block is much
faster than many single rows."""
MAX_LISTED = 300
"""Datasets of a file that are listed."""
MAX_WINDOW_PX = 8192
"""Twice the side of the largest detectors."""


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file for a few calls of h5py, or say what is wrong with it."""
    if not path.is_file():
        raise ScanError(f"There is no file {path}; check the path.")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except ScanError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:  # all of h5py's
        if isinstance(error, BlockingIOError) or "already open for write" in str(error):
            raise being_written(path, error) from None
        raise damaged(str(path), path, "HDF5", error) from None


class Hdf5:
    """An HDF5 file, read one named array at a time.

    Names may be paths, such as "ptychonyx/coverage".

    Raises
    ------
    ScanError
        If it is no HDF5 file, or a damaged one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.names = self.names_in("/")

    def __contains__(self, name: str) -> bool:
        group, _, own = name.rpartition("/")
        return own in (self.names_in(group) if group else self.names)

    def names_in(self, group: str) -> tuple[str, ...]:
        """Return the names in a group; none if there is no such group."""
        with opened(self.path) as file:
            found = find(file, group)
            return names_of(found) if isinstance(found, h5py.Group) else ()

    def attributes(self, name: str = "/") -> dict[str, Any]:
        """Return the attributes of a group or dataset; none if it is not there."""
        with opened(self.path) as file:
            found = find(file, name)
            attributes = {} if found is None else dict(found.attrs)
        return {
            key: np.empty(0, value.dtype) if isinstance(value, h5py.Empty) else value
            for key, value in attributes.items()
        }

    def walk(self) -> list[tuple[str, tuple[int, ...], np.dtype[Any], tuple[str, ...]]]:
        """Return name, shape, dtype and filters of datasets in all groups, the first few hundred.

        Links into other files are not followed.
        """
        found: list[tuple[str, tuple[int, ...], np.dtype[Any], tuple[str, ...]]] = []
        with opened(self.path) as file:
            waiting: list[tuple[str, h5py.Group, int]] = [("", file["/"], 0)]
            while waiting and len(found) < MAX_LISTED:
                prefix, group, depth = waiting.pop(0)
                for name in names_of(group):
                    kind = group.id.links.get_info(name.encode("utf-8", "surrogateescape")).type
                    if kind != h5py.h5l.TYPE_HARD:
                        continue
                    member = group[name]
                    if isinstance(member, h5py.Group) and depth < MAX_DEPTH:
                        waiting.append((f"{prefix}{name}/", member, depth + 1))
                    elif isinstance(member, h5py.Dataset):
                        own = (
                            f"{prefix}{name}",
                            _shape(member),
                            member.dtype,
                            filter_names(member),
                        )
                        found.append(own)
        return found

    def header(self, name: str) -> Header:
        """Return shape and dtype of a dataset without reading it.

        Raises
        ------
        ScanError
            If there is none, or its data cannot or must not be read.
        """
        with opened(self.path) as file:
            dataset = _dataset(file, name, self.path)
            check_filters(dataset, self.path)
            stored = None if dataset.is_virtual else int(dataset.id.get_storage_size())
            return Header(name, self.path, _shape(dataset), dataset.dtype, stored)

    def read(self, name: str, part: int | None = None) -> NDArray[Any]:
        """Read a dataset, or one part along its first axis; its header should be checked before."""
        with opened(self.path) as file:
            dataset = _dataset(file, name, self.path)
            if dataset.shape is None:
                return np.empty(_shape(dataset), dataset.dtype)
            return np.asarray(dataset[() if part is None else part])


def _shape(dataset: h5py.Dataset) -> tuple[int, ...]:
    """Return the shape of a dataset; HDF5 has some of none, which hold nothing."""
    return (0,) if dataset.shape is None else tuple(dataset.shape)


def _dataset(file: h5py.File, name: str, path: Path) -> h5py.Dataset:
    found = find(file, name)
    if not isinstance(found, h5py.Dataset):
        raise ScanError(
            f"{path} has no dataset `{name}`, which such a file needs; it holds: "
            f"{', '.join(names_of(file)) or 'nothing'}."
        )
    return found


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
        header = Hdf5(path).header("patterns")
        shape, self.dtype = header.shape, header.dtype
        check_kind(header, REALS)
        if len(shape) != 3:
            raise ScanError(f"{header} has shape {shape}, expected (n, N, N): correct the file.")
        if shape[0] > MAX_POSITIONS:
            raise ScanError(
                f"{header} has shape {shape}; at most {MAX_POSITIONS} patterns can be used: check the "
                "file, or split the scan."
            )
        check_square(*shape[1:])
        if max(shape[1:]) > MAX_WINDOW_PX:
            raise ScanError(
                f"{header} has shape {shape}; windows of at most {MAX_WINDOW_PX} pixels are needed: "
                "crop or bin the patterns."
            )
        check_size(Header("patterns", path, (1, *shape[1:]), self.dtype))
        self._path = path
        self._rows = np.arange(shape[0]) if rows is None else rows
        self.shape: tuple[int, ...] = (len(self._rows), *shape[1:])

    def __getitem__(self, key: slice | NDArray[np.int64], /) -> NDArray[Any]:
        """Read the patterns of one slice, or of some indexes; opens the file once."""
        return read_rows(self._rows[key], self._read, self.shape, self.dtype)

    def _read(self, *parts: slice) -> list[NDArray[Any]]:
        """Read slices; h5py would take an array of rows, but needs longer to select each."""
        with opened(self._path) as file:
            dataset = file["patterns"]  # links were checked when its header was read
            return [np.asarray(dataset[part]) for part in parts]


def read_rows(
    rows: NDArray[np.int64],
    read: Callable[..., list[NDArray[Any]]],
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
) -> NDArray[Any]:
    """Read rows of a stack, in any order, by few slices.

    Parameters
    ----------
    rows : int64 array
    read : callable
        Slices -> a block of rows for each; called once.
    shape : tuple of int
        Shape of the stack.
    dtype : numpy dtype
        Type of what is returned if there are no rows.
    """
    if len(rows) == 0:
        return np.empty((0, *shape[1:]), dtype=dtype)
    first, last = int(rows.min()), int(rows.max())
    if last - first < MAX_UNUSED_SHARE * len(rows):
        (block,) = read(slice(first, last + 1))
        return block if _is_range(rows) else block[rows - first]
    used, order = np.unique(rows, return_inverse=True)
    runs = np.split(used, np.flatnonzero(np.diff(used) > 1) + 1)
    blocks = read(*(slice(int(run[0]), int(run[-1]) + 1) for run in runs))
    return np.concatenate(blocks)[order]


def _is_range(rows: NDArray[np.int64]) -> bool:
    return bool(np.all(np.diff(rows) == 1))
