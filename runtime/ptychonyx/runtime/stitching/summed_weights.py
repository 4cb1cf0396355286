"""Summed weights and coverage of a mosaic: both follow from the corners of the patches alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

TILE_PX = 512
"""Side of the Fourier transforms where patches are at most half as wide; else twice the patch's side."""


class SummedWeights:
    """Sum the weights of patches at their corners, and count the patches.

    All patches have the same weights, which lie on the whole pixels nearest to a patch's corner. So
    `add` only counts corners, and one convolution of the counts with the weights gives what adding
    the weights of every patch would give.

    The convolution is overlap-add over tiles of the canvas, like `scipy.signal.oaconvolve`. It is
    written by hand because importing `scipy.signal` takes 0.2 s, about as long as a small
    reconstruction, and because `oaconvolve` returns an array as large as the whole canvas, while a
    mosaic needs a band of rows at a time.

    Parameters
    ----------
    shape : (int, int)
        Height and width (H, W) of the canvas.
    weights : float64 array, shape (M, M)
        Weight of each pixel of a patch.

    Attributes
    ----------
    corners : int32 array, shape (H + M − 1, W + M − 1)
        Number of patches that begin at each pixel. Its first pixel lies M − 1 pixels above and left
        of the canvas: a patch that begins there still covers the canvas' first pixel.

    Examples
    --------
    >>> summed = SummedWeights((1, 3), np.array([[1.0, 2.0]]))
    >>> summed.add(np.array([[0, 0], [0, 1]]))
    >>> summed.coverage()
    array([[1, 2, 1]], dtype=int32)
    >>> [weights.round(9) for _, weights in summed.by_rows()]
    [array([[1., 3., 2.]])]
    """

    def __init__(self, shape: tuple[int, int], weights: NDArray[np.float64]) -> None:
        self._shape, self._weights = shape, weights
        # a corner may lie M − 1 pixels before the canvas
        self._beyond = np.array(weights.shape) - 1
        self.corners = np.zeros(self._beyond + shape, np.int32)

    def add(self, corners_px: NDArray[np.int64]) -> None:
        """Add the weights of patches at their corners.

        Parameters
        ----------
        corners_px : int64 array, shape (k, 2)
            Pixel (y, x) of the canvas where each patch begins; may lie beyond it.
        """
        places = corners_px + self._beyond
        is_inside = np.all((places >= 0) & (places < self.corners.shape), axis=1)
        np.add.at(self.corners, tuple(places[is_inside].T), 1)

    def merge(self, corners: NDArray[np.int32]) -> None:
        """Add the corners of other summed weights that have the same shape and patch weights."""
        self.corners += corners

    def coverage(self) -> NDArray[np.int32]:
        """Return how many patches cover each pixel of the canvas."""
        height, width = self._weights.shape
        down = np.cumsum(self.corners, axis=0, dtype=np.int32)
        down[height:] -= down[:-height]
        across = np.cumsum(down[height - 1 :], axis=1, dtype=np.int32)
        across[:, width:] -= across[:, :-width]
        return across[:, width - 1 :].copy()

    def by_rows(self) -> Iterator[tuple[slice, NDArray[np.float64]]]:
        """Yield the summed weights of the canvas, a band of rows at a time, from top to bottom.

        Yields
        ------
        rows : slice
            Rows of the canvas.
        summed_weights : float64 array, shape (rows, W)
            Sum of the patch weights at each pixel of these rows.
        """
        side_px = max(TILE_PX, 2 * max(self._weights.shape))
        spectrum = np.fft.rfft2(self._weights, (side_px, side_px))
        step_y, step_x = side_px - self._beyond
        height, width = self._shape
        for top in range(0, height, step_y):
            rows = slice(top, min(top + step_y, height))
            band = np.empty((rows.stop - top, width))
            for left in range(0, width, step_x):
                tile = self.corners[top : top + side_px, left : left + side_px]
                product = np.fft.rfft2(tile, (side_px, side_px)) * spectrum
                # what wrapped around lies before the first whole overlap of tile and weights
                whole = np.fft.irfft2(product, (side_px, side_px))[
                    self._beyond[0] :, self._beyond[1] :
                ]
                part = band[:, left : left + step_x]
                part[:] = whole[: part.shape[0], : part.shape[1]]
            yield rows, band
