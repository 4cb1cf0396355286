"""Patches to stitch, and stitching them at once: what several tests share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ptychonyx.runtime.stitching.mosaic import Mosaic, Stitched
from ptychonyx.runtime.stitching.patches import Canvas

Real = NDArray[np.float64]
Complex = NDArray[np.complex128]


def stitch_patches(
    patches: NDArray[np.complexfloating], corners_px: Real, *, canvas: Canvas, weights: Real
) -> Stitched:
    """Stitch all patches at once."""
    mosaic = Mosaic(canvas, weights)
    mosaic.add(patches, corners_px)
    return mosaic.finish()


def plane_waves(rng: np.random.Generator) -> Callable[[Real, Real], Complex]:
    """Return a band-limited truth that can be evaluated anywhere: 200 waves, |f| ≤ 0.35 cycles/px."""
    num = 200
    angle, frequency = rng.uniform(0, 2 * np.pi, num), 0.35 * np.sqrt(rng.uniform(0, 1, num))
    start = rng.uniform(0, 2 * np.pi, num)[:, None]

    def evaluate(y: Real, x: Real) -> Complex:
        down = np.exp(2j * np.pi * np.outer(frequency * np.sin(angle), y) + 1j * start)
        across = np.exp(2j * np.pi * np.outer(frequency * np.cos(angle), x))
        return np.asarray(down.T @ across / np.sqrt(num))

    return evaluate


def random_patches(num: int, side: int, rng: np.random.Generator) -> NDArray[np.complex64]:
    """Return patches of complex noise."""
    return (rng.normal(size=(num, side, side)) + 1j * rng.normal(size=(num, side, side))).astype(
        np.complex64
    )
