"""Patches and corners in; object, coverage and disagreement out.

A patch at a fractional corner is shifted onto the canvas' pixels by a windowed sinc of eight taps
along each axis, weighted, and summed; the finished sum is divided by the summed weights, which go
through the same shift. Against band-limited truth (plane waves spread over |f| ≤ 0.35 cycles/px, 40
overlaps, equal weights) a bilinear scatter errs by 22 %, the same divided by its mean transfer
function by 2.4 %, and this by 1.1 % (0.5 % with a Hann window): it needs no such division.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .scan import Scan

WEIGHT_FLOOR = 1e-3
"""Of the largest weight: a pixel with less than this is as good as unseen."""
FADE_SHARE = 1 / 8
"""Share of a patch's side over which it fades out: a sharp edge would ring through the taps."""
PATCH_WEIGHTS = ("probe", "hann")
SUBPIXEL_METHODS = ("sinc", "nearest")
NUM_TAPS = 8
TAPER = 5.0
"""Kaiser parameter of the taps; 3, 4, 6 and 7 were measured to be worse."""


@dataclass(frozen=True)
class StitchOptions:
    """How patches become an object.

    Attributes
    ----------
    weights : "probe" or "hann"
        What a pixel of a patch counts by: the intensity of the beam there, if the scan or the model
        has a probe, or a Hann window.
    subpixel : "sinc" or "nearest"
        How a patch is brought to fractional pixels: by a windowed sinc, or not at all.
    align_phase : bool
        Stitch a second time, with each patch turned by one phase towards the first result. It
        costs a second pass, and cures a network whose patches differ by a constant phase.

    Examples
    --------
    >>> StitchOptions(weights="gauss")
    Traceback (most recent call last):
    ...
    ValueError: `weights` is 'gauss', expected one of: "probe", "hann".
    """

    weights: str = "probe"
    subpixel: str = "sinc"
    align_phase: bool = False

    def __post_init__(self) -> None:
        for name, words in (("weights", PATCH_WEIGHTS), ("subpixel", SUBPIXEL_METHODS)):
            if getattr(self, name) not in words:
                quoted = ", ".join(f'"{word}"' for word in words)
                raise ValueError(f"`{name}` is {getattr(self, name)!r}, expected one of: {quoted}.")


@dataclass(frozen=True)
class Canvas:
    """Where an object lies: its shape, and its top-left pixel (y, x) in the scan's frame."""

    shape: tuple[int, int]
    corner_px: tuple[int, int]


@dataclass(frozen=True)
class Stitched:
    """A finished mosaic.

    Attributes
    ----------
    object_ : complex64 array, shape (H, W)
        0 where `coverage` is 0.
    coverage : int32 array, shape (H, W)
        Number of patches at each pixel.
    disagreement : float32 array, shape (H, W)
        Σw|q|²/Σw − |Σwq/Σw|²: weighted variance of the overlapping patches.
    """

    object_: NDArray[np.complex64]
    coverage: NDArray[np.int32]
    disagreement: NDArray[np.float32]


def canvas_for(scan: Scan) -> Canvas:
    """Return the canvas of a scan.

    The file's own canvas if it has one; else the extent of the object in the file if every window
    lies inside; else the bounding box of the windows.

    Examples
    --------
    >>> corners_px = np.array([[0.5, 2.0], [3.0, 7.25]])
    >>> canvas_for(Scan(np.ones((2, 4, 4)), "counts", corners_px))
    Canvas(shape=(7, 10), corner_px=(0, 2))
    """
    if scan.frame is not None:
        return Canvas(scan.frame.canvas_shape, (0, 0))
    low = np.floor(scan.corners_px.min(axis=0)).astype(int)
    high = np.ceil(scan.corners_px.max(axis=0)).astype(int) + scan.window_px
    if scan.object_ is not None:
        start = np.floor(np.array(scan.object_corner_px)).astype(int)
        if np.all(start <= low) and np.all(start + np.array(scan.object_.shape) >= high):
            low, high = start, start + np.array(scan.object_.shape)
    height, width = (high - low).tolist()
    return Canvas((height, width), (int(low[0]), int(low[1])))


def patch_weights(probe: NDArray[np.complex64] | None, patch_px: int) -> NDArray[np.float64]:
    """Return how much each pixel of an M×M patch counts.

    Σ_m|P_m|², centre-cropped: where the beam was bright, the patch is known best. Without a probe,
    a Hann window. Either fades out over the outermost pixels.

    Returns
    -------
    float64 array, shape (M, M)
        At most 1.
    """
    if probe is None:
        window = np.hanning(patch_px + 2)[1:-1]
        weights = np.outer(window, window)
    else:
        start = (probe.shape[-1] - patch_px) // 2
        inside = probe[:, start : start + patch_px, start : start + patch_px]
        weights = np.sum(np.abs(inside.astype(np.complex128)) ** 2, axis=0)
    from_edge = np.minimum(np.arange(patch_px), np.arange(patch_px)[::-1]) + 1.0
    fade = np.sin(np.pi / 2 * np.clip(from_edge / (patch_px * FADE_SHARE + 1), 0, 1)) ** 2
    weights = weights * np.outer(fade, fade)
    return np.asarray(weights / weights.max())


