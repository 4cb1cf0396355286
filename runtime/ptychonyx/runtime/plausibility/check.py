"""The one list of what can be found wrong with a scan, for commands, folders, fleets and Python."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from ..scaling import no_counts_error
from ..scan import Scan
from .finding import Finding, refuse_wrong
from .frames import find_misplaced, find_strange
from .physics import find_in_geometry, find_in_probe
from .pixels import (
    counts_without,
    find_dead,
    find_gaps,
    find_hot,
    find_impossible,
    find_saturated,
    usual_counts,
)
from .positions import find_in_positions
from .repairs import Repairs
from .seen import Seen
from .summary import Progress, summarize_patterns

SCAN_FINDINGS = {
    "canvas-mostly-empty": "windows fill a small part of the canvas of their product",
    "dc-off-center": "the direct beam is not at pixel N/2",
    "dead-pixels": "pixels never count although their neighbours do",
    "empty-patterns": "patterns without light",
    "equal-modes": "modes of the probe have lost their powers",
    "gap-pixels": "pixels hold what no photon can have left there",
    "hot-pixels": "single pixels count far more than their neighbours",
    "impossible-counts": "values that no detector counts",
    "orientation": "turned, the patterns are explained clearly better",
    "outlier-patterns": "patterns with other total counts than all others",
    "outside-canvas": "windows lie outside the canvas of their product",
    "photon-energy": "the photon energy is in another unit",
    "pixel-size": "the pixel size does not follow from energy and distance",
    "position-outliers": "single positions lie far from all others",
    "positions-equal": "all positions are equal",
    "probe-power": "the probe's power is not that of the counts",
    "saturated-pixels": "a value that no pixel exceeds and many reach",
    "steps-too-large": "windows do not overlap",
    "steps-too-small": "positions lie too close for the beam",
}
"""Name of each finding with a scan -> what it says."""


@dataclass(frozen=True)
class Checked:
    """A scan that was looked at.

    Attributes
    ----------
    scan : Scan
        The scan with its bad pixels marked, without empty and outlier patterns.
    findings : tuple of Finding
    repairs : Repairs
        What was done to the scan.
    counts_per_pattern : float
        Mean counts of the patterns that are left; 0 if none are.
    seen : Seen
        What the patterns showed.
    """

    scan: Scan
    findings: tuple[Finding, ...]
    repairs: Repairs
    counts_per_pattern: float
    seen: Seen


def check_scan(scan: Scan) -> list[Finding]:
    """Tell what in a scan can hardly be right; all of its patterns are read once.

    Parameters
    ----------
    scan : Scan
        Its patterns may stay on disk.

    Returns
    -------
    list of Finding
        Those that make the result wrong first.

    Examples
    --------
    >>> from ptychonyx.runtime import SimulationOptions, simulate_scan
    >>> scan = simulate_scan(SimulationOptions(num_patterns=49, window_px=32), np.random.default_rng(0))
    >>> check_scan(scan)
    []
    """
    return sorted(look_at(scan).findings, key=lambda finding: not finding.is_wrong)


def make_plausible(
    scan: Scan, accept: Collection[str] = (), *, progress: Progress | None = None
) -> Checked:
    """Refuse a scan that must give a wrong result, and repair what can be repaired.

    What can be told without the patterns is told before they are read.

    Parameters
    ----------
    scan : Scan
        Its patterns may stay on disk; they are read once.
    accept : collection of str
        Names of findings that are right all the same: nothing is refused or repaired for them.
    progress : callable, optional
        Called with the number of patterns read, and of all.

    Returns
    -------
    Checked

    Raises
    ------
    ImplausibleError
        Lists what is wrong, with evidence and cure.
    """
    what = scan.source or scan.name
    refuse_wrong(_without_patterns(scan), what, accept)
    checked = look_at(scan, accept, progress=progress)
    refuse_wrong(checked.findings, what, accept)
    return checked


def look_at(
    scan: Scan, accept: Collection[str] = (), *, progress: Progress | None = None
) -> Checked:
    """Look at a scan as `make_plausible` does, but refuse nothing that was found.

    Raises
    ------
    ScanError
        If all patterns are zero.
    """
    findings = _without_patterns(scan)
    summary = summarize_patterns(scan, progress)
    marked = np.zeros(summary.highest.shape, np.bool_)
    if scan.bad_pixels is not None:
        marked = scan.bad_pixels
    impossible, found = find_impossible(summary)
    findings += found
    gaps, found = find_gaps(scan, summary)
    findings += found
    dead, found = find_dead(summary, marked | gaps)
    findings += found
    hot, found = find_hot(summary, marked | gaps | dead)
    findings += found
    bad = marked | gaps | dead | hot
    saturated_share, found = find_saturated(scan, summary, bad)
    findings += found
    counts = counts_without(summary, bad)
    empty, outliers, found = find_strange(scan, counts)
    findings += found
    findings += find_misplaced(scan, usual_counts(summary, bad))
    strange = {"empty-patterns": empty, "outlier-patterns": outliers}
    left_out = {
        name: np.flatnonzero(each)
        for name, each in strange.items()
        if each.any() and name not in accept
    }
    kept = np.setdiff1d(np.arange(len(counts)), np.concatenate([[], *left_out.values()]))
    mean = float(counts[kept].mean()) if len(kept) else 0.0
    if not mean > 0 and not any(each.is_wrong for each in findings):
        raise no_counts_error()
    findings += find_in_probe(scan, mean)
    masks = {"gap-pixels": gaps, "dead-pixels": dead, "hot-pixels": hot}
    new = {
        name: mask & ~marked
        for name, mask in masks.items()
        if (mask & ~marked).any() and name not in accept
    }
    repairs = Repairs(
        np.logical_or.reduce(list(new.values())) if new else None, kept if left_out else None
    )
    seen = Seen(
        summary.total_counts / summary.num_patterns,
        counts,
        saturated_share,
        new | ({"impossible-counts": impossible} if impossible.any() else {}),
        left_out,
    )
    return Checked(repairs.apply(scan), tuple(findings), repairs, max(mean, 0.0), seen)


def _without_patterns(scan: Scan) -> list[Finding]:
    return [*find_in_positions(scan), *find_in_geometry(scan)]
