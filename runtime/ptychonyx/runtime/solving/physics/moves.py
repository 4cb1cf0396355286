"""How far windows have moved from where a scan has them, and how they are moving."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Pairs = NDArray[np.float64]


@dataclass(frozen=True)
class Moves:
    """Hold the moves of all windows.

    Attributes
    ----------
    total_px : float64 array, shape (n, 2)
        How far (y, x) each window lies from where the scan has it.
    speed_px : float64 array, shape (n, 2)
        What the last pass moved it by.
    wish_px : float64 array, shape (n, 2)
        What its pattern asked for then.
    gains : float64 array, shape (n,)
        By how much more than it asks for a window is moved, since it has asked for the same before.
    """

    total_px: Pairs
    speed_px: Pairs
    wish_px: Pairs
    gains: NDArray[np.float64]


def unmoved(num: int) -> Moves:
    """Return the moves of windows that lie where the scan has them.

    Examples
    --------
    >>> unmoved(3).total_px.shape
    (3, 2)
    """
    zeros = np.zeros((num, 2))
    return Moves(zeros, zeros, zeros, np.ones(num))
