"""Which pattern was taken where, by their scan indexes: the rule of Ptychodus since 1.3."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import ScanError

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pairs:
    """Patterns that have a position.

    Attributes
    ----------
    rows : int64 array, shape (n,)
        Rows of the patterns, in rising order.
    indexes : int64 array, shape (n,)
        Their scan indexes.
    positions : float64 array, shape (n, 2)
    """

    rows: NDArray[np.int64]
    indexes: NDArray[np.int64]
    positions: NDArray[np.float64]


def pair(
    pattern_indexes: NDArray[np.int64],
    position_indexes: NDArray[np.int64],
    positions: NDArray[np.float64],
    path: Path,
) -> Pairs:
    """Give each pattern a position.

    Positions of the same index are averaged. A pattern whose index has no position, but lies between
    two that have, gets one on the line between them. Patterns before the first position and after
    the last are left out. What was done is counted in one line each.

    Parameters
    ----------
    pattern_indexes : int64 array, shape (n,)
    position_indexes : int64 array, shape (k,)
    positions : float64 array, shape (k, 2)
    path : Path
        Names the scan.

    Raises
    ------
    ScanError
        If two patterns have the same index, or no pattern lies between positions.

    Examples
    --------
    >>> pairs = pair(np.arange(4), np.array([1, 3]), np.array([[0.0, 0], [2, 4]]), Path("scan.h5"))
    >>> pairs.indexes.tolist(), pairs.positions.tolist()
    ([1, 2, 3], [[0.0, 0.0], [1.0, 2.0], [2.0, 4.0]])
    """
    _check_unique(pattern_indexes, path)
    if len(positions) == 0:
        raise ScanError(
            f"The scan is empty: {path} has no positions; one for each pattern is needed: check how the "
            "file was made."
        )
    known, which, occurrences = np.unique(position_indexes, return_inverse=True, return_counts=True)
    means = positions
    if len(known) < len(positions) or np.any(np.diff(position_indexes) < 0):
        sums = np.zeros((len(known), 2))
        np.add.at(sums, which, positions)
        means = sums / occurrences[:, None]
    inside = (pattern_indexes >= known[0]) & (pattern_indexes <= known[-1])
    rows = np.flatnonzero(inside)
    indexes = pattern_indexes[rows]
    if len(rows) == 0:
        raise ScanError(
            f"None of the {len(pattern_indexes)} patterns of {path} has a scan index among those of "
            f"the {len(positions)} positions, {known[0]} to {known[-1]}; check that both belong to "
            "one scan."
        )
    placed = np.stack([np.interp(indexes, known, axis) for axis in means.T], axis=1)
    _say(path, pattern_indexes, position_indexes, indexes)
    return Pairs(rows, indexes, placed)


def _say(
    path: Path,
    patterns: NDArray[np.int64],
    positions: NDArray[np.int64],
    kept: NDArray[np.int64],
) -> None:
    known = np.unique(positions)
    num_interpolated = int((~np.isin(kept, known)).sum())
    num_unused = int((~np.isin(known, kept)).sum())
    lines = (
        (len(positions) - len(known), "positions have an index for the second time: averaged"),
        (num_interpolated, "patterns have no position of their own: put between their neighbours"),
        (len(patterns) - len(kept), "patterns lie before the first position or after the last"),
        (num_unused, "positions have no pattern"),
    )
    endings = ("", "", ": left out", ": left out")
    totals = (len(positions), len(patterns), len(patterns), len(positions))
    for (num, what), ending, total in zip(lines, endings, totals, strict=True):
        if num:
            _logger.warning("%s: %d of %d %s%s.", path, num, total, what, ending)


def _check_unique(indexes: NDArray[np.int64], path: Path) -> None:
    unique, occurrences = np.unique(indexes, return_counts=True)
    if len(unique) != len(indexes):
        raise ScanError(
            f"{path}: two patterns have the same scan index, {unique[occurrences > 1][0]}; each "
            "index may occur once: remove one of them."
        )
