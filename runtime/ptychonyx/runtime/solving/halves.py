"""Solve a scan and measure its resolution without a reference: two halves of it must agree.

The patterns are dealt into two halves that cover the same area, and each half is solved for itself.
What both objects show alike was in the specimen; noise differs. The period down to which they agree
(Fourier ring correlation against the half-bit threshold) is the resolution *of half the data*: the
object of all patterns, with twice the photons and positions, is somewhat better.

What both halves have wrong alike looks like specimen, too. Both use the probe and the positions that
the whole scan ended with, and these stay as they are. What was refined was fitted to all patterns,
noise included: that correlates the halves a little, and the resolution is then slightly too good.
Brightness and background, where they are fitted, are fitted to each half for itself.
Halves are solved by passes alone, whatever solved the whole scan: a network would put in what it has
learned, alike in both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..comparison.align import align, need_skimage
from ..comparison.region import SMALLEST_BOX_PX, Region, lit_box
from ..comparison.ring_correlation import correlate_rings, half_bit_period_px
from ..errors import OverlapError, ScanError
from ..product import Metadata, Product
from ..scan import Scan, some_of
from .disturbances.fitter import FEWEST_WITH_BACKGROUND
from .network.correction import Network
from .options import DEFAULT_SOLVING, NO_SOLVER, SolvingOptions
from .solve import Progress, solve

PASSES_FROM_VACUUM = 10
"""Least number of passes of a half where the whole scan started from a result: halves never do, since
a result that knows all patterns would make them alike."""
HILBERT_BITS = 16


def solve_halves(
    scan: Scan,
    options: SolvingOptions = DEFAULT_SOLVING,
    *,
    start: Product | None = None,
    probe: NDArray[np.complex64] | None = None,
    network: Network | None = None,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Product:
    """Solve a scan as `solve` does, and measure the resolution with two halves of its patterns.

    Halves take as many passes as the whole scan took, from vacuum, with batches of their own; all in
    all this costs about twice the time of `solve`.

    Parameters
    ----------
    scan : Scan
        Its patterns may stay on disk.
    options : SolvingOptions
        `budget_s` holds for the whole scan only.
    start : Product, optional
        A result that the whole scan starts from; halves start from vacuum all the same, and take at
        least `PASSES_FROM_VACUUM` passes.
    probe : complex64 array, shape (modes, N, N), optional
        Used instead of that of the scan.
    network : SolverModel, optional
        As for `solve`, for the whole scan only: what a network believes of objects would be alike in
        both halves.
    progress : callable, optional
        Called after each pass: of the whole scan, then of one half and of the other, each counted
        from 1.
    should_stop : callable, optional
        Asked after each batch of patterns. If true while a half is solved, the product of the whole
        scan is returned as it is, without a resolution.

    Returns
    -------
    Product
        That of the whole scan, with `ring_correlation`, and in its metadata `resolution_px`,
        `resolution_nm` if the pixel size is known, and `resolution_region`, the compared box in
        pixels of the object. If halves cannot be compared these are missing, and
        `resolution_missing` says why.

    Raises
    ------
    ValueError
        If probe or start do not fit the scan.
    ScanError
        If there are not two patterns, or one cannot be used.
    RuntimeError
        If scikit-image is not installed.

    Examples
    --------
    >>> from ptychonyx.runtime import SimulationOptions, simulate_scan
    >>> scan = simulate_scan(SimulationOptions(num_patterns=100, window_px=32, step_px=4),
    ...                      np.random.default_rng(0))
    >>> product = solve_halves(scan, SolvingOptions(passes=5))
    >>> product.ring_correlation.shape[0], 2 <= product.metadata["resolution_px"] < 4
    (3, True)
    """
    need_skimage("registration")
    if scan.num_patterns < 2:
        raise ScanError(
            f"The scan has {scan.num_patterns} pattern, but halves need at least 2: give more "
            "positions, or solve it without halves."
        )
    whole = solve(
        scan,
        options,
        start=start,
        probe=probe,
        network=network,
        progress=progress,
        should_stop=should_stop,
    )
    if not whole.complete:
        return _without(whole, "the scan was not solved to its end")
    if whole.background is not None and scan.num_patterns < 2 * FEWEST_WITH_BACKGROUND:
        return _without(whole, "the halves have too few patterns to fit a background")
    passes = int(whole.metadata["passes"])
    fixed = replace(
        options,
        passes=passes if start is None else max(passes, PASSES_FROM_VACUUM),
        budget_s=None,
        refine_probe=False,
        refine_positions=None,
        # also where the whole has taken them over from the product that it started from
        refine_intensity=whole.pattern_factors is not None,
        refine_background=whole.background is not None,
        num_modes=None,
        residual_patterns=0,
        solver=NO_SOLVER,
    )
    halves = []
    placed = replace(scan, corners_px=whole.corners_px)
    for number, indexes in enumerate(split_positions(scan.corners_px), 1):
        try:
            half = solve(
                some_of(placed, indexes),
                replace(fixed, seed=options.seed + number),
                probe=whole.probe,
                progress=progress,
                should_stop=should_stop,
            )
        except OverlapError:
            return _without(whole, "the beams of a half hardly overlap")
        if not half.complete:
            return _without(whole, "the halves were not solved to their end")
        halves.append(half)
    return _with_resolution(whole, *halves)


def split_positions(
    corners_px: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Deal patterns into two halves that cover the same area.

    Positions are put in the order of a Hilbert curve, which visits neighbours one after the other,
    and every other one goes to each half.

    Parameters
    ----------
    corners_px : float64 array, shape (n, 2)
        Top-left pixel (y, x) of each window.

    Returns
    -------
    int64 arrays, shapes ((n + 1) // 2,) and (n // 2,)
        Indexes in rising order; each pattern is in one of them.

    Examples
    --------
    >>> corners_px = np.indices((2, 4)).reshape(2, -1).T * 1.0
    >>> split_positions(corners_px)  # a checkerboard
    (array([0, 2, 5, 7]), array([1, 3, 4, 6]))
    """
    order = np.argsort(_along_hilbert_curve(corners_px), kind="stable")
    return np.sort(order[0::2]), np.sort(order[1::2])


