"""Patterns that do not belong: empty ones, those with impossible totals, and a misplaced beam."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ..product import name_patterns
from ..scan import Scan
from .finding import Finding

Mask = NDArray[np.bool_]

ROBUST_DEVIATIONS = 10.0
NORMAL_MAD = 1.4826
"""Standard deviation over median absolute deviation of normal numbers."""
FAR_ABOVE_NEIGHBOURS = 5.0
"""Beams of neighbours overlap, so that even at the edge of a specimen no pattern has so many times its
neighbours' median counts."""
EMPTY_SHARE = 0.01
"""A pattern with less than this share of its neighbours' counts saw no beam. Darker ones than the
neighbours may well be: specimens are opaque."""
NUM_NEIGHBOURS = 8
PATTERNS_AT_ONCE = 8192
"""Patterns whose neighbours are looked up together: a long scan then needs no more memory."""
FEWEST_COUNTS = 30.0
"""Median counts below which patterns without any are due."""
FEWEST_PATTERNS = 8
LARGEST_OFFSET = 0.25
"""Largest distance of the patterns' center of mass from pixel N/2, in windows, along either axis."""
ODD_OFFSET = 0.1
"""Right scans had at most 0.025."""
SMALLEST_CONTRAST = 0.1
"""How far patterns must be gathered in one place before they have a center: 1 in a single pixel, 0
if spread evenly."""


def find_strange(scan: Scan, counts: NDArray[np.float64]) -> tuple[Mask, Mask, list[Finding]]:
    """Find patterns without light, and those whose total counts cannot be.

    Parameters
    ----------
    scan : Scan
    counts : float64 array, shape (n,)
        Total of each pattern.

    Returns
    -------
    empty, outliers : bool array, shape (n,)
    findings : list of Finding
    """
    none = np.zeros(len(counts), np.bool_)
    median = float(np.median(counts))
    if len(counts) < FEWEST_PATTERNS or median < FEWEST_COUNTS:
        return none, none, []
    deviation = max(NORMAL_MAD * float(np.median(np.abs(counts - median))), np.sqrt(median))
    near = _neighbours_median(scan.corners_px, counts)
    empty = counts < EMPTY_SHARE * near
    is_far = counts > median + ROBUST_DEVIATIONS * deviation
    outliers = is_far & (counts > FAR_ABOVE_NEIGHBOURS * near)
    findings = []
    if empty.any():
        evidence = (
            f"{_name(scan, empty)} hold{_s(empty)} hardly any counts ({counts[empty].max():.4g} at "
            f"most; the median is {median:.4g})"
        )
        findings.append(Finding("empty-patterns", evidence, "left out", is_wrong=False))
    if outliers.any():
        worst = int(np.flatnonzero(outliers)[counts[outliers].argmax()])
        evidence = (
            f"{_name(scan, outliers)} hold{_s(outliers)} far more counts than all others: "
            f"{counts[worst]:.4g} are {counts[worst] / median:.4g} times the median of {median:.4g}"
        )
        findings.append(Finding("outlier-patterns", evidence, "left out", is_wrong=False))
    return empty, outliers, findings


def find_misplaced(scan: Scan, mean: NDArray[np.float64]) -> list[Finding]:
    """Find patterns whose center is far from pixel N/2, such as those with DC in the corner.

    Parameters
    ----------
    scan : Scan
    mean : float64 array, shape (N, N)
        Mean pattern in any unit; bad pixels are 0.
    """
    side = len(mean)
    center, contrast = _center(mean)
    expected = np.full(2, side / 2)
    if scan.probe is not None:
        far_field = np.fft.fftshift(np.square(np.abs(np.fft.fft2(scan.probe))).sum(axis=0))
        of_probe, sharpness = _center(far_field)
        if sharpness.min() >= SMALLEST_CONTRAST:  # a beam may come in at an angle
            expected = of_probe
    offset = (center - expected + side / 2) % side - side / 2
    is_off = (np.abs(offset) > ODD_OFFSET * side) & (contrast >= SMALLEST_CONTRAST)
    if not is_off.any():
        return []
    is_wrong = bool((np.abs(offset[is_off]) > LARGEST_OFFSET * side).any())
    found = np.rint(side // 2 + np.where(is_off, offset, 0)).astype(int) % side
    y, x = (0 if min(each, side - each) <= side // 16 else each for each in found.tolist())
    where = "in the corner" if (y, x) == (0, 0) else f"near pixel ({y}, {x})"
    evidence = (
        f"The patterns' center is {where}, but the direct beam belongs at pixel "
        f"({side // 2}, {side // 2})"
    )
    cure = f"move it there with `--dc {y},{x}`"
    return [Finding("dc-off-center", evidence, cure, is_wrong=is_wrong)]


def _center(image: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the center (y, x) of an image on a periodic window, and how gathered it is there."""
    side, total = len(image), max(float(image.sum()), 1e-300)
    turns = np.exp(2j * np.pi * np.arange(side) / side)
    sums = np.array([(image.sum(axis=axis) * turns).sum() for axis in (1, 0)]) / total
    return np.angle(sums) * side / (2 * np.pi) % side, np.abs(sums)


def _neighbours_median(
    corners_px: NDArray[np.float64], counts: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the median counts of the patterns nearest to each one."""
    tree, medians = cKDTree(corners_px), np.empty(len(counts))
    num = min(NUM_NEIGHBOURS, len(counts) - 1)
    for start in range(0, len(counts), PATTERNS_AT_ONCE):
        own = np.arange(start, min(start + PATTERNS_AT_ONCE, len(counts)))
        _, nearest = tree.query(corners_px[own], k=num + 1)
        is_other = nearest != own[:, None]
        is_other[is_other.all(axis=1), -1] = False  # itself is not among those at equal positions
        others = nearest[is_other].reshape(len(own), num)
        medians[own] = np.median(counts[others], axis=1)
    return medians


def _name(scan: Scan, chosen: Mask) -> str:
    indexes = np.flatnonzero(chosen)
    if scan.position_indexes is not None:
        indexes = scan.position_indexes[indexes]
    name = name_patterns(indexes.tolist())
    return name[0].upper() + name[1:]


def _s(chosen: Mask) -> str:
    return "s" if np.count_nonzero(chosen) == 1 else ""
