"""Which C neighbouring patterns make one sample: only indexes, no pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .errors import ScanError

CANDIDATES_PER_PARTNER = 2
"""A pattern draws its C − 1 partners from twice as many nearest neighbours."""


def default_max_distance_px(window_px: int) -> float:
    """Return how far the members of a group may lie from its first, unless somebody says: N/4.

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
    """Give every pattern a group of its own: itself, and C − 1 of its nearest neighbours.

    Partners are drawn from the 2(C − 1) nearest patterns that lie within `max_distance_px`, fewer
    where there are fewer. No index is ever repeated to fill a group.

    Parameters
    ----------
    corners_px : float64 array, shape (n, 2)
        Top-left pixel (y, x) of each pattern's window.
    num_channels : int
        C.
    max_distance_px : float
        Largest distance of a partner.
    rng : numpy.random.Generator
        Draws the partners; the same generator gives the same groups.

    Returns
    -------
    int64 array, shape (n, C)
        Pattern indexes; row i begins with i, so every pattern is covered.

    Raises
    ------
    ScanError
        If a pattern has too few neighbours; names it, and the distance that would do.

    Examples
    --------
    >>> corners_px = np.array([[0, 0], [0, 3], [0, 6], [4, 3.0]])
    >>> groups = find_groups(corners_px, 2, max_distance_px=4, rng=np.random.default_rng(0))
    >>> groups[:, 0], bool((groups[:, 1] != groups[:, 0]).all())
    (array([0, 1, 2, 3]), True)
    """
    num_patterns, num_partners = len(corners_px), num_channels - 1
    own = np.arange(num_patterns)
    if num_partners == 0:
        return own[:, None]
    if num_patterns < num_channels:
        raise ScanError(
            f"There are {num_patterns} patterns, but a group needs {num_channels}; use smaller "
            "groups, or more patterns."
        )
    distances, neighbours = _nearest(corners_px, CANDIDATES_PER_PARTNER * num_partners)
    is_near = distances <= max_distance_px
    _check_density(distances, is_near, num_channels, max_distance_px)
    lots = np.where(is_near, rng.random(is_near.shape), np.inf)
    drawn = np.argsort(lots, axis=1)[:, :num_partners]
    return np.concatenate([own[:, None], np.take_along_axis(neighbours, drawn, axis=1)], axis=1)


def _nearest(
    corners_px: NDArray[np.float64], num: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return distances and indexes (n, num) of the nearest other patterns, nearest first."""
    from scipy.spatial import cKDTree  # 0.1 s of import, which only groups shall pay

    num = min(num, len(corners_px) - 1)
    distances, indexes = cKDTree(corners_px).query(corners_px, k=num + 1)
    # A pattern finds itself, though not always first: others may stand on the same spot.
    is_self = indexes == np.arange(len(corners_px))[:, None]
    is_self[~is_self.any(axis=1), -1] = True
    shape = (len(corners_px), num)
    return distances[~is_self].reshape(shape), indexes[~is_self].reshape(shape).astype(np.int64)


def _check_density(
    distances: NDArray[np.float64],
    is_near: NDArray[np.bool_],
    num_channels: int,
    max_distance_px: float,
) -> None:
    lacking = np.flatnonzero(is_near.sum(axis=1) < num_channels - 1)
    if len(lacking):
        needed = float(distances[:, num_channels - 2].max())
        index = int(lacking[0])
        raise ScanError(
            f"Pattern {index} has {int(is_near[index].sum())} neighbours within "
            f"{max_distance_px:g} px, but a group of {num_channels} needs {num_channels - 1} "
            f"({len(lacking)} patterns lack some). The scan is too sparse for such groups: use "
            f"smaller ones, or raise `max_distance_px` to {np.ceil(needed * 10) / 10:g}."
        )
