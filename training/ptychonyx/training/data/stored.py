"""Large training sets that stay in their files: indexed like an array, read batch by batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptychonyx.runtime.scaling import read_amplitudes_of
from ptychonyx.runtime.scan import Scan
from ptychonyx.runtime.stitching.patches import cut_patches


@dataclass(frozen=True)
class StoredAmplitudes:
    """The amplitudes of several scans, read when they are indexed.

    Attributes
    ----------
    scans : sequence of Scan
        All of the same window N.
    starts : int64 array, shape (S,)
        Index of each scan's first pattern.

    Examples
    --------
    >>> scan = Scan(np.arange(1.0, 4.0).reshape(3, 1, 1), "amplitude", np.zeros((3, 2)))
    >>> StoredAmplitudes([scan, scan], np.array([0, 3]))[np.array([[5, 0]])][..., 0, 0]
    array([[3., 1.]], dtype=float32)
    """

    scans: Sequence[Scan]
    starts: NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return (n, N, N)."""
        side = self.scans[0].window_px
        return (sum(scan.num_patterns for scan in self.scans), side, side)

    def __getitem__(self, indexes: NDArray[np.int64], /) -> NDArray[np.float32]:
        """Read the amplitudes (*indexes.shape, N, N) of some patterns."""
        found = np.empty((*indexes.shape, *self.shape[1:]), dtype=np.float32)
        for scan, chosen, own in _by_scan(self.starts, indexes):
            found[chosen] = read_amplitudes_of(self.scans[scan], own)
        return found


@dataclass(frozen=True)
class StoredTruth:
    """The scans' own objects in each window, cut when they are indexed.

    Attributes
    ----------
    objects : sequence of complex128 array, shape (H, W)
        Object of each scan.
    corners_px : float64 array, shape (n, 2)
        Top-left pixel (y, x) of each window, in the pixels of its scan's object.
    starts : int64 array, shape (S,)
        Index of each scan's first pattern.
    window_px : int
        N.
    """

    objects: Sequence[NDArray[np.complex128]]
    corners_px: NDArray[np.float64]
    starts: NDArray[np.int64]
    window_px: int

    def __getitem__(self, indexes: NDArray[np.int64], /) -> NDArray[np.complex64]:
        """Cut the patches (*indexes.shape, N, N) of some patterns."""
        side = self.window_px
        found = np.empty((*indexes.shape, side, side), dtype=np.complex64)
        for scan, chosen, own in _by_scan(self.starts, indexes):
            corners_px = self.corners_px[own + self.starts[scan]]
            found[chosen] = cut_patches(self.objects[scan], corners_px, side)
        return found


def _by_scan(
    starts: NDArray[np.int64], indexes: NDArray[np.int64]
) -> Iterator[tuple[int, NDArray[np.bool_], NDArray[np.int64]]]:
    """Yield each scan, which of the indexes are its own, and their places in it."""
    scans = np.searchsorted(starts, indexes, side="right") - 1
    for scan in np.unique(scans):
        chosen = scans == scan
        yield int(scan), chosen, indexes[chosen] - starts[scan]
