"""Choose the C neighbouring patterns of each sample: indexes only, no pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .errors import ScanError

LARGEST_MISS = 0.75
"""Largest distance of a pattern from its ideal place in a block, as a fraction of the scan step."""
NUM_NEAREST = 4
"""The scan step is the mean distance to this many neighbours: on a square raster all lie a step away."""


def default_max_distance_px(window_px: int) -> float:
    """Return the default for the largest distance from a pattern to others of its group: N/4.

    Examples
    --------
    >>> default_max_distance_px(64)
    16.0
    """
    return window_px / 4


def find_groups(
    corners_px: NDArray[np.float64],
    num_channels: int,
    *,
    max_distance_px: float,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Give every pattern a group: itself and C − 1 neighbours that make a square block with it.

    The patterns of a group are the channels of a network, which learns far better if a channel
    always means the same place in the block. So the members of a group come in reading order, row
    by row. A pattern belongs to several blocks, for example as the upper left corner of one and the
    lower right corner of another; one of them is drawn at random. A pattern that belongs to no
    block, as at the ends of a spiral, is grouped with its nearest neighbours. All members of a
    group differ.

    Parameters
    ----------
    corners_px : float64 array, shape (n, 2)
        Top-left pixel (y, x) of each pattern's window.
    num_channels : int
        Number C of patterns in a group; 4 makes blocks of 2×2, 9 of 3×3.
    max_distance_px : float
        Largest distance, in pixels, from a pattern to the other members of its group.
    rng : numpy.random.Generator
        Draws one of the blocks of each pattern; the same state gives the same groups.

    Returns
    -------
    int64 array, shape (n, C)
        Pattern indexes. Row i is the group of pattern i, and contains i.

    Raises
    ------
    ScanError
        If a pattern has too few neighbours; the message names it, and a distance that suffices.

    Examples
    --------
    >>> corners_px = np.array([[0, 0], [0, 3], [0, 6], [3, 0], [3, 3], [3, 6.0]])
    >>> groups = find_groups(corners_px, 4, max_distance_px=5, rng=np.random.default_rng(0))
    >>> groups[0].tolist(), groups[5].tolist()
    ([0, 1, 3, 4], [1, 2, 4, 5])
    """
    num_patterns = len(corners_px)
    if num_channels == 1:
        return np.arange(num_patterns)[:, None]
    if num_patterns < num_channels:
        raise ScanError(
            f"There are {num_patterns} patterns, but a group needs {num_channels}; use smaller "
            "groups, or more patterns."
        )
    distances, neighbours = _nearest(corners_px, max(num_channels - 1, NUM_NEAREST))
    _check_density(distances, num_channels, max_distance_px)
    own = np.arange(num_patterns)[:, None]
    groups = np.concatenate([own, neighbours[:, : num_channels - 1]], axis=1)
    step_px = float(np.median(distances[:, :NUM_NEAREST].mean(axis=1)))
    blocks = _blocks(corners_px, num_channels, step_px)
    reach_px = np.linalg.norm(corners_px[blocks][:, None] - corners_px[blocks][:, :, None], axis=-1)
    block, place = np.nonzero(reach_px.max(axis=2, initial=0) <= max_distance_px)
    drawn = rng.permutation(len(block))  # of several blocks of a pattern, the last one stays
    groups[blocks[block, place][drawn]] = blocks[block][drawn]
    return _in_reading_order(corners_px, groups)


def _blocks(
    corners_px: NDArray[np.float64], num_channels: int, step_px: float
) -> NDArray[np.int64]:
    """Return the square blocks (k, C) as pattern indexes; each pattern is the first of at most one."""
    from scipy.spatial import cKDTree  # 0.1 s of import, needed only for groups

    side = int(np.ceil(np.sqrt(num_channels)))
    places_px = np.indices((side, side)).reshape(2, -1).T[:num_channels] * step_px
    missed_px, found = cKDTree(corners_px).query(corners_px[:, None] + places_px)
    found[:, 0] = np.arange(len(corners_px))  # itself, also where others lie on the same spot
    in_order = np.sort(found, axis=1)
    is_block = (in_order[:, 1:] != in_order[:, :-1]).all(axis=1)
    is_block &= missed_px.max(axis=1) <= LARGEST_MISS * step_px
    return np.asarray(found[is_block], dtype=np.int64)


def _in_reading_order(
    corners_px: NDArray[np.float64], groups: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Order the members of each group by y into rows, and each row by x."""
    side = int(np.ceil(np.sqrt(groups.shape[1])))
    by_y = np.argsort(corners_px[groups, 0], axis=1, kind="stable")
    groups = np.take_along_axis(groups, by_y, axis=1)
    row = np.arange(groups.shape[1]) // side
    by_row = np.lexsort((corners_px[groups, 1], np.broadcast_to(row, groups.shape)), axis=1)
    return np.take_along_axis(groups, by_row, axis=1)


def _nearest(
    corners_px: NDArray[np.float64], num: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return distances and indexes (n, num) of the nearest other patterns, nearest first."""
    from scipy.spatial import cKDTree  # 0.1 s of import, needed only for groups

    num = min(num, len(corners_px) - 1)
    distances, indexes = cKDTree(corners_px).query(corners_px, k=num + 1)
    # A pattern finds itself, but not always first: others may lie on the same spot.
    is_self = indexes == np.arange(len(corners_px))[:, None]
    is_self[~is_self.any(axis=1), -1] = True
    shape = (len(corners_px), num)
    return distances[~is_self].reshape(shape), indexes[~is_self].reshape(shape).astype(np.int64)


def _check_density(
    distances: NDArray[np.float64], num_channels: int, max_distance_px: float
) -> None:
    is_near = distances[:, : num_channels - 1] <= max_distance_px
    lacking = np.flatnonzero(~is_near.all(axis=1))
    if len(lacking):
        needed = float(distances[:, num_channels - 2].max())
        index = int(lacking[0])
        raise ScanError(
            f"Pattern {index} has {int(is_near[index].sum())} neighbours within "
            f"{max_distance_px:g} px, but a group of {num_channels} needs {num_channels - 1} "
            f"({len(lacking)} patterns lack some). The scan is too sparse for such groups: use "
            f"smaller ones, or raise `max_distance_px` to {np.ceil(needed * 10) / 10:g}."
        )
