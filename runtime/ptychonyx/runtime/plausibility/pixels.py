"""Pixels of the detector that say nothing: gaps, dead and hot ones, and those that are saturated."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ..scan import Scan
from .finding import Finding
from .summary import PatternSummary

Mask = NDArray[np.bool_]

SENTINELS = tuple(2.0**bits - 1 for bits in (15, 16))
"""Largest values of short integers; larger ones are impossible as counts."""
SHARE_OF_GAPS = 0.9
"""A gap holds its value in so many of the patterns: one that was lost holds 0 there, too."""
LIT_COUNTS = 100.0
"""Counts over the whole scan that neighbours must have before a pixel without any is dead: by photon
noise alone that happens once in e¹⁰⁰."""
HOT_FACTOR = 20.0
"""A hot pixel has so many times the counts of the brightest of its neighbours; speckles and beams
are wider than a pixel."""
HOT_COUNTS_PER_PATTERN = 1.0
DIRECT_BEAM_PX = 3
"""So near the center of the patterns a single bright pixel is the direct beam."""
SATURATED_ABOVE = 50.0
SATURATED_TIMES = 20
"""A largest value above the first that occurs so often in several pixels is where a detector clips:
without clipping, photon noise spreads the brightest values."""


def find_impossible(summary: PatternSummary) -> tuple[Mask, list[Finding]]:
    """Find values that are impossible in some patterns, though not in nearly all of them."""
    sometimes = (summary.num_impossible > 0) & ~_nearly_always(summary, summary.num_impossible)
    if not sometimes.any():
        return sometimes, []
    first = summary.first_impossible
    pixels = [pixel for pixel in first if sometimes[pixel]]
    y, x = min(pixels, key=lambda pixel: first[pixel][0])
    index, value = first[y, x]
    evidence = (
        f"{_values(int(summary.num_impossible[sometimes].sum()))} of a detector; the first is "
        f"{value:.6g} in pattern {index} at pixel ({y}, {x})"
    )
    cure = "mark such pixels in `bad_pixels`, or leave out these patterns"
    return sometimes, [Finding("impossible-counts", evidence, cure, is_wrong=True)]


def find_gaps(scan: Scan, summary: PatternSummary) -> tuple[Mask, list[Finding]]:
    """Find pixels that hold in all patterns what no photon can have left there.

    That is the largest value of the data's type, −1 (also as an unsigned number), any other negative
    value, or no number at all.
    """
    always = _nearly_always(summary, summary.num_impossible)
    sentinels = list(SENTINELS)
    if scan.patterns.dtype.kind in "iu":
        sentinels.append(float(np.iinfo(scan.patterns.dtype).max))
    is_stuck = _nearly_always(summary, summary.num_highest) & np.isin(summary.highest, sentinels)
    gaps = always | (is_stuck & (summary.num_patterns > 1))
    if not gaps.any():
        return gaps, []
    y, x = np.argwhere(gaps)[0].tolist()
    value = summary.first_impossible[y, x][1] if always[y, x] else summary.highest[y, x]
    times = summary.num_impossible if always[y, x] else summary.num_highest
    missing = int(summary.num_patterns - times[y, x])
    where = f"all patterns but {missing}" if missing else "every pattern"
    evidence = (
        f"{_pixels(gaps)} {value:.10g} in {where} (first ({y}, {x}), {scan.patterns.dtype}), "
        "as the gaps between detector modules do"
    )
    cure = "taken as bad; mark them in `bad_pixels` of the file"
    return gaps, [Finding("gap-pixels", evidence, cure, is_wrong=False)]


def find_dead(summary: PatternSummary, bad: Mask) -> tuple[Mask, list[Finding]]:
    """Find pixels, and whole rows and columns, that never count although their neighbours do."""
    total = usual_counts(summary, bad)
    dark = (total == 0) & ~bad
    dead = _dead_lines(total, dark, bad) | _dead_lines(total.T, dark.T, bad.T).T
    dead |= _dead_islands(total, dark & ~dead)
    if not dead.any():
        return dead, []
    y, x = np.argwhere(dead)[0].tolist()
    evidence = f"{_pixels(dead)} no count in any pattern (first ({y}, {x})), although neighbours do"
    cure = "taken as bad; mark them in `bad_pixels` of the file"
    return dead, [Finding("dead-pixels", evidence, cure, is_wrong=False)]


def find_hot(summary: PatternSummary, bad: Mask) -> tuple[Mask, list[Finding]]:
    """Find single pixels that count far more than all of their neighbours."""
    total = usual_counts(summary, bad)
    around = np.ones((3, 3), np.bool_)
    around[1, 1] = False
    brightest = ndimage.maximum_filter(total, footprint=around, mode="constant")
    least = HOT_COUNTS_PER_PATTERN * summary.num_patterns
    hot = (total > np.maximum(HOT_FACTOR * brightest, least)) & ~bad
    side = len(total)
    direct = slice(side // 2 - DIRECT_BEAM_PX, side // 2 + DIRECT_BEAM_PX + 1)
    hot[direct, direct] = False
    if not hot.any() or hot.sum() > max(4, hot.size // 100):  # that many are the pattern itself
        return np.zeros_like(hot), []
    y, x = np.argwhere(hot)[0].tolist()
    times = total[y, x] / max(brightest[y, x], 1.0)
    evidence = (
        f"{_pixels(hot)} far more counts than any neighbour (first ({y}, {x}), {times:.3g} times)"
    )
    cure = "taken as bad; mark them in `bad_pixels` of the file"
    return hot, [Finding("hot-pixels", evidence, cure, is_wrong=False)]


def find_saturated(
    scan: Scan, summary: PatternSummary, bad: Mask
) -> tuple[NDArray[np.float64], list[Finding]]:
    """Find a value that no pixel exceeds and too many reach.

    Returns
    -------
    shares : float64 array, shape (N, N)
        Share of the patterns in which a pixel is saturated.
    findings : list of Finding
    """
    shares = np.zeros(summary.highest.shape)
    highest = np.where(bad, 0.0, summary.highest)
    top = float(highest.max())
    counts = top if scan.quantity == "counts" else top**2
    at_top = (highest == top) & ~bad
    times = int(summary.num_highest[at_top].sum())
    varies = bool((summary.lowest[at_top] < top).any())
    if counts < SATURATED_ABOVE or times < SATURATED_TIMES or at_top.sum() < 2 or not varies:
        return shares, []
    shares[at_top] = summary.num_highest[at_top] / summary.num_patterns
    share = times / (summary.num_patterns * np.count_nonzero(~bad))
    evidence = (
        f"{100 * share:.2g} % of all values are {top:.6g}, and none is larger ({at_top.sum()} pixels "
        "reach it): the detector was saturated there"
    )
    cure = "mark these pixels in `bad_pixels`, or measure with less light"
    return shares, [Finding("saturated-pixels", evidence, cure, is_wrong=False)]


def usual_counts(summary: PatternSummary, bad: Mask) -> NDArray[np.float64]:
    """Return the counts of each pixel over the scan as if all patterns were alike bright; bad are 0."""
    shares = np.where(bad, 0.0, summary.total_shares)
    in_all = float(np.median(counts_without(summary, bad))) * summary.num_patterns
    return np.asarray(shares * (in_all / max(float(shares.sum()), 1e-300)))


def counts_without(summary: PatternSummary, bad: Mask) -> NDArray[np.float64]:
    """Return the counts of each pattern without those of bad pixels.

    Gaps hold the same in each pattern, or 0 in one that was lost; of other bad pixels only the mean is
    known.
    """
    stuck = bad & (summary.total_counts > 0) & _nearly_always(summary, summary.num_highest)
    of_gaps = float((summary.total_counts[stuck] / summary.num_highest[stuck]).sum())
    others = float(summary.total_counts[bad & ~stuck].sum()) / summary.num_patterns
    has_gaps = summary.counts >= 0.999 * of_gaps
    return np.asarray(summary.counts - np.where(has_gaps, of_gaps, 0.0) - others)


def _dead_lines(total: NDArray[np.float64], dark: Mask, bad: Mask) -> Mask:
    """Return the rows without any count that lie between lit ones."""
    is_dark = np.asarray((dark | bad).all(axis=1) & dark.any(axis=1))
    lit = np.flatnonzero(total.sum(axis=1) >= LIT_COUNTS)
    dead = np.zeros_like(dark)
    for row in np.flatnonzero(is_dark).tolist():
        before, after = lit[lit < row], lit[lit > row]
        if not (len(before) and len(after)):
            continue
        between = is_dark[before[-1] + 1 : after[0]]  # a band must be dark from lit to lit row
        if (between | bad[before[-1] + 1 : after[0]].all(axis=1)).all():
            dead[row] = dark[row]
    return dead


def _dead_islands(total: NDArray[np.float64], dark: Mask) -> Mask:
    """Return dark pixels, or small groups of them, all of whose neighbours are well lit."""
    labels, num = ndimage.label(dark, structure=np.ones((3, 3)))
    dead = np.zeros_like(dark)
    for number, box in enumerate(ndimage.find_objects(labels), 1):
        if num > dark.size // 20:  # a weak pattern has many pixels without a count
            break
        wide: Any = tuple(slice(max(0, part.start - 1), part.stop + 1) for part in box)
        group = np.asarray(labels[wide] == number)
        ring = ndimage.binary_dilation(group, structure=np.ones((3, 3))) & ~group
        if ring.any() and total[wide][ring].min() >= LIT_COUNTS:
            dead[wide] |= group
    return dead


def _nearly_always(summary: PatternSummary, times: NDArray[np.int64]) -> Mask:
    return np.asarray(times >= max(1.0, SHARE_OF_GAPS * summary.num_patterns))


def _values(num: int) -> str:
    return "1 value is no count" if num == 1 else f"{num} values are no counts"


def _pixels(mask: Mask) -> str:
    num = int(np.count_nonzero(mask))
    return "1 pixel has" if num == 1 else f"{num} pixels have"
