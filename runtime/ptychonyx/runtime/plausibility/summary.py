"""What one reading of all patterns tells, in memory that does not grow with their number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..scan import Quantity, Scan

READ_VALUES = 2**20
"""Values in memory at once; so few stay in a processor's cache while they are looked at."""
LARGEST_VALUE: dict[Quantity, float] = {"counts": 2.0**31 - 1, "amplitude": 1e6}
"""Quantity -> a stored value that no detector counts: gaps hold it, or something went wrong."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class PatternSummary:
    """Statistics of the patterns of a scan, as stored, without the pixels that it marks as bad.

    A value is impossible if it is not finite, negative, or so large that no detector counts it; in
    sums it is 0.

    Attributes
    ----------
    num_patterns : int
    lowest, highest : float64 array, shape (N, N)
        Smallest and largest possible value of each pixel; 0 where the scan marks a bad pixel.
    num_highest : int64 array, shape (N, N)
        How many patterns have the highest value of that pixel.
    num_impossible : int64 array, shape (N, N)
    first_impossible : dict
        (row, column) -> the first pattern whose value there is impossible, and that value.
    total_counts : float64 array, shape (N, N)
        Counts of each pixel, summed over the patterns.
    total_shares : float64 array, shape (N, N)
        Share of each pixel in the counts of a pattern, summed over the patterns: single patterns that
        are far too bright weigh no more than others.
    counts : float64 array, shape (n,)
        Counts of each pattern.
    """

    num_patterns: int
    lowest: NDArray[np.float64]
    highest: NDArray[np.float64]
    num_highest: NDArray[np.int64]
    num_impossible: NDArray[np.int64]
    first_impossible: dict[tuple[int, int], tuple[int, float]]
    total_counts: NDArray[np.float64]
    total_shares: NDArray[np.float64]
    counts: NDArray[np.float64]


def summarize_patterns(scan: Scan, progress: Progress | None = None) -> PatternSummary:
    """Read all patterns once, and keep what tells whether they can be right.

    Parameters
    ----------
    scan : Scan
    progress : callable, optional
        Called with the number of patterns read, and of all.

    Returns
    -------
    PatternSummary

    Examples
    --------
    >>> patterns = np.array([[[1, 65535], [2, 3]], [[4, 65535], [0, 3]]], np.uint16)
    >>> summary = summarize_patterns(Scan(patterns, "counts", np.zeros((2, 2))))
    >>> summary.highest.tolist(), summary.num_highest.tolist()
    ([[4.0, 65535.0], [2.0, 3.0]], [[1, 2], [1, 2]])
    """
    side, num = scan.window_px, scan.num_patterns
    lowest, highest = np.full((side, side), np.inf), np.full((side, side), -np.inf)
    num_highest, num_impossible = np.zeros((2, side, side), np.int64)
    first: dict[tuple[int, int], tuple[int, float]] = {}
    sums, counts = np.zeros((2, side**2)), np.zeros(num)
    step = max(1, READ_VALUES // side**2)
    limit = LARGEST_VALUE[scan.quantity]
    for start in range(0, num, step):
        values = np.asarray(scan.patterns[start : min(start + step, num)])
        if values.dtype.kind == "b":
            values = values.astype(np.uint8)
        if scan.bad_pixels is not None:
            values = np.where(scan.bad_pixels, values.dtype.type(0), values)
        low, high = values.min(axis=0), values.max(axis=0)
        if not (low.min() >= 0 and high.max() < limit):  # NaN is neither
            impossible = ~((values >= 0) & (values < limit))
            num_impossible += impossible.sum(axis=0)
            _note(first, values, impossible, start)
            values = np.where(impossible, values.dtype.type(0), values)
            low, high = values.min(axis=0), values.max(axis=0)
        at_high = np.count_nonzero(values == high, axis=0)
        num_highest = np.where(high > highest, 0, num_highest) + np.where(
            high >= highest, at_high, 0
        )
        lowest, highest = np.minimum(lowest, low), np.maximum(highest, high)
        flat = values.reshape(len(values), -1).astype(np.float64)
        if scan.quantity == "amplitude":
            np.square(flat, out=flat)
        each = counts[start : start + len(values)] = flat.sum(axis=1)
        weights = np.divide(1.0, each, out=np.zeros_like(each), where=each > 0)
        sums += np.stack([np.ones_like(weights), weights]) @ flat
        if progress is not None:
            progress(start + len(values), num)
    total, shares = sums.reshape(2, side, side)
    return PatternSummary(
        num, lowest, highest, num_highest, num_impossible, first, total, shares, counts
    )


def _note(
    first: dict[tuple[int, int], tuple[int, float]],
    values: NDArray[Any],
    impossible: NDArray[np.bool_],
    start: int,
) -> None:
    """Note where each pixel is impossible for the first time, and its value there."""
    indexes = impossible.argmax(axis=0)
    for y, x in np.argwhere(impossible.any(axis=0)).tolist():
        index = int(indexes[y, x])
        first.setdefault((y, x), (start + index, float(values[index, y, x])))
