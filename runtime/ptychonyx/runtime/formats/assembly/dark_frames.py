"""Images taken without the beam, which are taken off those with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...scan import PatternSource

IN_BATCH = 16


@dataclass(frozen=True)
class WithoutDark:
    """Images less a mean dark image, read piece by piece; what falls below 0 becomes 0.

    Attributes
    ----------
    source : PatternSource
        Images (n, H, W).
    dark : float32 array, shape (H, W)

    Examples
    --------
    >>> WithoutDark(np.full((1, 1, 2), 5, np.uint16), np.array([[2, 9]], np.float32))[:].tolist()
    [[[3.0, 0.0]]]
    """

    source: PatternSource
    dark: NDArray[np.float32]

    @property
    def shape(self) -> tuple[int, ...]:
        """Return (n, H, W)."""
        return self.source.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Return float32."""
        return np.dtype(np.float32)

    def __getitem__(self, key: slice | NDArray[np.int64], /) -> NDArray[Any]:
        """Read the images of one slice, or of some indexes."""
        return np.asarray(np.maximum(self.source[key].astype(np.float32) - self.dark, 0))


def mean_dark(frames: PatternSource) -> NDArray[np.float32]:
    """Return the mean of dark images (H, W).

    Examples
    --------
    >>> mean_dark(np.array([[[1.0]], [[2.0]]])).tolist()
    [[1.5]]
    """
    num = frames.shape[0]
    total = np.zeros(frames.shape[1:])
    for start in range(0, num, IN_BATCH):
        total += frames[start : start + IN_BATCH].sum(axis=0, dtype=np.float64)
    return (total / max(num, 1)).astype(np.float32)
