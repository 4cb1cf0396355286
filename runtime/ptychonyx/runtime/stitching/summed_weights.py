"""Summed weights and coverage of a mosaic: both follow from the corners of the patches alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .shift import NUM_BEFORE, NUM_TAPS

TILE_PX = 512
"""Side of the Fourier transforms where patches are at most half as wide; else twice the patch's side."""


class SummedWeights:
    """Sum the weights of patches at their corners, and count the patches.

    All patches have the same weights. So `add` only adds the taps of a patch's shift at its corner,
    and one convolution of these taps with the weights gives what shifting and adding the weights of
    every patch would give.

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
    corners : float64 array, shape (H + M − 1, W + M − 1)
        Summed taps of all corners. Its first pixel lies M − 1 pixels above and left of the canvas:
        a patch that begins there still covers the canvas' first pixel.
    changes : int32 array, shape (H + 1, W + 1)
        Differences of the coverage along y and x: their cumulative sum along both axes is the
        number of patches at each pixel.

    Examples
    --------
    >>> from ptychonyx.runtime.stitching.shift import shift_taps
    >>> summed = SummedWeights((1, 3), np.array([[1.0, 2.0]]))
    >>> corners_px, fractions = np.array([[0, 0], [0, 1]]), np.zeros((2, 2))
    >>> summed.add(corners_px, shift_taps(fractions), is_wider=fractions > 0)
    >>> summed.coverage()
    array([[1, 2, 1]], dtype=int32)
    >>> [weights.round(9) for _, weights in summed.by_rows()]
    [array([[1., 3., 2.]])]
    """

    def __init__(self, shape: tuple[int, int], weights: NDArray[np.float64]) -> None:
        self._shape, self._weights = shape, weights
        # a corner may lie M − 1 pixels before the canvas
        self._beyond = np.array(weights.shape) - 1
        height, width = self._beyond + shape
        self.corners = np.zeros((height, width))
        self.changes = np.zeros((shape[0] + 1, shape[1] + 1), np.int32)

    def add(
        self,
        corners_px: NDArray[np.int64],
        taps: NDArray[np.float64],
        *,
        is_wider: NDArray[np.bool_],
    ) -> None:
        """Add the weights of patches at their corners.

        Parameters
        ----------
        corners_px : int64 array, shape (k, 2)
            Corner (y, x) of each patch in pixels of the canvas, rounded down; may lie beyond it.
        taps : float64 array, shape (k, 2, taps)
            Taps of the shift from there to the exact corner, as from `shift.shift_taps`.
        is_wider : bool array, shape (k, 2)
            Whether the shifted patch covers one pixel more than M along y and along x.
        """
        places = corners_px[:, :, None] + self._beyond[:, None] - NUM_BEFORE + np.arange(NUM_TAPS)
        is_inside = (places >= 0) & (places < np.array(self.corners.shape)[:, None])
        down, across = np.where(is_inside, taps, 0).swapaxes(0, 1)
        rows, columns = np.where(is_inside, places, 0).swapaxes(0, 1)
        width = self.corners.shape[1]
        places_1d = (rows[:, :, None] * width + columns[:, None, :]).ravel()
        # along one axis NumPy adds several times faster
        np.add.at(
            self.corners.reshape(-1), places_1d, (down[:, :, None] * across[:, None, :]).ravel()
        )
        ends = corners_px + self._weights.shape + is_wider
        (top, left), (bottom, right) = (np.clip(px, 0, self._shape).T for px in (corners_px, ends))
        for y, x, change in (
            (top, left, 1),
            (bottom, right, 1),
            (top, right, -1),
            (bottom, left, -1),
        ):
            np.add.at(self.changes, (y, x), change)

    def merge(self, corners: NDArray[np.float64], changes: NDArray[np.int32]) -> None:
        """Add the attributes of other summed weights that have the same shape and patch weights."""
        self.corners += corners
        self.changes += changes

    def coverage(self) -> NDArray[np.int32]:
        """Return how many patches cover each pixel of the canvas."""
        down = np.cumsum(self.changes[:-1, :-1], axis=0, dtype=np.int32)
        return np.cumsum(down, axis=1, dtype=np.int32, out=down)

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
