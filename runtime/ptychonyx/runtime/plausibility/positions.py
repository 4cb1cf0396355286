"""Positions that cannot be right, told before a single pattern is read."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ..product import name_patterns
from ..scan import Scan
from .finding import Finding

FEWEST_POSITIONS = 16
"""Fewer may well lie close together."""
SMALLEST_EXTENT = 0.2
"""Extent of the positions over the width of the beam; a scan moves the beam by more than that."""
SMALLEST_STEP = 0.025
"""Mean distance of neighbours over the width of the beam: 99.9 % of overlap is no experiment."""
SMALLEST_STEP_PX = 0.02
FAR_OUT = 5.0
"""A position is far out if it is so many times as far from the median as nearly all others are."""
NEARLY_ALL = 95
ALMOST_EQUAL_PX = 1e-6
UNITS_M = {"millimetres": 1e-3, "micrometres": 1e-6, "nanometres": 1e-9}
UNITS_BELOW = {
    1e-5: "metres",
    0.02: "millimetres",
    1.0: "micrometres",
    np.inf: "nanometres, or detector pixels",
}
"""Step as a bare number -> the unit in which it would be a usual one, 20 nm to 10 µm."""
LEAST_FILLED = 0.4
"""Share of a canvas that the windows' box fills at least."""


def find_in_positions(scan: Scan) -> list[Finding]:
    """Find positions that are equal, far from all others, or in another unit.

    Parameters
    ----------
    scan : Scan
        Its patterns are not read.

    Examples
    --------
    >>> scan = Scan(np.ones((20, 8, 8)), "counts", np.zeros((20, 2)))
    >>> [finding.name for finding in find_in_positions(scan)]
    ['positions-equal']
    """
    if scan.num_patterns < 2:
        return _outside_canvas(scan)
    corners_px = scan.corners_px
    if np.ptp(corners_px, axis=0).max() < ALMOST_EQUAL_PX:
        evidence = f"All {len(corners_px)} positions are equal"
        cure = "check which dataset of the file holds them, and its unit"
        return [Finding("positions-equal", evidence, cure, is_wrong=True)]
    outside = _outside_canvas(scan)
    if any(each.is_wrong for each in outside):
        return outside
    return _far_out(corners_px) or [*outside, *_steps(scan)]


def beam_width_px(scan: Scan) -> float:
    """Return the width of the beam: of a disk as wide as its probe, or N/2 without one."""
    if scan.probe is None:
        return scan.window_px / 2
    intensity = np.square(np.abs(scan.probe.astype(np.complex128))).sum(axis=0)
    squares = float(np.square(intensity).sum())
    area = float(intensity.sum()) ** 2 / squares if squares else 1.0
    return float(np.sqrt(4 * area / np.pi))


