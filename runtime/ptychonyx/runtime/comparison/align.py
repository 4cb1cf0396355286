"""Put two objects on one pixel grid and remove what ptychography cannot determine.

Diffraction patterns fix an object only up to a complex factor, a linear phase ramp and a common
shift. All three are fitted and removed, on the complex arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .region import Region, known_box, parse_region

# Registration to 1/100 px: a hundredth of a pixel changes the Siemens star's phase Pearson by less
# than 1e-4.
_UPSAMPLING = 100
# Each pass registers the object as the pass before has moved it and removed its ramp. The taper of
# the first pass makes the shift too small and later passes correct that; more than four never
# changed a digit.
_NUM_REGISTRATIONS = 4
# A shift is kept only if it lowers the squared misfit by more than this: the best of many shifts of
# pure noise lowers it by less.
_SMALLEST_GAIN = 0.01
# Neighbourhood, faded out, around the region that a Fourier shift moves, so that nothing wraps around
# into the region. With more than 32 px no metric of the Siemens star changed.
_MARGIN_PX = 32
FLAT = 1e-6
"""Standard deviation, relative to an amplitude or to one radian, below which an image counts as flat:
ten times the rounding of complex64."""
# Side of the SSIM window of Wang et al., IEEE Trans. Image Process. 13, 600 (2004), as scikit-image
# has it; also the smallest region worth a metric.
_SMALLEST_REGION_PX = 7
_GAUSS_NEWTON_STEPS = 30


@dataclass(frozen=True)
class Aligned:
    """Hold two objects on one pixel grid, with scale, phase ramp and shift removed.

    Attributes
    ----------
    a, b : complex128 arrays, shape (h, w)
        The first object, fitted to the reference, and the reference; both cut to the region.
    is_valid : bool array, shape (h, w)
        Pixels known in both.
    region : Region
        Where both were cut, in pixels of the whole reference.
    shift_px : (float, float)
        Distance (y, x) that the first object was moved in addition to the offset of its corner.
    """

    a: NDArray[np.complex128]
    b: NDArray[np.complex128]
    is_valid: NDArray[np.bool_]
    region: Region
    shift_px: tuple[float, float]


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
        Top-left pixel (y, x) of each object in one common frame; need not be whole.
    region : Region, str or None
        Part to compare, in pixels of `b`. None: the bounding box of the pixels known in both.
    mask_a, mask_b : bool arrays of the shapes of `a` and `b`, or None
        True where an object is known (covered). None: everywhere.

    Returns
    -------
    Aligned
        Both objects cut to the region. The first one is moved only if that makes them more alike.

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
    return _large_enough(known_box(covered))


def _large_enough(region: Region) -> Region:
    if min(region.shape) < _SMALLEST_REGION_PX:
        raise ValueError(
            f"Region {region} has shape {region.shape}; at least {_SMALLEST_REGION_PX}×"
            f"{_SMALLEST_REGION_PX} pixels are needed to compare: choose a larger region."
        )
    return region


def _filled(object_: NDArray[Any], mask: NDArray[np.bool_]) -> NDArray[np.complex128]:
    """Replace unknown pixels by the mean of the known ones, so that a shift does not ring there."""
    known: NDArray[np.complex128] = object_.astype(np.complex128)
    return np.where(mask, known, known[mask].mean() if mask.any() else 0)


def _resampled(
    object_: NDArray[np.complex128], start: NDArray[np.float64], shape: tuple[int, ...]
) -> NDArray[np.complex128]:
    """Sample a window of the object whose top-left pixel is at `start`, between pixels if need be."""
    whole = np.floor(start).astype(np.int64)
    fraction = start - whole
    block = _mirrored_block(object_, whole - _MARGIN_PX, np.array(shape) + 2 * _MARGIN_PX)
    if fraction.any():
        block = _fourier_shifted(block, fraction)
    return block[_MARGIN_PX:-_MARGIN_PX, _MARGIN_PX:-_MARGIN_PX]


def _mirrored_block(
    object_: NDArray[np.complex128], first: NDArray[np.int64], shape: NDArray[np.int64]
) -> NDArray[np.complex128]:
    """Cut a block at whole pixels; beyond the array it is mirrored at the outermost pixels."""
    size = np.array(object_.shape)
    low, high = np.clip(first, 0, size - 1), np.clip(first + shape, 1, size)
    inside = object_[low[0] : high[0], low[1] : high[1]]
    missing = np.stack([low - first, first + shape - high], axis=1)
    return np.pad(inside, missing, mode="reflect")


def _fourier_shifted(
    block: NDArray[np.complex128], fraction: NDArray[np.float64]
) -> NDArray[np.complex128]:
    """Move the content of a block by −`fraction`; its deviation from the mean fades out around."""
    from scipy import ndimage  # 0.2 s of import, needed only when objects are compared

    fade = np.sin(np.pi / 2 * (np.arange(_MARGIN_PX) + 0.5) / _MARGIN_PX) ** 2
    inner = [np.ones(side - 2 * _MARGIN_PX) for side in block.shape]
    taper = np.outer(*(np.concatenate([fade, ones, fade[::-1]]) for ones in inner))
    mean = block.mean()
    spectrum = ndimage.fourier_shift(np.fft.fft2((block - mean) * taper), -fraction)
    shifted: NDArray[np.complex128] = np.fft.ifft2(spectrum) + mean
    return shifted


def _resampled_mask(
    mask: NDArray[np.bool_], start: NDArray[np.float64], shape: tuple[int, ...]
) -> NDArray[np.bool_]:
    from scipy import ndimage  # 0.2 s of import, needed only when objects are compared

    share = ndimage.affine_transform(
        mask.astype(np.float64),
        np.ones(2),
        offset=start,
        output_shape=shape,
        order=1,
        mode="grid-constant",
    )
    # A pixel counts as known if it lies at most half a pixel outside of the known ones.
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
    """Return Σ|a − b|² over the same pixels for every shift; where `a` was moved away, a is 0."""
    residual = np.where(aligned.is_valid, aligned.a - aligned.b, aligned.b)
    return float((np.abs(residual[is_valid]) ** 2).sum())


def _shift_between(aligned: Aligned) -> NDArray[np.float64]:
    """Return the shift (y, x) that moves `a` onto `b`, found from their tapered deviations."""
    a = tapered_deviation(aligned.a, aligned.is_valid)
    b = tapered_deviation(aligned.b, aligned.is_valid)
    if min(np.linalg.norm(a), np.linalg.norm(b)) <= FLAT * np.linalg.norm(aligned.b):
        return np.zeros(2)
    # Without whitening: it would amplify the noise beyond the resolution of the reconstruction.
    shift = need_skimage("registration").phase_cross_correlation(
        b, a, upsample_factor=_UPSAMPLING, normalization=None
    )[0]
    return np.asarray(shift, np.float64)


def tapered_deviation(
    object_: NDArray[np.complex128], is_valid: NDArray[np.bool_]
) -> NDArray[np.complex128]:
    """Return the deviation of an object from its mean, faded out towards the border.

    Parameters
    ----------
    object_ : complex128 array, shape (h, w)
        Transmission.
    is_valid : bool array, shape (h, w)
        Pixels of the mean; the others become 0.

    Returns
    -------
    complex128 array, shape (h, w)

    Examples
    --------
    >>> tapered_deviation(np.array([[1, 3 + 0j]]), np.array([[True, True]])).real.round(2)
    array([[-0.75,  0.75]])
    """
    deviation: NDArray[np.complex128] = np.where(is_valid, object_ - object_[is_valid].mean(), 0)
    height, width = object_.shape
    taper = np.outer(np.hanning(height + 2)[1:-1], np.hanning(width + 2)[1:-1])
    tapered: NDArray[np.complex128] = deviation * taper
    return tapered


def _fit_scale_and_ramp(
    a: NDArray[np.complex128], b: NDArray[np.complex128], is_valid: NDArray[np.bool_]
) -> NDArray[np.complex128]:
    """Return a·s·exp(i(qy·y + qx·x)) with the s, qy and qx that bring it closest to b.

    For each ramp q the smallest possible residual falls as |Σ conj(a)·b·exp(−iq·x)| grows. So the
    highest peak of this Fourier transform is a starting point from which the Gauss-Newton fit
    converges to the best ramp, not to a neighbouring fringe.
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
    """Fit amplitude, phase and ramp by Gauss-Newton steps, as long as the misfit falls."""
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
