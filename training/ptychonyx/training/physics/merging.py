"""The merging of a group's patches in NumPy float64: the oracle of both backends."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

OWN_SHARE = 1e-3
"""Weight that a patch has in its own window beyond its illumination: where no probe of the group
reached, the merged object is the patch itself, and nothing is divided by a sum near zero."""
NO_OVERLAP = 1e-12
"""Added to a squared dot product of patches, so that its phase is defined where it is 0."""
BLUR_PX = 4.0
"""Standard deviation of the blur of the illumination that weights a patch. Times an object's own
frequencies, a probe as sharp as |P|² reaches beyond Nyquist and cannot be shifted: merging then errs
by 1 to 15 %, with this blur and a Hann window by 1e-4 (2, 3 and 6 px: 4e-3, 2e-4 and 1e-4)."""


def illumination_of(probe: NDArray[np.complex64]) -> NDArray[np.float64]:
    """Return how much each pixel of a patch counts when patches are merged.

    It is the blurred intensity of the probe, faded out by a Hann window along each axis.

    Parameters
    ----------
    probe : complex array, shape (modes, N, N)

    Returns
    -------
    float64 array, shape (N, N)
        Largest value 1.

    Examples
    --------
    >>> illumination_of(np.ones((1, 64, 64), dtype=np.complex64))[32, [8, 31, 32]].round(2)
    array([0.16, 1.  , 1.  ])
    """
    side = probe.shape[-1]
    intensity = np.sum(np.abs(probe.astype(np.complex128)) ** 2, axis=0)
    blurred = ndimage.gaussian_filter(intensity, BLUR_PX, mode="constant")
    fade = np.sin(np.pi * (np.arange(side) + 0.5) / side) ** 2
    weights = blurred * np.outer(fade, fade)
    return np.asarray(weights / weights.max())


def shift_kernels(corners_px: NDArray[np.float64], window_px: int) -> NDArray[np.float64]:
    """Return the band-limited interpolation from each window of a group to each other.

    Pixel j of patch d lies (i − j) + corner_c − corner_d from pixel i of window c, along either
    axis; its weight there is sinc of that: a Fourier shift on a canvas without end. As it depends on
    i − j only, one row of 2N − 1 numbers holds it.

    Parameters
    ----------
    corners_px : float64 array, shape (B, C, 2)
        Top-left pixel (y, x) of each pattern's window, from any origin: only differences within a
        group matter.
    window_px : int
        N.

    Returns
    -------
    float64 array, shape (B, C, C, 2, 2N − 1)
        [b, c, d, axis, N − 1 + i − j].

    Examples
    --------
    >>> shift_kernels(np.array([[[0.0, 0.0], [1.0, 0.0]]]), 2)[0, 0, 1, 0].round(9) + 0.0
    array([0., 0., 1.])
    """
    difference = np.arange(1 - window_px, window_px)
    distance = corners_px[:, :, None] - corners_px[:, None, :]
    return np.asarray(np.sinc(difference + distance[..., None]))


def toeplitz_index(window_px: int) -> NDArray[np.int64]:
    """Return where in a row of `shift_kernels` the weight of [i, j] stands: N − 1 + i − j.

    Examples
    --------
    >>> toeplitz_index(2)
    array([[1, 0],
           [2, 1]])
    """
    pixels = np.arange(window_px)
    return window_px - 1 + pixels[:, None] - pixels


def turn_to_first(
    object_patches: NDArray[np.complex128],
    kernels: NDArray[np.float64],
    illumination: NDArray[np.float64],
) -> NDArray[np.complex128]:
    """Multiply each patch of a group by the one phase factor that fits it to the first patch.

    z_d = s_d / |s_d|, s_d = Σ conj(S_0d(w·O_d)) · S_00(w·O_0), where S_0d shifts from window d to
    window 0. No single pattern tells the global phase of its patch, so a network that sees one
    pattern at a time is not asked for it. A network that sees the patterns of a group together gives
    all their patches one phase: its patches are merged as they are.

    Parameters
    ----------
    object_patches : complex array, shape (B, C, N, N)
    kernels : float64 array, shape (B, C, C, 2, 2N − 1)
        From `shift_kernels`.
    illumination : float64 array, shape (B, N, N)
        w, `illumination_of` the probe of each sample's scan; a constant in the gradient.

    Returns
    -------
    complex128 array, shape (B, C, N, N)

    Examples
    --------
    >>> patches = np.array([2j, -2])[None, :, None, None] * np.ones((1, 2, 4, 4))
    >>> kernels = shift_kernels(np.array([[[0.0, 0.0], [0.5, 1.25]]]), 4)
    >>> turn_to_first(patches, kernels, np.ones((1, 4, 4))).round(9)[0, :, 0, 0]
    array([0.+2.j, 0.+2.j])
    """
    matrices = kernels[:, 0][..., toeplitz_index(object_patches.shape[-1])]
    down, across = matrices[..., 0, :, :], matrices[..., 1, :, :].swapaxes(-1, -2)
    shifted = down @ (illumination[:, None] * object_patches) @ across
    common = np.sum(shifted.conj() * shifted[:, :1], axis=(-2, -1))
    factors = common / np.sqrt(np.abs(common) ** 2 + NO_OVERLAP)
    return np.asarray(factors[..., None, None] * object_patches)


def merge_patches(
    object_patches: NDArray[np.complex128],
    kernels: NDArray[np.float64],
    illumination: NDArray[np.float64],
) -> NDArray[np.complex128]:
    """Let the C patches of each group agree on one object, seen through each of their windows.

    E_c = (Σ_d S_cd(w·O_d) + ε·O_c) / (Σ_d S_cd(w) + ε), where S_cd shifts from window d to window c.
    The merged object is evaluated in each window at once, instead of shifting onto a canvas and back:
    only w·O, which fades out towards its borders, is interpolated, and only once. Where the patches'
    phases are free, `turn_to_first` comes before.

    Parameters
    ----------
    object_patches : complex array, shape (B, C, N, N)
    kernels : float64 array, shape (B, C, C, 2, 2N − 1)
        From `shift_kernels`.
    illumination : float64 array, shape (B, N, N)
        w, `illumination_of` the probe of each sample's scan; a constant in the gradient.

    Returns
    -------
    complex128 array, shape (B, C, N, N)

    Examples
    --------
    >>> patches = np.array([1.0, 3.0])[None, :, None, None] * np.ones((1, 2, 4, 4))
    >>> kernels = shift_kernels(np.zeros((1, 2, 2)), 4)
    >>> merge_patches(patches, kernels, np.ones((1, 4, 4))).round(2)[0, :, 0, 0].real
    array([2., 2.])
    """
    matrices = kernels[..., toeplitz_index(object_patches.shape[-1])]
    down, across = matrices[..., 0, :, :], matrices[..., 1, :, :].swapaxes(-1, -2)
    weight = np.broadcast_to(illumination[:, None], object_patches.shape)
    shifted = down @ (weight * object_patches)[:, None] @ across
    merged = shifted.sum(axis=2) + OWN_SHARE * object_patches
    divisor = (down @ weight[:, None] @ across).sum(axis=2)
    return np.asarray(merged / (divisor + OWN_SHARE))
