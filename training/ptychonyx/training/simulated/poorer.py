"""Make poor scans of a measured one that is good, so that a network learns what a sample looks like.

All of its positions and photons together show the object well: that is taken as the truth. A part of
the positions with a part of the photons is what the network then gets to see.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptychonyx.runtime import Scan, SolvingOptions, solve
from ptychonyx.runtime.errors import ScanError
from ptychonyx.runtime.scaling import read_amplitudes_of
from ptychonyx.runtime.solving.physics.measured import looks_like_photons, read_measured
from ptychonyx.runtime.solving.physics.placement import common_slices, place_windows
from ptychonyx.runtime.solving.physics.sweep import Problem

from .draw import CANVAS_PX, FEWEST_PATTERNS, DrawnScan, weights_of

BEYOND_WINDOW_PX = 64
"""A canvas is at least so much larger than a window, in steps of the network's stride."""
STRIDE_PX = 16
LOG_DOSES = (-3.0, 0.0)
SHARES = (0.12, 1.0)
"""Of the photons and of the positions that are kept."""

Complex = NDArray[np.complex64]


@dataclass(frozen=True)
class GoodScan:
    """Hold a measured scan and what it shows.

    Attributes
    ----------
    name : str
    counts : float32 array, shape (n, N, N)
        Patterns with DC at [N//2, N//2].
    corners_px : float64 array, shape (n, 2)
    bad_pixels : bool array, shape (N, N), or None
    probe : complex64 array, shape (modes, N, N)
    object_ : complex64 array, shape (H, W)
    object_corner_px : tuple of int
    are_photons : bool
        Whether photons can be taken away, because they were counted.
    """

    name: str
    counts: NDArray[np.float32]
    corners_px: NDArray[np.float64]
    bad_pixels: NDArray[np.bool_] | None
    probe: Complex
    object_: Complex
    object_corner_px: tuple[int, int]
    are_photons: bool

    @property
    def canvas_px(self) -> int:
        """Side of the canvas on which its parts fit."""
        needed = int(self.counts.shape[-1]) + BEYOND_WINDOW_PX
        return max(CANVAS_PX, -(-needed // STRIDE_PX) * STRIDE_PX)


def solve_good(scan: Scan, progress: Callable[[int, int, float], None] | None = None) -> GoodScan:
    """Solve a whole scan by passes alone; its probe is corrected, too.

    Raises
    ------
    ScanError
        If it has too few patterns to take some of them.
    """
    if scan.num_patterns < 2 * FEWEST_PATTERNS:
        raise ScanError(
            f"The scan {scan.name!r} has {scan.num_patterns} patterns, but a network learns from "
            f"parts of scans of {2 * FEWEST_PATTERNS} or more; give a larger one."
        )
    options = SolvingOptions(solver="none", refine_probe=True, residual_patterns=0)
    product = solve(scan, options, progress=progress)
    indexes = np.arange(scan.num_patterns)
    amplitudes = read_amplitudes_of(scan, indexes)
    corner_y_px, corner_x_px = product.object_corner_px
    return GoodScan(
        scan.name,
        np.square(amplitudes),
        scan.corners_px,
        scan.bad_pixels,
        product.probe,
        product.object_,
        (int(corner_y_px), int(corner_x_px)),
        looks_like_photons(amplitudes),
    )


def draw_poorer(good: GoodScan, rng: np.random.Generator) -> DrawnScan:
    """Draw some positions of a part of a good scan, with a share of its photons.

    Raises
    ------
    ScanError
        If no photon is left.
    """
    indexes = _draw_indexes(good, rng)
    dose = 10 ** rng.uniform(*LOG_DOSES) if good.are_photons else 1.0
    counts = good.counts[indexes]
    if good.are_photons:
        counts = rng.binomial(np.rint(counts).astype(np.int64), dose).astype(np.float32)
    probe = good.probe * np.float32(np.sqrt(dose))
    corners_px = good.corners_px[indexes]
    scan = Scan(counts, "counts", corners_px, bad_pixels=good.bad_pixels, name=good.name)
    measured = read_measured(scan, np.arange(len(indexes)))
    placement = place_windows(corners_px, good.counts.shape[-1])
    truth = np.ones(placement.shape, np.complex64)
    there, here = common_slices(
        placement.corner_px, placement.shape, good.object_corner_px, good.object_.shape
    )
    truth[there] = good.object_[here]
    return DrawnScan(Problem(measured, placement), probe, truth, weights_of(placement, probe))


def _draw_indexes(good: GoodScan, rng: np.random.Generator) -> NDArray[np.int64]:
    """Draw patterns whose windows fit on a canvas; where they are few, all that do."""
    span_px = good.canvas_px - good.counts.shape[-1] - 2
    middle_px = good.corners_px[rng.integers(len(good.corners_px))]
    off_px = np.abs(good.corners_px - middle_px).max(axis=1)
    near = np.flatnonzero(off_px <= span_px / 2)
    if len(near) <= FEWEST_PATTERNS:
        return near
    number = max(FEWEST_PATTERNS, int(rng.uniform(*SHARES) * len(near)))
    return np.sort(rng.choice(near, number, replace=False))
