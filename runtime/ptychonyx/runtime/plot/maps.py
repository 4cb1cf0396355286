"""Amplitude and phase of an object as maps to draw, with what is not known left empty."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..comparison.region import clipped_limits, without_common_phase

CYCLIC_SPAN_RAD = 1.6 * np.pi
"""Phases that span more of the circle are drawn with cyclic colours, equal at −π and π."""


def amplitude_and_phase(
    object_: NDArray[Any], known: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return amplitude, and phase without the common one; NaN where the object is not known.

    Examples
    --------
    >>> amplitude, phase = amplitude_and_phase(np.full((1, 2), 2j), np.array([[True, False]]))
    >>> amplitude.tolist(), phase.round(3).tolist()
    ([[2.0, nan]], [[0.0, nan]])
    """
    phase = np.angle(without_common_phase(object_, known))
    return hidden(np.abs(object_), known), hidden(phase, known)


def hidden(values: NDArray[Any], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return values as numbers to draw, with NaN where they are not known.

    Examples
    --------
    >>> hidden(np.array([3, 4]), np.array([True, False])).tolist()
    [3.0, nan]
    """
    return np.where(known, values.astype(np.float64), np.nan)


def phase_cmap(phase: NDArray[np.float64]) -> str:
    """Return the colours of a phase: cyclic ones where it spans most of the circle.

    Examples
    --------
    >>> phase_cmap(np.linspace(-3.1, 3.1, 100)), phase_cmap(np.linspace(0, 1, 100))
    ('twilight', 'viridis')
    """
    low, high = clipped_limits(phase)
    return "twilight" if high - low > CYCLIC_SPAN_RAD else "viridis"
