"""The exported model against the native network it came from."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ptychonyx.runtime.errors import ExportMismatchError
from ptychonyx.training.backends import load_backend
from ptychonyx.training.network.architecture import Architecture
from ptychonyx.training.network.weights import Weights
from ptychonyx.training.physics.forward import predict_rate

NUM_TEST_PATTERNS = 2


def draw_test_amplitude(
    probe: NDArray[np.complex64], num_channels: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Simulate the patterns that a model file carries to prove itself.

    Parameters
    ----------
    probe : complex64 array, shape (modes, N, N)
        In sqrt(counts).
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
    """Run the native network and cut the central M×M of its patches.

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


def check_difference(
    exported: NDArray[np.complex64], native: NDArray[np.complex64], *, tolerance: float
) -> float:
    """Return the largest difference of any real or imaginary part.

    Raises
    ------
    ExportMismatchError
        If it exceeds `tolerance`, or is not a number.

    Examples
    --------
    >>> ones = np.ones((1, 1, 2, 2), dtype=np.complex64)
    >>> check_difference(ones, ones, tolerance=1e-5)
    0.0
    """
    difference = exported.astype(np.complex128) - native
    largest = float(max(np.abs(difference.real).max(), np.abs(difference.imag).max()))
    if not largest <= tolerance:
        raise ExportMismatchError("object_patches", largest, tolerance)
    return largest
