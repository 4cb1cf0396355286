"""Objects that can be evaluated at any shift: what tests of comparing share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

ORIGIN: dict[str, Any] = {"corner_a": (0, 0), "corner_b": (0, 0)}


def phase_object(
    shape: tuple[int, int] = (96, 104),
    *,
    shift: tuple[float, float] = (0.0, 0.0),
    amplitude_contrast: float = 0.02,
) -> NDArray[np.complex128]:
    """Band-limited object, nearly pure phase, evaluated exactly at any shift."""
    rng = np.random.default_rng(0)
    ky, kx = rng.uniform(-1.0, 1.0, (2, 60))
    offset = rng.uniform(0, 2 * np.pi, 60)
    y, x = (np.arange(n) - s for n, s in zip(shape, shift, strict=True))
    waves = np.exp(1j * (y[:, None] * ky + offset)) @ np.exp(1j * np.outer(kx, x)) / np.sqrt(60)
    return np.asarray((1 + amplitude_contrast * waves.imag) * np.exp(0.4j * waves.real))


def with_ramp(
    object_: NDArray[np.complex128], cycles: tuple[float, float]
) -> NDArray[np.complex128]:
    """Multiply an object by a phase ramp of that many cycles from edge to edge, along y and x."""
    y, x = np.indices(object_.shape) / np.array(object_.shape)[:, None, None]
    return np.asarray(object_ * np.exp(2j * np.pi * (cycles[0] * y + cycles[1] * x)))