class Mosaic:
    """Average overlapping patches into one object.

    Order does not matter, and patches may come in any number of batches. What leaves the canvas is
    clipped.

    Parameters
    ----------
    canvas : Canvas
        Where the object lies.
    weights : float64 array, shape (M, M)
        How much each pixel of a patch counts.
    reference : complex array, shape (H, W), optional
        An object on this canvas; each patch is turned by the one phase that fits it best.

    Examples
    --------
    >>> mosaic = Mosaic(Canvas((1, 3), (0, 0)), np.ones((1, 2)))
    >>> patches = np.array([[[2, 2]], [[4, 4]]], dtype=np.complex64)
    >>> mosaic.add(patches, np.array([[0.0, 0.0], [0.0, 1.0]]))
    >>> mosaic.finish().object_.real
    array([[2., 3., 4.]], dtype=float32)
    """

    def __init__(
        self,
        canvas: Canvas,
        weights: NDArray[np.float64],
        *,
        reference: NDArray[np.complex64] | None = None,
    ) -> None:
        self.canvas = canvas
        self._reference = reference
        self._weights = weights.astype(np.float32)
        self._sums = np.zeros((4, *canvas.shape))  # Σw·Re q, Σw·Im q, Σw, Σw|q|²
        self._coverage = np.zeros(canvas.shape, dtype=np.int32)

    def add(self, patches: NDArray[np.complex64], corners_px: NDArray[np.float64]) -> None:
        """Add patches at their corners.

        Parameters
        ----------
        patches : complex array, shape (k, M, M)
        corners_px : float64 array, shape (k, 2)
            Top-left pixel (y, x) of each patch in the scan's frame.

        Raises
        ------
        ValueError
            If the shapes do not fit, or a patch is not finite.
        """
        shape = (len(corners_px), *self._weights.shape)
        if patches.shape != shape or corners_px.shape[1:] != (2,):
            raise ValueError(
                f"`patches` has shape {patches.shape} and `corners_px` {corners_px.shape}; expected "
                f"{shape} and ({len(corners_px)}, 2): one (y, x) corner for each patch."
            )
        is_finite = np.isfinite(patches).all(axis=(1, 2))
        if not is_finite.all():
            raise ValueError(
                f"Patch {int(np.flatnonzero(~is_finite)[0])} of this batch is not finite; a network "
                "gives such patches if its weights or its input are not."
            )
        relative = corners_px - np.array(self.canvas.corner_px)
        whole = np.floor(relative).astype(np.int64)
        fractions = relative - whole
        layers = self._layers(patches)
        down = _shift_matrices(fractions[:, 0], shape[1])[:, None]
        across = _shift_matrices(fractions[:, 1], shape[2])[:, None].swapaxes(-1, -2)
        shifted = down @ layers @ across
        before = NUM_TAPS // 2 - 1
        touched = whole + shape[1:] + (fractions > 0)
        for (y, x), (bottom, right), layer in zip(
            whole.tolist(), touched.tolist(), shifted, strict=True
        ):
            if self._reference is not None:
                _turn_towards(self._reference, layer, y - before, x - before)
            _add_clipped(self._sums, layer, y - before, x - before)
            self._coverage[max(y, 0) : max(bottom, 0), max(x, 0) : max(right, 0)] += 1

    def _layers(self, patches: NDArray[np.complex64]) -> NDArray[np.float32]:
        layers = np.empty((len(patches), 4, *self._weights.shape), dtype=np.float32)
        layers[:, 0], layers[:, 1] = patches.real, patches.imag
        layers[:, 3] = np.square(layers[:, 0]) + np.square(layers[:, 1])
        layers[:, 2] = 1
        layers *= self._weights
        return layers

    def finish(self) -> Stitched:
        """Divide by the summed weights.

        More patches may be added afterwards, and the mosaic finished again.
        """
        real, imaginary, weight, power = self._sums
        covered = (self._coverage > 0) & (weight > WEIGHT_FLOOR * self._weights.max())
        divisor = np.where(covered, weight, 1)
        object_ = np.where(covered, (real + 1j * imaginary) / divisor, 0)
        variance = np.where(covered, power / divisor, 0) - np.abs(object_) ** 2
        return Stitched(
            object_=object_.astype(np.complex64),
            coverage=np.where(covered, self._coverage, 0).astype(np.int32),
            disagreement=np.clip(variance, 0, None).astype(np.float32),
        )


