"""What a file holds, in a few words: arrays with shapes, dtypes and filters."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from ...errors import ScanError
from ..storage.arrays import Header
from ..storage.hdf5 import Hdf5
from ..storage.mat import Mat73
from .opening import open_arrays

MOST_SHOWN = 6


@dataclass(frozen=True)
class Entry:
    """An array of a file.

    Attributes
    ----------
    header : Header
    packing : str
        Names of its filters; empty if there are none.
    """

    header: Header
    packing: str = ""

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.header.shape)

    def __str__(self) -> str:
        packing = f", {self.packing}" if self.packing else ""
        return f"{self.header.name} {self.header.shape} {self.header.dtype}{packing}"


def entries_of(path: Path) -> list[Entry]:
    """Return the arrays of a file, largest first; of what cannot be read, nothing.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(f"{folder}/scan.npz", y=np.ones(3), dp=np.ones((3, 2, 2), "u2"))
    ...     [str(each) for each in entries_of(Path(folder, "scan.npz"))]
    ['dp (3, 2, 2) uint16', 'y (3,) float64']
    """
    file = open_arrays(path)
    if isinstance(file, Hdf5 | Mat73):
        is_reversed = isinstance(file, Mat73)
        found = [
            Entry(
                Header(name, path, shape[::-1] if is_reversed else shape, dtype), ", ".join(packing)
            )
            for name, shape, dtype, packing in Hdf5(path).walk()
        ]
    else:
        found = []
        for name in file.names:
            try:
                found.append(Entry(file.header(name)))
            except ScanError:  # an array of Python objects, or a damaged one
                continue
    return sorted(found, key=lambda each: -each.size)


def contents(path: Path) -> str:
    """Return the largest arrays of a file in words."""
    entries = entries_of(path)
    if not entries:
        return "nothing"
    more = len(entries) - MOST_SHOWN
    shown = "; ".join(str(each) for each in entries[:MOST_SHOWN])
    return f"{shown}; and {more} more" if more > 0 else shown
