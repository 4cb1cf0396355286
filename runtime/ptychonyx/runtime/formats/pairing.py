"""Which position belongs to which pattern, by Ptychodus' rule."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import ScanError

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pairs:
    """Patterns that have a position.

    Attributes
    ----------
    rows : int64 array, shape (k,)
        Where each of them is in its file.
    indexes : int64 array, shape (k,)
        Their scan indexes.
    corners_px : float64 array, shape (k, 2)
    """

    rows: NDArray[np.int64]
    indexes: NDArray[np.int64]
    corners_px: NDArray[np.float64]


def pair_patterns(
    position_indexes: NDArray[np.int64],
    corners_px: NDArray[np.float64],
    pattern_indexes: NDArray[np.int64],
    *,
    positions_path: Path,
    patterns_path: Path,
) -> Pairs:
    """Pair patterns with positions by their scan indexes, as Ptychodus does since 1.7.

    Positions of the same index are averaged. A pattern whose index lies between those of two
    positions gets one in between, by linear interpolation; one before the first or after the last
    is left out. Each of these is said, with its number.

    Parameters
    ----------
    position_indexes : int64 array, shape (m,)
    corners_px : float64 array, shape (m, 2)
    pattern_indexes : int64 array, shape (n,)
        Each once.
    positions_path, patterns_path : Path
        The files, for what is said.

    Returns
    -------
    Pairs
        In the order of the positions if each has its own; else by rising index.

    Raises
    ------
    ScanError
        If no pattern has a position.

    Examples
    --------
    >>> corners_px = np.array([[0.0, 0.0], [0.0, 6.0]])
    >>> paths = {"positions_path": Path("product.h5"), "patterns_path": Path("diffraction.h5")}
    >>> pairs = pair_patterns(np.array([0, 2]), corners_px, np.array([2, 1, 0]), **paths)
    >>> pairs.indexes.tolist(), pairs.rows.tolist(), pairs.corners_px[:, 1].tolist()
    ([0, 1, 2], [2, 1, 0], [0.0, 3.0, 6.0])
    """
    known, corners_px = _average_repeated(position_indexes, corners_px, positions_path)
    order = np.argsort(known, kind="stable")
    rising, along = known[order], corners_px[order]
    is_inner = np.zeros(len(pattern_indexes), np.bool_)
    if len(known):
        is_inner = (pattern_indexes >= rising[0]) & (pattern_indexes <= rising[-1])
    if not is_inner.any():
        raise ScanError(
            f"None of the {len(known)} positions of {positions_path} shares its scan index with one "
            f"of the {len(pattern_indexes)} patterns of {patterns_path}; check that both files "
            "belong to one scan."
        )
    paired = pattern_indexes[is_inner]
    num_between = int((~np.isin(paired, known)).sum())
    num_unused = int((~np.isin(known, paired)).sum())
    _say(
        num_between,
        "patterns lie between two positions, and got one by interpolation",
        positions_path,
    )
    _say(len(pattern_indexes) - len(paired), "patterns lie before the first or after the last position, "
         "and are left out", positions_path)  # fmt: skip
    _say(num_unused, "positions have no pattern of their scan index", positions_path)
    # each in the order of the positions, where that says something
    indexes = known[np.isin(known, paired)] if num_between == 0 else np.sort(paired)
    sorter = np.argsort(pattern_indexes)
    rows = sorter[np.searchsorted(pattern_indexes, indexes, sorter=sorter)]
    places = np.stack([np.interp(indexes, rising, along[:, axis]) for axis in range(2)], axis=1)
    return Pairs(rows, indexes, places)


def _average_repeated(
    indexes: NDArray[np.int64], corners_px: NDArray[np.float64], path: Path
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Average positions that were recorded several times for one pattern."""
    unique, which, occurrences = np.unique(indexes, return_inverse=True, return_counts=True)
    if len(unique) == len(indexes):
        return indexes, corners_px
    _say(len(indexes) - len(unique), "positions repeat a scan index, and are averaged", path)
    sums = np.zeros((len(unique), 2))
    np.add.at(sums, which, corners_px)
    return unique, sums / occurrences[:, None]


def _say(number: int, what: str, path: Path) -> None:
    if number:
        _logger.warning("%s: %d %s.", path, number, what)
