"""Make scan positions.

Each function takes the number of patterns, the mean step in pixels and a random generator, and
returns float (y, x) in object pixels, relative to any origin.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float64]

JITTER = 0.2
"""Largest displacement from the raster as a fraction of a step: it breaks up periodic artefacts."""


def raster(num_patterns: int, step_px: float, rng: np.random.Generator) -> Real:
    """Place positions on a square grid, row by row, each displaced at random by up to 0.2 steps.

    Returns
    -------
    float64 array, shape (num_patterns, 2)

    Examples
    --------
    >>> raster(50, 4.0, np.random.default_rng(0)).shape
    (50, 2)
    """
    columns = int(np.ceil(np.sqrt(num_patterns)))
    rows = int(np.ceil(num_patterns / columns))
    grid = np.indices((rows, columns)).reshape(2, -1).T[:num_patterns]
    return np.asarray(step_px * (grid + rng.uniform(-JITTER, JITTER, (len(grid), 2))))


def spiral(num_patterns: int, step_px: float, rng: np.random.Generator) -> Real:
    """Place positions on a Fermat spiral, which covers a disk evenly: one per step².

    Returns
    -------
    float64 array, shape (num_patterns, 2)

    Examples
    --------
    >>> spiral(50, 4.0, np.random.default_rng(0)).shape
    (50, 2)
    """
    index = np.arange(num_patterns) + 0.5
    angle = index * np.pi * (3 - np.sqrt(5)) + rng.uniform(0, 2 * np.pi)
    radius = step_px * np.sqrt(index / np.pi)
    return np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=1)


def random_positions(num_patterns: int, step_px: float, rng: np.random.Generator) -> Real:
    """Place positions anywhere in a square, with one per step² on average.

    Returns
    -------
    float64 array, shape (num_patterns, 2)

    Examples
    --------
    >>> random_positions(50, 4.0, np.random.default_rng(0)).shape
    (50, 2)
    """
    side = step_px * np.sqrt(num_patterns)
    return rng.uniform(0, side, (num_patterns, 2))


POSITIONS: dict[str, Callable[[int, float, np.random.Generator], Real]] = {
    "raster": raster,
    "spiral": spiral,
    "random": random_positions,
}
"""Functions of the number of patterns, the mean step in pixels and an rng, by name."""
