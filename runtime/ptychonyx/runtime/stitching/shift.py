"""Shift patches by fractions of a pixel: a windowed sinc of eight taps along each axis.

All sub-pixel shifts of the runtime go through this file. As a matrix product the shift is faster
than as a sum of eight moved copies, although most entries of the matrices are zero. The product is
made in small blocks along the diagonal: this skips most of the zeros, and it keeps the BLAS on one
core, since other stages need the other cores.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

NUM_TAPS = 8
NUM_BEFORE = NUM_TAPS // 2 - 1
"""Rows and columns of taps before the whole-pixel corner of a shifted patch; the others follow it."""
TAPER = 5.0
"""Parameter β of the Kaiser window on the taps; 3, 4, 6 and 7 were measured to be worse."""
BLOCK_PX = 16
"""Side of the products' blocks; 24 and 32 are as fast, and larger ones make a BLAS start threads."""


def shift_taps(fractions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the taps that shift towards higher indexes by fractions of a pixel.

    Parameters
    ----------
    fractions : float64 array, any shape
        Shift in pixels, at least 0 and below 1.

    Returns
    -------
    float64 array, shape (*fractions.shape, taps)
        Tap t belongs to pixel t − `NUM_BEFORE`. The taps of one shift sum to 1; for a fraction of 0
        one tap is exactly 1 and the others exactly 0.

    Examples
    --------
    >>> shift_taps(np.array([0.0, 0.5])).round(3)
    array([[ 0.   ,  0.   ,  0.   ,  1.   ,  0.   ,  0.   ,  0.   ,  0.   ],
           [-0.01 ,  0.049, -0.154,  0.615,  0.615, -0.154,  0.049, -0.01 ]])
    """
    offsets = np.arange(NUM_TAPS) - NUM_BEFORE - fractions[..., None]
    inside = np.clip(1 - (offsets / (NUM_TAPS / 2)) ** 2, 0, None)
    taps: NDArray[np.float64] = np.sinc(offsets) * np.i0(TAPER * np.sqrt(inside))
    taps[np.abs(taps) < 1e-12] = 0
    taps /= taps.sum(axis=-1, keepdims=True)
    return taps


def shift_matrices(taps: NDArray[np.float64], patch_px: int) -> NDArray[np.float64]:
    """Return the matrices (k, M + taps − 1, M) that shift one axis of a patch.

    Row j gives pixel j − `NUM_BEFORE` relative to the whole-pixel corner.

    Parameters
    ----------
    taps : float64 array, shape (k, taps)
        As from `shift_taps`.
    patch_px : int
        Side M of the patch along this axis.

    Examples
    --------
    >>> shift_matrices(shift_taps(np.array([0.0])), 2)[0, 2:6]
    array([[0., 0.],
           [1., 0.],
           [0., 1.],
           [0., 0.]])
    """
    matrices = np.zeros((len(taps), patch_px + NUM_TAPS - 1, patch_px))
    _diagonals(matrices)[:] = taps[:, :, None]
    return matrices


class Shifter:
    """Shift the layers of a few patches at once, in memory that is allocated only once.

    Parameters
    ----------
    num_patches : int
        Largest number of patches in one call. A few fit a core's cache, and so are fast.
    num_layers : int
        Number L of real images of each patch that are shifted, such as real and imaginary part.
    patch_shape : (int, int)
        Height and width (h, w) of a patch.

    Attributes
    ----------
    layers : float32 array, shape (num_patches, h, L, w)
        Images to shift; the caller fills it before each `shift`.

    Examples
    --------
    >>> shifter = Shifter(1, 1, (1, 2))
    >>> shifter.layers[:] = [1, 2]
    >>> shifted = shifter.shift(shift_taps(np.array([[0.0, 0.5]])))
    >>> shifted.shape
    (1, 8, 1, 9)
    >>> shifted[0, 3, 0, 2:7].round(2)
    array([-0.06,  0.31,  1.85,  1.08, -0.26], dtype=float32)
    """

    def __init__(self, num_patches: int, num_layers: int, patch_shape: tuple[int, int]) -> None:
        height, width = patch_shape
        taller, wider = height + NUM_TAPS - 1, width + NUM_TAPS - 1
        self.layers = np.empty((num_patches, height, num_layers, width), np.float32)
        self._down = np.zeros((num_patches, taller, height), np.float32)
        self._across = np.zeros((num_patches, width, wider), np.float32)
        self._half = np.empty((num_patches, taller, num_layers, width), np.float32)
        self._shifted = np.empty((num_patches, taller, num_layers, wider), np.float32)

    def shift(self, taps: NDArray[np.float64]) -> NDArray[np.float32]:
        """Shift the first k patches in `layers`.

        Parameters
        ----------
        taps : float64 array, shape (k, 2, taps)
            Taps of each patch along y and along x, as from `shift_taps`.

        Returns
        -------
        float32 array, shape (k, h + taps − 1, L, w + taps − 1)
            Pixel (0, 0) lies `NUM_BEFORE` pixels above and left of the whole-pixel corner. The next
            call overwrites this array.
        """
        count = len(taps)
        down, across = self._down[:count], self._across[:count]
        _diagonals(down)[:] = taps[:, 0, :, None]
        _diagonals(across.swapaxes(-1, -2))[:] = taps[:, 1, :, None]
        _, taller, height = down.shape
        _, width, wider = across.shape
        rows, half = self.layers[:count].reshape(count, height, -1), self._half[:count]
        for after, before in _blocks(taller, height):
            np.matmul(
                down[:, after, before],
                rows[:, before],
                out=half.reshape(count, taller, -1)[:, after],
            )
        columns, shifted = half.reshape(count, -1, width), self._shifted[:count]
        for after, before in _blocks(wider, width):
            np.matmul(
                columns[:, :, before],
                across[:, before, after],
                out=shifted.reshape(count, -1, wider)[:, :, after],
            )
        return shifted


def _blocks(after_px: int, before_px: int) -> Iterator[tuple[slice, slice]]:
    """Yield blocks of pixels after the shift, each with the pixels before it that it depends on."""
    for start in range(0, after_px, BLOCK_PX):
        end = min(start + BLOCK_PX, after_px)
        yield slice(start, end), slice(max(start - NUM_TAPS + 1, 0), min(end, before_px))


def _diagonals(matrices: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return a view (k, taps, M) of (k, M + taps − 1, M) matrices: element c of tap t is (c + t, c)."""
    each, down, across = matrices.strides
    return np.lib.stride_tricks.as_strided(
        matrices,
        (len(matrices), NUM_TAPS, matrices.shape[-1]),
        (each, down, down + across),
    )
