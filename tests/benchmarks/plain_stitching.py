"""Stitching as others write it, in plain versions of our own: what the benchmarks compare with.

Each function adds one patch (M, M) at a corner (y, x) to sums over the canvas, (H, W).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import interpolate, ndimage

Sums = NDArray[np.complex64]
Count = NDArray[np.float32]
Patch = NDArray[np.complex64]
Corner = NDArray[np.float64]


def interpolate_over_canvas(total: Sums, count: Count, patch: Patch, corner: Corner) -> None:
    """PtychoNN's way: interpolate each patch onto all pixels of the canvas, 0 outside; count what is not 0.

    Its `interp2d` is no longer in SciPy; a linear spline does the same.
    """
    side = np.arange(len(patch))
    rows, columns = (
        np.arange(length) - start for length, start in zip(total.shape, corner, strict=True)
    )
    inside = np.outer((rows >= 0) & (rows <= side[-1]), (columns >= 0) & (columns <= side[-1]))
    for part, out in ((patch.real, total.real), (patch.imag, total.imag)):
        spline = interpolate.RectBivariateSpline(side, side, part, kx=1, ky=1)
        out += np.where(inside, spline(rows, columns), 0)
    count += inside


def translate_over_canvas(total: Sums, count: Count, patch: Patch, corner: Corner) -> None:
    """PtychoPINN's way: pad each patch to the canvas and translate it bilinearly; ones likewise."""
    padding = [(0, length - len(patch)) for length in total.shape]
    for part, out in (
        (patch.real, total.real),
        (patch.imag, total.imag),
        (np.ones_like(patch.real), count),
    ):
        out += ndimage.shift(np.pad(part, padding), corner, order=1)


def nearest(total: Sums, count: Count, patch: Patch, corner: Corner) -> None:
    """Put a patch on the nearest whole pixel."""
    y, x = np.rint(corner).astype(int)
    window = np.s_[y : y + len(patch), x : x + len(patch)]
    total[window] += patch
    count[window] += 1


def bilinear(total: Sums, count: Count, patch: Patch, corner: Corner) -> None:
    """Spread a patch over the four nearest whole pixels, as Ptychodus does."""
    y, x = np.floor(corner).astype(int)
    down, across = corner - (y, x)
    for dy, wy in ((0, 1 - down), (1, down)):
        for dx, wx in ((0, 1 - across), (1, across)):
            window = np.s_[y + dy : y + dy + len(patch), x + dx : x + dx + len(patch)]
            total[window] += np.float32(wy * wx) * patch
            count[window] += wy * wx


def fourier(total: Sums, count: Count, patch: Patch, corner: Corner, pad_px: int = 8) -> None:
    """Shift a patch and its ones by a phase ramp, padded by 8 px."""
    from scipy import fft

    y, x = np.floor(corner).astype(int)
    side = len(patch) + 2 * pad_px
    frequency = fft.fftfreq(side).astype(np.float32)
    down, across = corner - (y, x)
    ramp = np.exp(-2j * np.pi * (frequency[:, None] * down + frequency * across))
    window = np.s_[y - pad_px : y - pad_px + side, x - pad_px : x - pad_px + side]
    for values, out in ((patch, total), (np.ones_like(patch), count)):
        shifted = fft.ifft2(fft.fft2(np.pad(values, pad_px)) * ramp.astype(np.complex64))
        out[window] += shifted if np.iscomplexobj(out) else shifted.real