def stitch_patches(
    patches: NDArray[np.complex64],
    corners_px: NDArray[np.float64],
    *,
    canvas: Canvas,
    weights: NDArray[np.float64],
) -> Stitched:
    """Stitch all patches at once; see `Mosaic`."""
    mosaic = Mosaic(canvas, weights)
    mosaic.add(patches, corners_px)
    return mosaic.finish()


def cut_patches(
    object_: NDArray[np.complex128], corners_px: NDArray[np.float64], patch_px: int
) -> NDArray[np.complex128]:
    """Cut M×M patches at float corners: the adjoint of the scatter.

    Parameters
    ----------
    object_ : complex array, shape (H, W)
    corners_px : float64 array, shape (k, 2)
        (y, x) in the object's own pixels.

    Returns
    -------
    complex array, shape (k, M, M)

    Raises
    ------
    ValueError
        If a patch, or a tap that it needs, leaves the object.

    Examples
    --------
    >>> object_ = np.arange(16.0).reshape(4, 4)
    >>> cut_patches(object_, np.array([[1.0, 2.0]]), 2)[0]
    array([[ 6.,  7.],
           [10., 11.]])
    """
    whole = np.floor(corners_px).astype(np.int64)
    fractions = corners_px - whole
    before, after = NUM_TAPS // 2 - 1, NUM_TAPS // 2
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
    padded = np.pad(object_, ((before, after), (before, after)))
    reach = np.arange(patch_px + NUM_TAPS - 1)
    wide = padded[(whole[:, :1] + reach)[:, :, None], (whole[:, 1:] + reach)[:, None, :]]
    down = _shift_matrices(fractions[:, 0], patch_px, np.float64).swapaxes(-1, -2)
    patches: NDArray[np.complex128] = (
        down @ wide @ _shift_matrices(fractions[:, 1], patch_px, np.float64)
    )
    return patches


def _shift_matrices(
    fractions: NDArray[np.float64], patch_px: int, dtype: type = np.float32
) -> NDArray[np.floating]:
    """Return matrices (k, M + taps − 1, M) that shift a patch towards higher indexes by `fractions`.

    Row j is canvas pixel j − (taps/2 − 1) relative to the whole-pixel corner. Each column sums
    to 1, and a fraction of 0 gives exactly the identity.
    """
    before = NUM_TAPS // 2 - 1
    offsets = np.arange(NUM_TAPS) - before - fractions[:, None]
    inside = np.clip(1 - (offsets / (NUM_TAPS / 2)) ** 2, 0, None)
    taps = np.sinc(offsets) * np.i0(TAPER * np.sqrt(inside))
    taps[np.abs(taps) < 1e-12] = 0
    taps /= taps.sum(axis=1, keepdims=True)
    matrices: NDArray[np.floating] = np.zeros(
        (len(fractions), patch_px + NUM_TAPS - 1, patch_px), dtype=dtype
    )
    columns = np.arange(patch_px)
    for tap in range(NUM_TAPS):
        matrices[:, columns + tap, columns] = taps[:, tap, None]
    return matrices


def _turn_towards(
    reference: NDArray[np.complex64], layer: NDArray[np.float32], y: int, x: int
) -> None:
    """Turn Σw·Re q and Σw·Im q of a block at (y, x) by the phase of its dot product with an object.

    A block that meets nothing of the object stays as it is.
    """
    patch = layer[0] + 1j * layer[1]
    window = np.zeros_like(patch)
    rows = np.arange(max(y, 0), min(y + patch.shape[0], reference.shape[0]))
    columns = np.arange(max(x, 0), min(x + patch.shape[1], reference.shape[1]))
    if len(rows) and len(columns):
        window[np.ix_(rows - y, columns - x)] = reference[np.ix_(rows, columns)]
    overlap = np.vdot(patch, window)
    if overlap != 0:
        patch *= overlap / abs(overlap)
        layer[0], layer[1] = patch.real, patch.imag


def _add_clipped(sums: NDArray[np.float64], layer: NDArray[np.float32], y: int, x: int) -> None:
    """Add a (layers, h, w) block at (y, x), without what leaves the canvas."""
    bottom, right = min(y + layer.shape[1], sums.shape[1]), min(x + layer.shape[2], sums.shape[2])
    top, left = max(y, 0), max(x, 0)
    if top < bottom and left < right:
        sums[:, top:bottom, left:right] += layer[:, top - y : bottom - y, left - x : right - x]