def _along_hilbert_curve(positions: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return how far along a Hilbert curve through their square some positions lie."""
    low = positions.min(axis=0)
    extent = max(float((positions - low).max()), 1e-9)
    last = 2**HILBERT_BITS - 1
    y, x = np.rint((positions - low) / extent * last).astype(np.int64).T
    distance = np.zeros(len(positions), np.int64)
    for bit in reversed(range(HILBERT_BITS)):
        low_half = (y >> bit) & 1 == 0
        right_half = (x >> bit) & 1 == 1
        quadrant = (3 * right_half) ^ ~low_half
        distance += quadrant << (2 * bit)
        is_turned = low_half & right_half
        y, x = np.where(is_turned, last - y, y), np.where(is_turned, last - x, x)
        y, x = np.where(low_half, x, y), np.where(low_half, y, x)
    return distance


def _with_resolution(whole: Product, a: Product, b: Product) -> Product:
    """Return the product of the whole scan with what its two halves tell."""
    corners_px = np.array([a.object_corner_px, b.object_corner_px])
    low = corners_px.max(axis=0)
    shapes = np.array([a.object_.shape, b.object_.shape])
    high = (corners_px + shapes).min(axis=0)
    box = lit_box(*(_coverage(half, low, high) for half in (a, b)))
    if box is None:
        return _without(
            whole,
            f"no {SMALLEST_BOX_PX}×{SMALLEST_BOX_PX} pixels have enough light in both halves",
        )
    aligned = align(
        a.object_,
        b.object_,
        corner_a=a.object_corner_px,
        corner_b=b.object_corner_px,
        region=_moved(box, low - b.object_corner_px),
        mask_a=_known(a),
        mask_b=_known(b),
    )
    curve = correlate_rings(aligned.a, aligned.b, aligned.is_valid).curve
    period_px = half_bit_period_px(curve)
    found: Metadata = {
        "resolution_px": period_px,
        "resolution_region": str(_moved(box, low - whole.object_corner_px)),
    }
    if whole.pixel_size_m is not None:
        found["resolution_nm"] = period_px * whole.pixel_size_m * 1e9
    return replace(whole, ring_correlation=curve, metadata=whole.metadata | found)


def _without(whole: Product, why: str) -> Product:
    return replace(whole, metadata=whole.metadata | {"resolution_missing": why})


def _coverage(
    product: Product, low: NDArray[np.int64], high: NDArray[np.int64]
) -> NDArray[np.int32]:
    """Return the coverage of a product between two points (y, x) of the scan's frame."""
    assert product.coverage is not None
    (top, left), (bottom, right) = low - product.object_corner_px, high - product.object_corner_px
    return product.coverage[top : max(top, bottom), left : max(left, right)]


def _known(product: Product) -> NDArray[np.bool_]:
    assert product.coverage is not None
    return product.coverage > 0


def _moved(box: Region, offset: NDArray[np.int64]) -> Region:
    y, x = offset.tolist()
    return Region(box.y0 + y, box.y1 + y, box.x0 + x, box.x1 + x)
