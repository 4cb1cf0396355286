"""The forward model and the losses in NumPy float64: the oracle of both backends."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RATE_FLOOR_COUNTS = 1e-6
"""Added to every predicted intensity, so that the logarithm of a dark pixel is finite."""


def predict_rate(
    object_patches: NDArray[np.complex128], probe: NDArray[np.complex128]
) -> NDArray[np.float64]:
    """Predict the counts that object patches give behind a probe.

    rate = Σ_m |fftshift F(P_m · O)|² + 1e-6: incoherent modes add in intensity; F is orthonormal.

    Parameters
    ----------
    object_patches : complex array, shape (B, C, N, N)
        Complex transmission of each patch.
    probe : complex array, shape (B, modes, N, N)
        Probe of each sample's scan, in sqrt(counts).

    Returns
    -------
    float64 array, shape (B, C, N, N)
        Expected counts, DC at [N//2, N//2].

    Examples
    --------
    >>> flat = np.ones((1, 1, 4, 4))
    >>> predict_rate(flat, flat)[0, 0, 2, 2].round(3)
    np.float64(16.0)
    """
    exit_wave = probe[:, None] * object_patches[:, :, None]
    far_field = np.fft.fftshift(np.fft.fft2(exit_wave, norm="ortho"), axes=(-2, -1))
    rate: NDArray[np.float64] = (np.abs(far_field) ** 2).sum(axis=2) + RATE_FLOOR_COUNTS
    return rate


def loss(
    name: str,
    rate: NDArray[np.float64],
    counts: NDArray[np.float64],
    *,
    good_pixels: NDArray[np.float64],
    mean_count: NDArray[np.float64],
) -> float:
    """Return the loss of one batch: a mean over good pixels, channels and samples.

    poisson: rate − k·ln(rate) (ln k! dropped); amplitude: (sqrt(rate) − sqrt(k))². Each sample is
    divided by the mean count of its scan, so that dose does not set the learning rate.

    Parameters
    ----------
    name : "poisson" or "amplitude"
        Which loss.
    rate, counts : float64 array, shape (B, C, N, N)
        Predicted and measured counts.
    good_pixels : float64 array, shape (B, N, N)
        1 where a pixel counts, 0 where it is bad.
    mean_count : float64 array, shape (B,)
        Mean counts of a good pixel in each sample's scan.

    Examples
    --------
    >>> ones = np.ones((1, 1, 2, 2))
    >>> loss("amplitude", 4 * ones, ones, good_pixels=ones[0], mean_count=np.ones(1))
    1.0
    """
    pixel_loss = PIXEL_LOSSES[name](rate, counts) * good_pixels[:, None]
    per_sample = pixel_loss.sum(axis=(1, 2, 3))
    per_sample /= good_pixels.sum(axis=(1, 2)) * rate.shape[1]
    return float(np.mean(per_sample / mean_count))


def _poisson(rate: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    result: NDArray[np.float64] = rate - counts * np.log(rate)
    return result


def _amplitude(rate: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    result: NDArray[np.float64] = (np.sqrt(rate) - np.sqrt(counts)) ** 2
    return result


PIXEL_LOSSES = {"poisson": _poisson, "amplitude": _amplitude}
