"""The proof of an exported model: test patterns, and what the native network computes for them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ptychonyx.runtime.model.manifest.verification import TOLERANCES, Verification
from ptychonyx.training.backends import load_backend
from ptychonyx.training.network.architecture import Architecture
from ptychonyx.training.network.weights import Weights
from ptychonyx.training.physics.forward import predict_rate

NUM_TEST_PATTERNS = 2


def make_proof(
    backend: str,
    architecture: Architecture,
    weights: Weights,
    probe: NDArray[np.complex64],
    *,
    scale: float,
    patch_px: int,
) -> Verification:
    """Simulate test patterns and let the native network compute their patches.

    Parameters
    ----------
    backend : str
        Framework that runs the network.
    architecture : Architecture
    weights : mapping of str to float32 array
    probe : complex64 array, shape (modes, N, N)
        The probe in sqrt(counts).
    scale : float
        Input scale of the patterns.
    patch_px : int
        M.

    Returns
    -------
    Verification
        Its largest difference is 0, since no exported model has been compared yet.
    """
    amplitude = draw_test_amplitude(probe, architecture.num_channels, np.random.default_rng(0))
    patches = native_patches(
        backend, architecture, weights, amplitude, scale=scale, patch_px=patch_px
    )
    return Verification(
        amplitude=amplitude,
        scale=scale,
        object_patches=real_pairs(patches),
        largest_difference=0.0,
        tolerance=TOLERANCES["cpu"],
    )


def draw_test_amplitude(
    probe: NDArray[np.complex64], num_channels: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Simulate the patterns that a model file carries to prove itself.

    Parameters
    ----------
    probe : complex64 array, shape (modes, N, N)
        The probe in sqrt(counts).
    num_channels : int
        C.
    rng : numpy.random.Generator

    Returns
    -------
    float32 array, shape (2, C, N, N)
        Diffraction amplitudes of smooth random objects; the two differ.
    """
    window_px = probe.shape[-1]
    shape = (NUM_TEST_PATTERNS, num_channels, window_px, window_px)
    frequency = np.fft.fftfreq(window_px)
    lowpass = np.exp(-((np.hypot(frequency[:, None], frequency) / 0.08) ** 2))
    smooth = np.fft.ifft2(np.fft.fft2(rng.normal(size=(2, *shape))) * lowpass).real
    smooth /= smooth.std()
    objects = (1 - 0.1 * np.abs(smooth[0])) * np.exp(0.3j * smooth[1])
    rate = predict_rate(objects, np.broadcast_to(probe, (len(objects), *probe.shape)))
    return np.sqrt(rng.poisson(rate)).astype(np.float32)


def native_patches(
    backend: str,
    architecture: Architecture,
    weights: Weights,
    amplitude: NDArray[np.float32],
    *,
    scale: float,
    patch_px: int,
) -> NDArray[np.complex64]:
    """Run the native network and cut the central M×M from its patches.

    Returns
    -------
    complex64 array, shape (B, C, M, M)
    """
    module = load_backend(backend, "network")
    network = module.build_network(architecture)
    module.set_weights(network, weights)
    patches: NDArray[np.complex64] = module.predict(network, amplitude, scale)
    start = (architecture.window_px - patch_px) // 2
    return patches[..., start : start + patch_px, start : start + patch_px]


def real_pairs(patches: NDArray[np.complex64]) -> NDArray[np.float32]:
    """Return complex numbers as (real, imaginary) along a new last axis.

    Examples
    --------
    >>> real_pairs(np.array([1 + 2j], dtype=np.complex64)).tolist()
    [[1.0, 2.0]]
    """
    return np.ascontiguousarray(patches).view(np.float32).reshape(*patches.shape, 2)
