"""Fourier ring correlation: down to which period two images of one specimen agree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .align import tapered_deviation

SMALLEST_PERIOD_PX = 2.0
"""What agrees up to the highest frequency that pixels hold has at most this period."""


@dataclass(frozen=True)
class RingCorrelation:
    """Hold how alike the spectra of two images are, ring by ring.

    Attributes
    ----------
    frequencies : float64 array, shape (rings,)
        In cycles per pixel, from 0 to 1/2, evenly spaced; the step is one over the shorter side.
    correlation : float64 array, shape (rings,)
        −1 to 1; 0 where one of the spectra is 0.
    threshold : float64 array, shape (rings,)
        Correlation at which a ring carries half a bit of information for each pixel. It is high on
        rings of few pixels, where correlation may be chance.
    num_fourier_pixels : int64 array, shape (rings,)
        Pixels of each ring.
    """

    frequencies: NDArray[np.float64]
    correlation: NDArray[np.float64]
    threshold: NDArray[np.float64]
    num_fourier_pixels: NDArray[np.int64]

    @property
    def curve(self) -> NDArray[np.float64]:
        """Frequencies, correlation and threshold as the rows of one array, shape (3, rings)."""
        return np.stack([self.frequencies, self.correlation, self.threshold])


def correlate_rings(
    a: NDArray[np.complex128], b: NDArray[np.complex128], is_valid: NDArray[np.bool_]
) -> RingCorrelation:
    """Correlate the spectra of two aligned images, ring by ring.

    Each image is reduced to its deviation from its mean and faded out towards the border, so that
    the border itself, which both share, does not correlate. Threshold: van Heel and Schatz,
    J. Struct. Biol. 151, 250 (2005), equation 17 for half a bit.

    Parameters
    ----------
    a, b : complex128 arrays, shape (h, w)
        From `align`: scale, phase ramp and shift must be gone.
    is_valid : bool array, shape (h, w)
        Pixels known in both; the others count as the mean.

    Returns
    -------
    RingCorrelation
        Of min(h, w) // 2 + 1 rings; frequencies beyond 1/2, in the corners of a spectrum, are left
        out.

    Examples
    --------
    >>> image = np.random.default_rng(0).normal(size=(32, 32)) + 0j
    >>> rings = correlate_rings(image, 2j * image, np.ones(image.shape, bool))
    >>> rings.frequencies[:3].tolist(), rings.num_fourier_pixels[:3].tolist()
    ([0.0, 0.03125, 0.0625], [1, 8, 12])
    """
    side = min(a.shape)
    spectrum_a = np.fft.fft2(tapered_deviation(a, is_valid))
    spectrum_b = np.fft.fft2(tapered_deviation(b, is_valid))
    fy, fx = np.fft.fftfreq(a.shape[0])[:, None], np.fft.fftfreq(a.shape[1])[None, :]
    ring = np.rint(np.hypot(fy, fx) * side).astype(np.int64).ravel()
    num_rings = side // 2 + 1

    def per_ring(values: NDArray[np.float64]) -> NDArray[np.float64]:
        sums: NDArray[Any] = np.bincount(ring, values.ravel(), minlength=num_rings)
        return sums[:num_rings].astype(np.float64)

    common = per_ring((spectrum_a * np.conj(spectrum_b)).real)
    power = np.sqrt(per_ring(np.abs(spectrum_a) ** 2) * per_ring(np.abs(spectrum_b) ** 2))
    correlation = np.divide(common, power, out=np.zeros(num_rings), where=power > 0)
    num_pixels = per_ring(np.ones(a.shape))
    root = np.sqrt(num_pixels)
    threshold = (0.2071 + 1.9102 / root) / (1.2071 + 0.9102 / root)
    frequencies = np.arange(num_rings) / side
    return RingCorrelation(frequencies, correlation, threshold, num_pixels.astype(np.int64))


def half_bit_period_px(curve: NDArray[np.float64]) -> float:
    """Return the period where a ring correlation first falls below its threshold.

    Parameters
    ----------
    curve : float array, shape (3, rings)
        Frequencies in cycles per pixel, correlation and threshold; see `RingCorrelation.curve`.

    Returns
    -------
    float
        In pixels, found between rings by a straight line: 2 if the correlation never falls below,
        the period of the first ring if it is below at once.

    Examples
    --------
    >>> frequencies = np.array([0, 0.1, 0.2, 0.3])
    >>> half_bit_period_px(np.stack([frequencies, [0, 0.9, 0.7, 0.3], np.full(4, 0.5)]))
    4.0
    """
    frequencies, correlation, threshold = curve
    side = round(1 / frequencies[1])
    # Ring 0 is left out: it holds the mean, which is 0 in both.
    excess = (correlation - threshold)[1:]
    below = np.flatnonzero(excess < 0)
    if len(below) == 0:
        return SMALLEST_PERIOD_PX
    first = int(below[0])
    if first == 0:
        return float(side)
    crossing = first + excess[first - 1] / (excess[first - 1] - excess[first])
    return float(side / crossing)
