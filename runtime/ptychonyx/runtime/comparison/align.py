"""Put two objects on one grid, free of what ptychography cannot determine.

Diffraction patterns fix an object only up to a complex factor, a linear phase ramp and a common
shift. All three are fitted and removed, on the complex arrays.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

# Registration to 1/100 px: a hundredth of a pixel moves the star's phase Pearson by less than 1e-4.
_UPSAMPLING = 100
# Each pass registers what the pass before has moved and freed of its ramp; the taper of the first
# pass pulls the shift towards 0 and later ones undo that. More than four never changed a digit.
_NUM_REGISTRATIONS = 4
# A smaller gain in squared misfit is what the best of many shifts of pure noise brings.
_SMALLEST_GAIN = 0.01
# Real neighbourhood, faded out, around what a Fourier shift moves: nothing wraps into the region.
# 32 px is where a wider margin no longer changed any metric of the Siemens star.
_MARGIN_PX = 32
# Standard deviation, relative to an amplitude or to one radian, below which an image is flat:
# ten times the rounding of complex64.
FLAT = 1e-6
# Side of the SSIM window of Wang et al., IEEE Trans. Image Process. 13, 600 (2004), as scikit-image
# has it; also the smallest region worth a metric.
_SMALLEST_REGION_PX = 7
_GAUSS_NEWTON_STEPS = 30


class Region(NamedTuple):
    """Rows y0 to y1 and columns x0 to x1 (ends excluded) of an array."""

    y0: int
    y1: int
    x0: int
    x1: int

    def __str__(self) -> str:
        """Return the text `parse_region` reads."""
        return f"{self.y0}:{self.y1},{self.x0}:{self.x1}"

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns as slices."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)


@dataclass(frozen=True)
class Aligned:
    """Two objects on one pixel grid, scale, phase ramp and shift removed.

    Attributes
    ----------
    a, b : complex128 arrays, shape (h, w)
        The first object made to fit, and the reference, both cut to the region.
    is_valid : bool array, shape (h, w)
        Pixels known in both.
    region : Region
        Where it was cut, in pixels of the whole reference.
    shift_px : (float, float)
        How far (y, x) the first object was moved beyond what the corners say.
    """

    a: NDArray[np.complex128]
    b: NDArray[np.complex128]
    is_valid: NDArray[np.bool_]
    region: Region
    shift_px: tuple[float, float]


def parse_region(text: str) -> Region:
    """Read a region such as `50:195,60:180`: rows, then columns, ends excluded.

    Parameters
    ----------
    text : str
        `y0:y1,x0:x1`, whole pixels, not negative.

    Returns
    -------
    Region
        The same four numbers.

    Raises
    ------
    ValueError
        If the text reads otherwise, or holds no pixel.

    Examples
    --------
    >>> parse_region("50:195,60:180")
    Region(y0=50, y1=195, x0=60, x1=180)
    """
    match = re.fullmatch(r"\s*(\d+)\s*:\s*(\d+)\s*,\s*(\d+)\s*:\s*(\d+)\s*", text)
    if match is None:
        raise ValueError(
            f"`region` is {text!r}, expected rows and columns as y0:y1,x0:x1 in whole pixels: "
            "write for example 50:195,60:180."
        )
    region = Region(*(int(number) for number in match.groups()))
    if region.y0 >= region.y1 or region.x0 >= region.x1:
        raise ValueError(
            f"`region` is {text!r}, which holds no pixel; y0 < y1 and x0 < x1 are needed: "
            "swap or widen the bounds."
        )
    return region


def align(
    a: NDArray[np.complexfloating[Any, Any]],
    b: NDArray[np.complexfloating[Any, Any]],
    *,
    corner_a: tuple[float, float],
    corner_b: tuple[float, float],
    region: Region | str | None = None,
    mask_a: NDArray[np.bool_] | None = None,
    mask_b: NDArray[np.bool_] | None = None,
) -> Aligned:
    """Put one object on the grid of a reference and remove scale, phase ramp and shift.

    Parameters
    ----------
    a, b : complex arrays, shapes (Ha, Wa) and (Hb, Wb)
        The object, and the reference.
    corner_a, corner_b : (float, float)
        Top-left pixel (y, x) of each in one common frame; need not be whole.
    region : Region, str or None
        Part to compare, in pixels of `b`. None: the bounding box of what both cover.
    mask_a, mask_b : bool arrays of the shapes of `a` and `b`, or None
        True where an object is known (covered). None: everywhere.

    Returns
    -------
    Aligned
        Both objects cut to the region. A shift is kept only if it makes the objects more alike.

    Raises
    ------
    ValueError
        If shapes do not fit, the region is empty or outside, or a valid pixel is not finite.
    RuntimeError
        If scikit-image is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> b = np.exp(1j * np.random.default_rng(0).normal(0, 0.3, (32, 32)))
    >>> aligned = align(b, b, corner_a=(0, 0), corner_b=(0, 0), region="4:20,8:28")
    >>> aligned.a.shape, aligned.shift_px
    ((16, 20), (0.0, 0.0))
    """
    mask_a, mask_b = _checked_mask("a", a, mask_a), _checked_mask("b", b, mask_b)
    offset = np.asarray(corner_b, np.float64) - np.asarray(corner_a, np.float64)
    covered = mask_b & _resampled_mask(mask_a, offset, b.shape)
    if isinstance(region, str):
        region = parse_region(region)
    region = _bounding_box(covered, a, b) if region is None else _checked_region(region, b)
    is_valid = covered[region.slices]
    if not is_valid.any():
        raise ValueError(
            f"Region {region} holds no pixel that both objects know: `a` has shape {a.shape}, "
            f"`b` {b.shape}, and `a` begins at {tuple((-offset).tolist())} in pixels of `b`; "
            "choose another region, or check the corners."
        )
    first = _filled(a, mask_a)
    second = np.where(is_valid, b[region.slices], 0).astype(np.complex128)
    start = offset + np.array([region.y0, region.x0])
    return _registered(first, mask_a, second, is_valid, start, region)


def _checked_mask(
    name: str, object_: NDArray[Any], mask: NDArray[np.bool_] | None
) -> NDArray[np.bool_]:
    if object_.ndim != 2:
        raise ValueError(f"`{name}` has shape {object_.shape}, expected (H, W): one 2-D object.")
    if mask is None:
        mask = np.ones(object_.shape, np.bool_)
    if mask.shape != object_.shape:
        raise ValueError(
            f"`mask_{name}` has shape {mask.shape}, expected {object_.shape} as `{name}`."
        )
    is_bad = mask & ~np.isfinite(object_)
    if is_bad.any():
        index = tuple(int(axis[0]) for axis in np.nonzero(is_bad))
        raise ValueError(
            f"`{name}` is {object_[index]} at pixel {index}, expected finite values where "
            f"`mask_{name}` is True: mask that pixel."
        )
    return mask.astype(np.bool_)


def _checked_region(region: Region, b: NDArray[Any]) -> Region:
    lowest, highest = min(region.y0, region.x0), (region.y1, region.x1)
    if lowest < 0 or highest[0] > b.shape[0] or highest[1] > b.shape[1]:
        raise ValueError(
            f"Region {region} leaves `b`, whose shape is {b.shape}; a region lies in pixels of "
            "`b`: choose a smaller one."
        )
    return _large_enough(region)


def _bounding_box(covered: NDArray[np.bool_], a: NDArray[Any], b: NDArray[Any]) -> Region:
    if not covered.any():
        raise ValueError(
            f"The objects have no known pixel in common: `a` has shape {a.shape}, `b` {b.shape}; "
            "both must lie in one frame: check the corners and masks."
        )
    rows = np.flatnonzero(covered.any(axis=1))
    columns = np.flatnonzero(covered.any(axis=0))
    return _large_enough(
        Region(int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1)
    )


def _large_enough(region: Region) -> Region:
    shape = (region.y1 - region.y0, region.x1 - region.x0)
    if min(shape) < _SMALLEST_REGION_PX:
        raise ValueError(
            f"Region {region} has shape {shape}; at least {_SMALLEST_REGION_PX}×"
            f"{_SMALLEST_REGION_PX} pixels are needed to compare: choose a larger region."
        )
    return region


def _filled(object_: NDArray[Any], mask: NDArray[np.bool_]) -> NDArray[np.complex128]:
    """Put the mean where nothing is known, so that a shift does not ring at the border."""
    known: NDArray[np.complex128] = object_.astype(np.complex128)
    return np.where(mask, known, known[mask].mean() if mask.any() else 0)


def _resampled(
    object_: NDArray[np.complex128], start: NDArray[np.float64], shape: tuple[int, ...]
) -> NDArray[np.complex128]:
    """Sample a window whose top-left pixel is at `start`; mirrored beyond the array."""
    whole = np.floor(start).astype(np.int64)
    fraction = start - whole
    rows, columns = (
        _mirrored(first + np.arange(-_MARGIN_PX, length + _MARGIN_PX), size)
        for first, length, size in zip(whole, shape, object_.shape, strict=True)
    )
    block = object_[rows[:, None], columns[None, :]]
    if fraction.any():
        block = _fourier_shifted(block, fraction)
    return block[_MARGIN_PX:-_MARGIN_PX, _MARGIN_PX:-_MARGIN_PX]


def _mirrored(indexes: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    period = max(2 * (size - 1), 1)
    inside: NDArray[np.int64] = np.minimum(indexes % period, period - indexes % period)
    return inside


def _fourier_shifted(
    block: NDArray[np.complex128], fraction: NDArray[np.float64]
) -> NDArray[np.complex128]:
    fade = np.sin(np.pi / 2 * (np.arange(_MARGIN_PX) + 0.5) / _MARGIN_PX) ** 2
    inner = [np.ones(side - 2 * _MARGIN_PX) for side in block.shape]
    taper = np.outer(*(np.concatenate([fade, ones, fade[::-1]]) for ones in inner))
    fy, fx = (np.fft.fftfreq(side) for side in block.shape)
    wave = np.exp(2j * np.pi * (fy[:, None] * fraction[0] + fx[None, :] * fraction[1]))
    mean = block.mean()
    shifted: NDArray[np.complex128] = (
        np.fft.ifft2(np.fft.fft2((block - mean) * taper) * wave) + mean
    )
    return shifted


def _resampled_mask(
    mask: NDArray[np.bool_], start: NDArray[np.float64], shape: tuple[int, ...]
) -> NDArray[np.bool_]:
    from scipy import ndimage  # 0.2 s of import, which only comparing shall pay

    share = ndimage.affine_transform(
        mask.astype(np.float64),
        np.ones(2),
        offset=start,
        output_shape=shape,
        order=1,
        mode="grid-constant",
    )
    # Half a pixel beyond the border is still extrapolated by less than a pixel.
    is_known: NDArray[np.bool_] = share >= 0.5
    return is_known


def _registered(
    a: NDArray[np.complex128],
    mask_a: NDArray[np.bool_],
    b: NDArray[np.complex128],
    is_valid: NDArray[np.bool_],
    start: NDArray[np.float64],
    region: Region,
) -> Aligned:
    def moved(shift: NDArray[np.float64]) -> Aligned:
        known = is_valid & _resampled_mask(mask_a, start - shift, b.shape)
        if not known.any():
            known = is_valid
        fitted = _fit_scale_and_ramp(_resampled(a, start - shift, b.shape), b, known)
        y, x = (round(float(s), 6) + 0.0 for s in shift)
        return Aligned(fitted, b, known, region, (y, x))

    shift = np.zeros(2)
    unmoved = best = current = moved(shift)
    for _ in range(_NUM_REGISTRATIONS):
        step = _shift_between(current)
        if not step.any():
            break
        shift = shift + step
        current = moved(shift)
        if _misfit(current, is_valid) < _misfit(best, is_valid):
            best = current
    is_better = _misfit(best, is_valid) < (1 - _SMALLEST_GAIN) * _misfit(unmoved, is_valid)
    return best if is_better else unmoved


def _misfit(aligned: Aligned, is_valid: NDArray[np.bool_]) -> float:
    """Residual over the same pixels for every shift; a lost pixel counts as wholly wrong."""
    residual = np.where(aligned.is_valid, aligned.a - aligned.b, aligned.b)
    return float((np.abs(residual[is_valid]) ** 2).sum())


def _shift_between(aligned: Aligned) -> NDArray[np.float64]:
    """Shift (y, x) that moves `a` onto `b`, from their tapered deviations from the mean."""
    a = tapered_deviation(aligned.a, aligned.is_valid)
    b = tapered_deviation(aligned.b, aligned.is_valid)
    if min(np.linalg.norm(a), np.linalg.norm(b)) <= FLAT * np.linalg.norm(aligned.b):
        return np.zeros(2)
    # Not the whitened variant: beyond the resolution of a reconstruction there is only noise.
    shift = need_skimage("registration").phase_cross_correlation(
        b, a, upsample_factor=_UPSAMPLING, normalization=None
    )[0]
    return np.asarray(shift, np.float64)


def tapered_deviation(
    object_: NDArray[np.complex128], is_valid: NDArray[np.bool_]
) -> NDArray[np.complex128]:
    """Return what is left without the mean, faded out towards the border of the region."""
    deviation: NDArray[np.complex128] = np.where(is_valid, object_ - object_[is_valid].mean(), 0)
    height, width = object_.shape
    taper = np.outer(np.hanning(height + 2)[1:-1], np.hanning(width + 2)[1:-1])
    tapered: NDArray[np.complex128] = deviation * taper
    return tapered


def _fit_scale_and_ramp(
    a: NDArray[np.complex128], b: NDArray[np.complex128], is_valid: NDArray[np.bool_]
) -> NDArray[np.complex128]:
    """Return a·s·exp(i(qy·y + qx·x)) with the s, qy and qx that bring it closest to b.

    For any ramp q the best residual falls as |Σ conj(a)·b·exp(−iq·x)| grows, so the highest peak
    of that Fourier transform starts a Gauss-Newton fit inside the right fringe.
    """
    power = float((np.abs(a[is_valid]) ** 2).sum())
    if power == 0:
        return np.zeros_like(a)
    product = np.where(is_valid, np.conj(a) * b, 0)
    shape = tuple(2 * side for side in product.shape)
    peak = np.unravel_index(np.abs(np.fft.fft2(product, shape)).argmax(), shape)
    ramp = [
        2 * np.pi * np.fft.fftfreq(length)[index] for length, index in zip(shape, peak, strict=True)
    ]
    y, x = np.indices(a.shape, np.float64)
    fitted = a * np.exp(1j * (ramp[0] * y + ramp[1] * x))
    scale = (np.conj(fitted) * b)[is_valid].sum() / power
    return _refined(fitted * scale, b, is_valid)


def _refined(
    fitted: NDArray[np.complex128], b: NDArray[np.complex128], is_valid: NDArray[np.bool_]
) -> NDArray[np.complex128]:
    axes = [np.linspace(-1, 1, side) for side in b.shape]
    y, x = np.meshgrid(*axes, indexing="ij")
    misfit = np.linalg.norm((fitted - b)[is_valid])
    for _ in range(_GAUSS_NEWTON_STEPS):
        columns = [(fitted * factor)[is_valid] for factor in (1, 1j, 1j * y, 1j * x)]
        slopes = np.stack([np.concatenate([c.real, c.imag]) for c in columns], axis=1)
        residual = (b - fitted)[is_valid]
        target = np.concatenate([residual.real, residual.imag])
        step = np.linalg.lstsq(slopes.T @ slopes, slopes.T @ target, rcond=None)[0]
        moved = fitted * np.exp(step[0] + 1j * (step[1] + step[2] * y + step[3] * x))
        moved_misfit = np.linalg.norm((moved - b)[is_valid])
        if not moved_misfit < misfit * (1 - 1e-12):
            break
        fitted, misfit = np.asarray(moved, np.complex128), moved_misfit
    return fitted


def need_skimage(module: str) -> ModuleType:
    """Import a part of scikit-image.

    Raises
    ------
    RuntimeError
        If it is not installed, with the pip line.
    """
    try:
        return import_module(f"skimage.{module}")
    except ImportError as error:
        raise RuntimeError(
            "Comparing objects needs scikit-image, which is not installed: "
            'pip install "ptychonyx[compare]".'
        ) from error
