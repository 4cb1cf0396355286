"""What positions may do, and how far."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..options import Freedom

FIRST_POSITION_PASS = 3
"""The pass after which positions begin to move: before, the object is too poor to tell."""
WINDOW_SHARE = 1 / 8
"""Of a window's side: the farthest that a pattern may move by itself."""
LARGEST_STRETCH = 0.05
"""Largest change of a length, or turn in radians, that all positions may have in common."""


def largest_move_px(freedom: Freedom, corners_px: NDArray[np.float64], window_px: int) -> int:
    """Return how far a window may move along each axis, in whole pixels.

    Examples
    --------
    >>> corners_px = np.array([[0.0, 0.0], [400.0, 100.0]])
    >>> largest_move_px("free", corners_px, 64), largest_move_px("affine", corners_px, 64)
    (8, 13)
    """
    if freedom == "free":
        return int(np.ceil(WINDOW_SHARE * window_px))
    half_px = float(np.ptp(corners_px, axis=0).sum()) / 2
    return max(1, int(np.ceil(LARGEST_STRETCH * half_px)))
