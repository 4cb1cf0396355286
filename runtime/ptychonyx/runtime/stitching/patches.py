"""Patches, and the canvas that they lie on.

::

    (0, 0) of the scan's pixel frame; y grows downwards, x to the right
      ┌───────────────────────────────────────────────────────
      │      corner_px of the canvas, two integers
      │      ●───────────────────────────────────────┐
      │      │ canvas: the object's pixels (H, W)    │
      │      │   corners_px of the scan, floats      │
      │      │   ●─────────────────────┐             │
      │      │   │ window (N, N): what │             │
      │      │   │ one pattern sees    │             │
      │      │   │    ●──────────┐ ◀───┼── a patch's corner: the window's + (N − M) // 2
      │      │   │    │  patch   │     │             │
      │      │   │    │  (M, M)  │     │             │
      │      │   │    └──────────┘     │             │
      │      │   └─────────────────────┘             │
      │      └───────────────────────────────────────┘

Windows and patches overlap their neighbours, and their corners lie between pixels. `Scan.frame`
says how to go from this frame of pixels to the metres of the file.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..memory import check_canvas
from ..scan import Scan
from .shift import NUM_BEFORE, NUM_TAPS, shift_matrices, shift_taps

FADE_SHARE = 1 / 8
"""Share of a patch's side over which it fades out: near its edge its shift is only extrapolated."""
BLUR = np.array([1, 8, 28, 56, 70, 56, 28, 8, 1]) / 256
"""Blur of the beam's intensity along each axis: patches are known a little beyond a sharp edge."""


@dataclass(frozen=True)
class Canvas:
    """Describe where an object lies.

    Attributes
    ----------
    shape : (int, int)
        Height and width of the object in pixels.
    corner_px : (int, int)
        Its top-left pixel (y, x) in the scan's frame.
    """

    shape: tuple[int, int]
    corner_px: tuple[int, int]


def canvas_for(scan: Scan) -> Canvas:
    """Return the canvas of a scan.

    This is the file's own canvas if the file has one; else the extent of the object in the file if
    every window lies inside; else the bounding box of the windows.

    Raises
    ------
    ScanError
        If it would take too much memory; names the positions that are far from the others.

    Examples
    --------
    >>> corners_px = np.array([[0.5, 2.0], [3.0, 7.25]])
    >>> canvas_for(Scan(np.ones((2, 4, 4)), "counts", corners_px))
    Canvas(shape=(7, 10), corner_px=(0, 2))
    """
    if scan.frame is not None:
        check_canvas(np.array(scan.frame.canvas_shape, float), scan.corners_px)
        return Canvas(scan.frame.canvas_shape, (0, 0))
    lowest, highest = scan.corners_px.min(axis=0), scan.corners_px.max(axis=0)
    check_canvas(highest - lowest + scan.window_px, scan.corners_px)
    low = np.floor(lowest).astype(int)
    high = np.ceil(highest).astype(int) + scan.window_px
    if scan.object_ is not None:
        start = np.floor(np.array(scan.object_corner_px)).astype(int)
        if np.all(start <= low) and np.all(start + np.array(scan.object_.shape) >= high):
            low, high = start, start + np.array(scan.object_.shape)
    height, width = (high - low).tolist()
    return Canvas((height, width), (int(low[0]), int(low[1])))


def patch_weights(probe: NDArray[np.complex64] | None, patch_px: int) -> NDArray[np.float64]:
    """Return the weight of each pixel of an M×M patch in the mean of overlapping patches.

    The weight is the beam's intensity, Σ_m|P_m|², blurred over a few pixels, in the middle M×M
    pixels of the window: where the beam was bright, the patch is known best. Without a probe it is
    a Hann window. Either fades out over the outermost pixels.

    Parameters
    ----------
    probe : complex64 array, shape (modes, N, N), or None
        Its unit does not matter.
    patch_px : int
        Side M of the patches.

    Returns
    -------
    float64 array, shape (M, M)
        The largest weight is 1.

    Examples
    --------
    >>> patch_weights(None, 3).round(2)
    array([[0.17, 0.41, 0.17],
           [0.41, 1.  , 0.41],
           [0.17, 0.41, 0.17]])
    """
    if probe is None:
        window = np.hanning(patch_px + 2)[1:-1]
        weights = np.outer(window, window)
    else:
        start = (probe.shape[-1] - patch_px) // 2
        intensity = np.sum(np.abs(probe.astype(np.complex128)) ** 2, axis=0)
        weights = _blur(intensity)[start : start + patch_px, start : start + patch_px]
    from_edge = np.minimum(np.arange(patch_px), np.arange(patch_px)[::-1]) + 1.0
    fade = np.sin(np.pi / 2 * np.clip(from_edge / (patch_px * FADE_SHARE + 1), 0, 1)) ** 2
    weights = weights * np.outer(fade, fade)
    return np.asarray(weights / weights.max())


def _blur(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return an image blurred by `BLUR`; its edge pixels go on beyond its edge."""
    margin_px = len(BLUR) // 2
    wide = np.pad(image, margin_px, mode="edge")
    for axis in range(2):
        wide = np.lib.stride_tricks.sliding_window_view(wide, len(BLUR), axis=axis) @ BLUR
    return wide


def cut_patches(
    object_: NDArray[np.complexfloating], corners_px: NDArray[np.float64], patch_px: int
) -> NDArray[np.complex128]:
    """Cut M×M patches out of an object at float corners.

    This is the adjoint of shifting patches that are 0 beyond their edges, and adding them up:
    ⟨cut x, q⟩ = ⟨x, place q⟩.

    Parameters
    ----------
    object_ : complex array, shape (H, W)
        Object to cut from.
    corners_px : float64 array, shape (k, 2)
        Top-left pixel (y, x) of each patch, counted from the object's own top-left pixel.
    patch_px : int
        Side M of the patches.

    Returns
    -------
    complex128 array, shape (k, M, M)

    Raises
    ------
    ValueError
        If a patch, or one of the pixels around it that its shift reads, lies beyond the object.

    Examples
    --------
    >>> object_ = np.arange(16.0).reshape(4, 4)
    >>> cut_patches(object_, np.array([[1.0, 2.0]]), 2)[0]
    array([[ 6.,  7.],
           [10., 11.]])
    """
    whole = np.floor(corners_px).astype(np.int64)
    fractions = corners_px - whole
    before, after = NUM_BEFORE, NUM_TAPS - 1 - NUM_BEFORE
    is_fractional = fractions > 0
    low = whole - before * is_fractional
    high = whole + patch_px + after * is_fractional
    outside = np.flatnonzero((low < 0).any(axis=1) | (high > object_.shape).any(axis=1))
    if len(outside):
        index = int(outside[0])
        y, x = corners_px[index].tolist()
        raise ValueError(
            f"Patch {index} at (y, x) = ({y:g}, {x:g}) with its {before} + {after} pixels of margin "
            f"leaves the object of shape {object_.shape}; enlarge the object."
        )
    reach = whole[:, :, None] + np.arange(-before, patch_px + after)
    # a corner on a whole pixel reaches beyond the object with taps of 0 only
    rows, columns = (reach[:, axis].clip(0, object_.shape[axis] - 1) for axis in range(2))
    wide = object_[rows[:, :, None], columns[:, None, :]]
    taps = shift_taps(fractions)
    down = shift_matrices(taps[:, 0], patch_px).swapaxes(-1, -2)
    patches: NDArray[np.complex128] = down @ wide @ shift_matrices(taps[:, 1], patch_px)
    return patches
