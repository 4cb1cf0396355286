"""What was seen in patterns that were read, pixel by pixel and pattern by pattern, for pictures."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Seen:
    """What one reading of all patterns showed.

    Attributes
    ----------
    mean_counts : float64 array, shape (N, N)
        Mean of each pixel; impossible values, and pixels that the scan marks as bad, count as 0.
    counts : float64 array, shape (n,)
        Sum of each pattern over its good pixels.
    saturated_share : float64 array, shape (N, N)
        Share of the patterns in which a pixel is at the value where the detector clips; 0 everywhere
        if it does not.
    pixels : dict
        Name of a finding -> bool array (N, N): its pixels, beside those that the scan marks.
    left_out : dict
        Name of a finding -> int64 array: the patterns that it leaves out.
    """

    mean_counts: NDArray[np.float64]
    counts: NDArray[np.float64]
    saturated_share: NDArray[np.float64]
    pixels: dict[str, NDArray[np.bool_]] = field(default_factory=dict)
    left_out: dict[str, NDArray[np.int64]] = field(default_factory=dict)
