"""Make probes: incoherent modes with a total power of about 1.

Each function takes the side N of the window and the number of modes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Complex = NDArray[np.complex128]

LENS_CUTOFF = 0.12
"""Radius of the lens' pupil in cycles/px; its edge is softened over a few hundredths of a cycle/px."""
DEFOCUS = 2.2
"""Quadratic phase over the pupil; with the cutoff it makes the beam about N/2 wide."""
MODE_POWER_RATIO = 1 / 3
"""Ratio of the powers of a mode and the mode before: three modes have 69, 23 and 8 %."""


def focused_probe(window_px: int, num_modes: int) -> Complex:
    """Return the beam of a round lens out of focus: about N/2 wide, with a curved phase.

    Further modes are the first one multiplied by Hermite-like polynomials.

    Returns
    -------
    complex128 array, shape (num_modes, window_px, window_px)

    Raises
    ------
    ValueError
        If more than five modes are asked for.

    Examples
    --------
    >>> focused_probe(64, 3).shape
    (3, 64, 64)
    """
    k = np.fft.fftshift(np.fft.fftfreq(window_px))
    radius = np.hypot(k[:, None], k[None])
    lens = 1 / (1 + np.exp((radius - LENS_CUTOFF) * 200))
    defocus = np.exp(1j * np.pi * DEFOCUS * window_px * radius**2)
    first = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(lens * defocus)))
    return _modes(first, num_modes)


def gaussian_probe(window_px: int, num_modes: int) -> Complex:
    """Return a round Gaussian beam with a flat phase, N/4 wide (FWHM of the first mode).

    Returns
    -------
    complex128 array, shape (num_modes, window_px, window_px)

    Raises
    ------
    ValueError
        If more than five modes are asked for.

    Examples
    --------
    >>> gaussian_probe(64, 1).shape
    (1, 64, 64)
    """
    y = np.arange(window_px) - window_px // 2
    sigma = window_px / 4 / 2.355
    first = np.exp(-(y[:, None] ** 2 + y[None] ** 2) / (4 * sigma**2)).astype(np.complex128)
    return _modes(first, num_modes)


def _modes(first: Complex, num_modes: int) -> Complex:
    side = first.shape[0]
    y = (np.arange(side) - side // 2) / (side / 6)
    factors = [np.ones((1, 1)), y[:, None], y[None], y[:, None] * y[None], y[:, None] ** 2 - 1]
    if num_modes > len(factors):
        raise ValueError(
            f"`num_modes` is {num_modes}, expected at most {len(factors)}; a beam with more modes "
            "can be given as an array."
        )
    modes = []
    for order, factor in enumerate(factors[:num_modes]):
        mode = first * factor
        modes.append(mode / np.linalg.norm(mode) * MODE_POWER_RATIO ** (order / 2))
    return np.stack(modes)


PROBES: dict[str, Callable[[int, int], Complex]] = {
    "focused": focused_probe,
    "gaussian": gaussian_probe,
}
"""Functions of the window side N and the number of modes, by name; the simulation sets the dose."""