def far_positions(corners_px: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return single positions far from all others; a few percent of them at most.

    Examples
    --------
    >>> far_positions(np.array([[0.0, 3 * n] for n in range(30)] + [[0.0, 5000.0]])).tolist()
    [30]
    """
    if len(corners_px) < FEWEST_POSITIONS:
        return np.zeros(0, np.int64)
    distances = _from_the_middle(corners_px)
    return np.flatnonzero(distances > FAR_OUT * _usual(distances))


def _from_the_middle(corners_px: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.abs(corners_px - np.median(corners_px, axis=0)).max(axis=1))


def _usual(distances: NDArray[np.float64]) -> float:
    return max(float(np.percentile(distances, NEARLY_ALL)), 1.0)


def _far_out(corners_px: NDArray[np.float64]) -> list[Finding]:
    far = far_positions(corners_px)
    if len(far) == 0:
        return []
    distances = _from_the_middle(corners_px)
    usual = _usual(distances)
    worst = int(far[distances[far].argmax()])
    y, x = corners_px[worst].tolist()
    evidence = (
        f"{_capital(name_patterns(far.tolist()))} lie{'s' if len(far) == 1 else ''} far from all "
        f"others: the corner of window {worst} is at (y, x) = ({y:.6g}, {x:.6g}) px, while 95 % are "
        f"within {usual:.4g} px of the median"
    )
    cure = "correct or remove these positions and their patterns"
    return [Finding("position-outliers", evidence, cure, is_wrong=True)]


def _steps(scan: Scan) -> list[Finding]:
    """Find steps that are far too small or too large for the beam: another unit, most likely."""
    step, extent = median_step_px(scan.corners_px), float(np.ptp(scan.corners_px, axis=0).max())
    width = beam_width_px(scan)
    num_places = len(np.unique(scan.corners_px, axis=0))  # frames may be repeated at one place
    spacing = extent / np.sqrt(num_places)
    is_dense = extent < SMALLEST_EXTENT * width or spacing < SMALLEST_STEP * width
    if (is_dense and scan.num_patterns >= FEWEST_POSITIONS) or extent < SMALLEST_STEP_PX:
        evidence = (
            f"A median step of {step:.3g} px, and {extent:.3g} px in all, is implausible for a beam "
            f"{width:.0f} px wide"
        )
        return [Finding("steps-too-small", evidence, _unit_cure(scan, step), is_wrong=True)]
    if step > scan.window_px:
        evidence = (
            f"A median step of {step:.3g} px is implausible: windows of {scan.window_px} px do not "
            "overlap"
        )
        return [Finding("steps-too-large", evidence, _unit_cure(scan, step), is_wrong=True)]
    return []


def median_step_px(corners_px: NDArray[np.float64]) -> float:
    """Return the median distance from a position to the next one that is elsewhere.

    Examples
    --------
    >>> median_step_px(np.array([[0.0, 0.0], [0.0, 4.0], [0.0, 8.0]]))
    4.0
    """
    places_px = np.unique(corners_px, axis=0)
    if len(places_px) < 2:
        return 0.0
    distances, _ = cKDTree(places_px).query(places_px, k=2)
    return float(np.median(distances[:, 1]))


def _unit_cure(scan: Scan, step: float) -> str:
    """Name the unit in which these steps would be plausible."""
    if scan.pixel_size_m is not None and scan.frame is None:
        width = beam_width_px(scan)
        for unit, metres in UNITS_M.items():
            if width / 50 <= step * metres / scan.pixel_size_m <= width:
                return f"are these {unit}? Pixels are needed, {scan.pixel_size_m:.4g} m each"
    if scan.frame is not None:
        return "check the positions, which must be metres, and the object's pixel size"
    units = next(unit for below, unit in UNITS_BELOW.items() if step < below)
    return f"are these {units}? Positions are needed in pixels of the object"


def _outside_canvas(scan: Scan) -> list[Finding]:
    """Find windows beyond the canvas of the product that the positions belong to."""
    if scan.frame is None:
        return []
    canvas = np.array(scan.frame.canvas_shape)
    centers = scan.corners_px + scan.window_px / 2
    outside = ((centers < 0) | (centers > canvas)).any(axis=1)
    height, width = scan.frame.canvas_shape
    if outside.any():
        first = int(np.flatnonzero(outside)[0])
        evidence = (
            f"{np.count_nonzero(outside)} of {scan.num_patterns} windows lie outside the "
            f"{height}×{width} canvas of their product (first {name_patterns([first])})"
        )
        cure = "check the positions' unit, which must be metres, the object's center and pixel size"
        return [Finding("outside-canvas", evidence, cure, is_wrong=True)]
    box = np.ptp(scan.corners_px, axis=0) + scan.window_px
    share = float(np.prod(box) / np.prod(canvas))
    if share < LEAST_FILLED and scan.num_patterns >= FEWEST_POSITIONS:
        evidence = (
            f"The windows span {box[0]:.0f}×{box[1]:.0f} px, {100 * share:.0f} % of the "
            f"{height}×{width} canvas of their product"
        )
        cure = "check the object's pixel size and the positions' unit, if the scan is whole"
        return [Finding("canvas-mostly-empty", evidence, cure, is_wrong=False)]
    return []


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
