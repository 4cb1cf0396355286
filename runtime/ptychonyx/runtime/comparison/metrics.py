"""Measure how alike two objects are, after removing what ptychography cannot determine."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .align import FLAT, Aligned, align, need_skimage
from .region import Region, without_common_phase
from .ring_correlation import correlate_rings, half_bit_period_px


@dataclass(frozen=True)
class Comparison:
    """Hold how alike two objects are; the second one is the reference.

    Attributes
    ----------
    complex_nrmse : float
        ‖a − b‖ / ‖b‖; 0 is perfect.
    amplitude_pearson, phase_pearson : float
        Correlation coefficients; 0 if one image is flat.
    amplitude_ssim, phase_ssim : float
        Structural similarity, with the reference's own range of values; its lowest phase counts
        as 0.
    phase_mae_rad : float
        Mean absolute phase difference, wrapped to at most π.
    frc_half_bit_px : float
        Period in pixels at which the Fourier ring correlation first falls below the half-bit
        threshold: 2 if it never does, the region's shorter side if it does at once.
    frc_half_bit_nm : float or None
        The same in nanometres, if the pixel size is known.
    shift_px : (float, float)
        Distance (y, x) that the first object was moved in addition to the offset of its corner.
    region : str
        Rows and columns compared, `y0:y1,x0:x1` in pixels of the reference.
    num_pixels : int
        Number of pixels compared.
    aligned : Aligned
        The two objects as they were compared, for a picture.
    """

    complex_nrmse: float
    amplitude_pearson: float
    phase_pearson: float
    amplitude_ssim: float
    phase_ssim: float
    phase_mae_rad: float
    frc_half_bit_px: float
    frc_half_bit_nm: float | None
    shift_px: tuple[float, float]
    region: str
    num_pixels: int
    aligned: Aligned = field(repr=False, compare=False)

    def metrics(self) -> dict[str, Any]:
        """Return every metric by its name, without the objects: plain values that JSON can hold."""
        return {one.name: getattr(self, one.name) for one in fields(self) if one.name != "aligned"}


def compare_objects(
    a: NDArray[np.complexfloating[Any, Any]],
    b: NDArray[np.complexfloating[Any, Any]],
    *,
    corner_a: tuple[float, float],
    corner_b: tuple[float, float],
    region: Region | str | None = None,
    mask_a: NDArray[np.bool_] | None = None,
    mask_b: NDArray[np.bool_] | None = None,
    pixel_size_m: float | None = None,
) -> Comparison:
    """Measure how well one object agrees with a reference.

    Scale, phase ramp and shift between the two are removed first. This is `measure(align(...))`.

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
    pixel_size_m : float or None
        Side of a pixel, for the resolution in nanometres.

    Returns
    -------
    Comparison
        The metrics, and the region that they hold for.

    Raises
    ------
    ValueError
        If shapes do not fit, the region is empty or outside, or a valid pixel is not finite.
    RuntimeError
        If scikit-image is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> b = np.exp(1j * rng.normal(0, 0.3, (32, 32)))
    >>> result = compare_objects(2j * b, b, corner_a=(5, 5), corner_b=(5, 5))
    >>> round(result.complex_nrmse, 6), round(result.phase_pearson, 6), result.region
    (0.0, 1.0, '0:32,0:32')
    """
    aligned = align(
        a,
        b,
        corner_a=corner_a,
        corner_b=corner_b,
        region=region,
        mask_a=mask_a,
        mask_b=mask_b,
    )
    return measure(aligned, pixel_size_m=pixel_size_m)


def measure(aligned: Aligned, *, pixel_size_m: float | None = None) -> Comparison:
    """Measure two aligned objects.

    Parameters
    ----------
    aligned : Aligned
        From `align`.
    pixel_size_m : float or None
        Side of a pixel, for the resolution in nanometres.

    Returns
    -------
    Comparison
        The metrics. For SSIM and ring correlation, pixels that are not valid are filled with equal
        values in both objects.

    Raises
    ------
    RuntimeError
        If scikit-image is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> b = np.exp(1j * np.random.default_rng(0).normal(0, 0.3, (32, 32)))
    >>> aligned = Aligned(b, b, np.ones(b.shape, bool), Region(0, 32, 0, 32), (0.0, 0.0))
    >>> measure(aligned, pixel_size_m=1e-8).frc_half_bit_nm
    20.0
    """
    is_valid = aligned.is_valid
    a = without_common_phase(aligned.a, is_valid, reference=aligned.b)
    b = without_common_phase(aligned.b, is_valid)
    phase_a, phase_b = np.angle(a), np.angle(b)
    # SSIM compares ratios of local means, which depend on where zero is. The zero of a phase is free:
    # here the reference's lowest phase is 0, as the lowest brightness of an image.
    lowest = float(phase_b[is_valid].min())
    frc_px = half_bit_period_px(correlate_rings(a, b, is_valid).curve)
    return Comparison(
        complex_nrmse=nrmse(a, b, is_valid),
        amplitude_pearson=pearson(np.abs(a), np.abs(b), is_valid),
        phase_pearson=pearson(phase_a, phase_b, is_valid),
        amplitude_ssim=_ssim(np.abs(a), np.abs(b), is_valid),
        phase_ssim=_ssim(phase_a - lowest, phase_b - lowest, is_valid),
        phase_mae_rad=float(np.abs(np.angle(a * np.conj(b))[is_valid]).mean()),
        frc_half_bit_px=frc_px,
        frc_half_bit_nm=None if pixel_size_m is None else frc_px * pixel_size_m * 1e9,
        shift_px=aligned.shift_px,
        region=str(aligned.region),
        num_pixels=int(is_valid.sum()),
        aligned=aligned,
    )


def nrmse(
    a: NDArray[np.complexfloating[Any, Any]],
    b: NDArray[np.complexfloating[Any, Any]],
    is_valid: NDArray[np.bool_],
) -> float:
    """Return ‖a − b‖ / ‖b‖ over the valid pixels.

    Parameters
    ----------
    a, b : complex arrays, shape (h, w)
        The object, and the reference.
    is_valid : bool array, shape (h, w)
        Pixels to compare.

    Raises
    ------
    ValueError
        If `b` is 0 at all of them.

    Examples
    --------
    >>> nrmse(np.array([[2j, 5]]), np.array([[1j, 0]]), np.array([[True, False]]))
    1.0
    """
    norm = np.linalg.norm(b[is_valid])
    if norm == 0:
        raise ValueError(
            "The reference `b` is 0 in the whole region, expected a transmission: "
            "choose a region where it is covered."
        )
    return float(np.linalg.norm((a - b)[is_valid]) / norm)


def _is_flat(values: NDArray[np.floating[Any]]) -> bool:
    return float(values.std()) <= FLAT * max(1.0, float(np.abs(values).max()))


def pearson(
    a: NDArray[np.floating[Any]], b: NDArray[np.floating[Any]], is_valid: NDArray[np.bool_]
) -> float:
    """Return the correlation coefficient over the valid pixels; 0 if one image is flat.

    Parameters
    ----------
    a, b : real arrays, shape (h, w)
        Amplitudes or phases of two objects.
    is_valid : bool array, shape (h, w)
        Pixels to compare.

    Examples
    --------
    >>> image = np.arange(4.0).reshape(2, 2)
    >>> round(pearson(image, 3 - 2 * image, np.ones((2, 2), bool)), 6)
    -1.0
    """
    a, b = a[is_valid], b[is_valid]
    if _is_flat(a) or _is_flat(b):
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def _ssim(a: NDArray[np.float64], b: NDArray[np.float64], is_valid: NDArray[np.bool_]) -> float:
    known = b[is_valid]
    # A flat reference has no range of values: one unit of amplitude or phase stands in.
    data_range = 1.0 if _is_flat(known) else float(np.ptp(known))
    filler = known.mean()
    _, similarity = need_skimage("metrics").structural_similarity(
        np.where(is_valid, b, filler),
        np.where(is_valid, a, filler),
        data_range=data_range,
        full=True,
    )
    return float(similarity[is_valid].mean())
