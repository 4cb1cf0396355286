"""What a detector should count behind an object: the forward model, for simulation and residuals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .stitching.mosaic import cut_patches

Real = NDArray[np.float64]
Complex = NDArray[np.complex128]


def predict_counts(object_: NDArray[np.complexfloating], probe: Complex, corners_px: Real) -> Real:
    """Return the mean counts behind each window, before photon noise: Σ_m |fftshift F(P_m · O)|².

    Windows at fractional corners are cut with the same windowed sinc that stitches them. Against an
    exact Fourier shift it errs by 0.1 to 0.2 % of the objects drawn here, and by less than 0.4 % of
    a plane wave up to 0.3 cycles/px along each axis.

    Parameters
    ----------
    object_ : complex array, shape (H, W)
    probe : complex array, shape (modes, N, N)
        In sqrt(counts).
    corners_px : float64 array, shape (k, 2)
        Top-left pixel (y, x) of each window in the object.

    Returns
    -------
    float64 array, shape (k, N, N)
        DC at [N//2, N//2].

    Examples
    --------
    >>> probe = np.full((1, 4, 4), 0.25 + 0j)
    >>> predict_counts(np.ones((6, 6)) + 0j, probe, np.array([[1.0, 1.0]]))[0, 2].round(9)
    array([0., 0., 1., 0.])
    """
    patches = cut_patches(object_, corners_px, probe.shape[-1])
    counts = np.zeros(patches.shape)
    for mode in probe:
        # SciPy's is a little faster, but takes longer to import than all patterns of a residual need
        far_field = np.fft.fft2(mode * patches, norm="ortho")
        counts += np.square(far_field.real) + np.square(far_field.imag)
    return np.asarray(np.fft.fftshift(counts, axes=(-2, -1)))
