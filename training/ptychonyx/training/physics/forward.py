"""The forward model in NumPy float64: the oracle of both backends."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ptychonyx.runtime.forward import far_field_counts

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
    modes_first = np.moveaxis(probe, 1, 0)[:, :, None]
    return far_field_counts(object_patches, modes_first) + RATE_FLOOR_COUNTS
