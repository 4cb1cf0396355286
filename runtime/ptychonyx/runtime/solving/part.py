"""A part of a scan, on which cheap trials decide how the whole is solved."""

from __future__ import annotations

import numpy as np

from ..comparison.region import nearest_indexes
from .physics.measured import Measured
from .physics.placement import Placement, place_windows


def middle_part(
    measured: Measured, placement: Placement, num: int
) -> tuple[tuple[Measured, Placement], tuple[slice, slice]]:
    """Return the patterns nearest to the middle of a scan, all kept in memory.

    Parameters
    ----------
    measured : Measured
    placement : Placement
        Where the same patterns lie.
    num : int
        How many are wanted; fewer if fewer fit the memory.

    Returns
    -------
    (Measured, Placement)
        The patterns of the part, and where they lie.
    (slice, slice)
        Where its canvas lies on the whole one.
    """
    num = min(num, len(measured.kept))
    if num == len(measured.indexes):
        height, width = placement.shape
        return (measured, placement), (slice(0, height), slice(0, width))
    chosen = nearest_indexes(placement.whole_px, np.median(placement.whole_px, axis=0), num)
    near = measured.only(chosen)
    corners_px, margin_px = placement.corners_px[chosen], placement.margin_px
    part = place_windows(corners_px, placement.window_px, margin_px=margin_px)
    (top, left), (height, width) = part.corner_px, part.shape
    return (near, part), (slice(top, top + height), slice(left, left + width))
