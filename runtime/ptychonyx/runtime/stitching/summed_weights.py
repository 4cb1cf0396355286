"""Summed weights and coverage of a mosaic, which depend on where patches lie, not on what they hold."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from .shift import NUM_BEFORE, NUM_TAPS

TILE_PX = 512
"""Side of the Fourier transforms, for patches up to half as wide."""


class SummedWeights:
    """Sum the weights of patches at their corners, and count the patches.

    Every patch has the same weights, so only its corner is written down: the taps of its shift. One
    convolution with the weights gives the sum, as if each patch's weights had been shifted and added.

    Parameters
    ----------
    shape : (int, int)
        Of the canvas.
    weights : float64 array, shape (M, M)

    Attributes
    ----------
    corners : float64 array, shape (H + M − 1, W + M − 1)
        Taps of all corners; the first is M − 1 pixels before the canvas.
    changes : int32 array, shape (H + 1, W + 1)
        Of the coverage, along y and x.

    Examples
    --------
    >>> from ptychonyx.runtime.stitching.shift import shift_taps
    >>> denominator = SummedWeights((1, 3), np.array([[1.0, 2.0]]))
    >>> corners_px, still = np.array([[0, 0], [0, 1]]), np.zeros((2, 2))
    >>> denominator.add(corners_px, shift_taps(still), is_wider=still > 0)
    >>> denominator.coverage()
    array([[1, 2, 1]], dtype=int32)
    >>> [weight.round(9) for _, weight in denominator.weights()]
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
        """Add patches.

        Parameters
        ----------
        corners_px : int64 array, shape (k, 2)
            Whole pixel (y, x) on the canvas; may lie beyond it.
        taps : float64 array, shape (k, 2, taps)
            Of the shift from there, see `shift.shift_taps`.
        is_wider : bool array, shape (k, 2)
            Whether the shifted patch covers a pixel more along y and x.
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
        """Add the patches of another, of the same shape and weights, by its attributes."""
        self.corners += corners
        self.changes += changes

    def coverage(self) -> NDArray[np.int32]:
        """Return how many patches cover each pixel of the canvas."""
        down = np.cumsum(self.changes[:-1, :-1], axis=0, dtype=np.int32)
        return np.cumsum(down, axis=1, dtype=np.int32, out=down)

    def weights(self) -> Iterator[tuple[slice, NDArray[np.float64]]]:
        """Yield rows of the canvas, and the summed weights there, until all are done."""
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
