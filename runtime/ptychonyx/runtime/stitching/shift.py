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
REACH_PX = NUM_TAPS // 2
"""How far beyond its own pixel a shift by at most half a pixel reads."""
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


def nearest_taps(fractions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the taps of a shift by at most half a pixel, in either direction.

    Parameters
    ----------
    fractions : float64 array, any shape
        Shift in pixels towards higher indexes, from −0.5 to 0.5.

    Returns
    -------
    float64 array, shape (*fractions.shape, taps + 1)
        Tap t belongs to pixel t − `REACH_PX`. They are those of `shift_taps`, and a 0 at one end.

    Examples
    --------
    >>> nearest_taps(np.array([-0.5, 0.0])).round(2)
    array([[-0.01,  0.05, -0.15,  0.62,  0.62, -0.15,  0.05, -0.01,  0.  ],
           [ 0.  ,  0.  ,  0.  ,  0.  ,  1.  ,  0.  ,  0.  ,  0.  ,  0.  ]])
    """
    is_behind = fractions < 0
    taps = np.zeros((*fractions.shape, NUM_TAPS + 1))
    inner = shift_taps(fractions + is_behind)
    taps[..., :-1] = np.where(is_behind[..., None], inner, 0)
    taps[..., 1:] += np.where(is_behind[..., None], 0, inner)
    return taps


class Shifter:
    """Shift the layers of a few patches at once, in memory that is allocated only once.

    A shifted patch has the pixels of the patch itself. Near an edge the taps read beyond it; there
    the patch goes on as its mirror image turned about the pixel at the edge, so that its value and
    its slope go on.

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
    >>> shifter = Shifter(1, 1, (1, 6))
    >>> shifter.layers[:] = [0, 1, 2, 3, 4, 5]
    >>> shifter.shift(nearest_taps(np.array([[0.0, 0.5]])))[0, :, 0].round(2)
    array([[-0.5,  0.5,  1.5,  2.5,  3.5,  4.5]], dtype=float32)
    """

    def __init__(self, num_patches: int, num_layers: int, patch_shape: tuple[int, int]) -> None:
        height, width = patch_shape
        self.layers = np.empty((num_patches, height, num_layers, width), np.float32)
        self._down, self._across = (_Matrices(num_patches, side) for side in patch_shape)
        self._half = np.empty_like(self.layers)
        self._shifted = np.empty_like(self.layers)

    def shift(self, taps: NDArray[np.float64]) -> NDArray[np.float32]:
        """Shift the first k patches in `layers`.

        Parameters
        ----------
        taps : float64 array, shape (k, 2, taps + 1)
            Taps of each patch along y and along x, as from `nearest_taps`.

        Returns
        -------
        float32 array, shape (k, h, L, w)
            The next call overwrites this array.
        """
        count, (height, _, width) = len(taps), self.layers.shape[1:]
        down, across = self._down.fill(taps[:, 0]), self._across.fill(taps[:, 1]).swapaxes(-1, -2)
        rows, half = (
            array[:count].reshape(count, height, -1) for array in (self.layers, self._half)
        )
        for after, before in _blocks(height):
            np.matmul(down[:, after, before], rows[:, before], out=half[:, after])
        columns, shifted = (
            array[:count].reshape(count, -1, width) for array in (self._half, self._shifted)
        )
        for after, before in _blocks(width):
            np.matmul(columns[:, :, before], across[:, before, after], out=shifted[:, :, after])
        return self._shifted[:count]


class _Matrices:
    """Hold matrices (k, M, M) that shift one axis of patches of M pixels."""

    def __init__(self, num_patches: int, patch_px: int) -> None:
        self._wide = np.zeros((num_patches, patch_px, patch_px + 2 * REACH_PX), np.float32)
        # gives the pixels before the first one, the farthest first, from those inside
        self._mirror = np.zeros((REACH_PX, min(REACH_PX + 1, patch_px)), np.float32)
        self._mirror[:, 0] = 2
        distances = np.arange(REACH_PX, 0, -1)
        self._mirror[np.arange(REACH_PX), distances.clip(max=self._mirror.shape[1] - 1)] -= 1

    def fill(self, taps: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return the matrices of shifts with taps (k, taps + 1), as a view."""
        wide, (beyond_px, inside_px) = self._wide[: len(taps)], self._mirror.shape
        _diagonals(wide.swapaxes(-1, -2))[:] = taps[:, ::-1, None]
        inside = wide[:, :, beyond_px:-beyond_px]
        top, end = slice(beyond_px), slice(-beyond_px, None)
        inside[:, top, :inside_px] += wide[:, top, top] @ self._mirror
        inside[:, end, -inside_px:] += wide[:, end, end] @ self._mirror[::-1, ::-1]
        return inside


def _blocks(patch_px: int) -> Iterator[tuple[slice, slice]]:
    """Yield blocks of pixels after the shift, each with the pixels before it that it depends on."""
    for start in range(0, patch_px, BLOCK_PX):
        end = min(start + BLOCK_PX, patch_px)
        yield slice(start, end), slice(max(start - REACH_PX, 0), min(end + REACH_PX, patch_px))


def _diagonals(matrices: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return a view (k, taps, M) of (k, M + taps − 1, M) matrices: element c of tap t is (c + t, c)."""
    each, down, across = matrices.strides
    _, tall, wide = matrices.shape
    return np.lib.stride_tricks.as_strided(
        matrices,
        (len(matrices), tall - wide + 1, wide),
        (each, down, down + across),
    )
