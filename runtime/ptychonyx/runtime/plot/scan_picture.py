"""Draw a scan, and where in its patterns and on its path something disagrees."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from os import PathLike

import numpy as np
from numpy.typing import NDArray

from ..comparison.region import clipped_limits
from ..plausibility import Checked, Finding, far_positions, look_at
from ..residual import measure_residual
from ..scan import Scan
from .drawing import draw
from .maps import amplitude_and_phase, hidden, phase_cmap
from .panels import Image, Mark, Mask, Panel, Points, image_panel

NUM_COMPARED = 1024
"""Patterns whose residual is drawn at most, spread over the scan."""
COMPARED_PIXELS = 2**26
"""Patterns of many pixels and modes are compared in smaller number: some seconds."""
MOST_PANELS = 5
"""In a row."""
OF_THE_FILE = "0.55"
PIXELS_FOUND = {
    "gap-pixels": ("gaps found", "tab:red"),
    "dead-pixels": ("dead", "tab:blue"),
    "hot-pixels": ("hot", "tab:green"),
    "impossible-counts": ("impossible counts", "magenta"),
}
"""Finding -> what the legend says of its pixels, and their colour."""
PATTERNS_FOUND = {
    "empty-patterns": ("no light, left out", "s", "tab:red"),
    "outlier-patterns": ("too bright, left out", "D", "tab:red"),
}
"""Finding -> what the legend says of its patterns, their marker and colour."""


def plot_scan(
    scan: Scan,
    path: str | PathLike[str],
    *,
    checked: Checked | None = None,
    findings: Sequence[Finding] | None = None,
) -> None:
    """Draw what a scan is, and where it disagrees with itself.

    Drawn are the mean pattern with bad pixels, the share of saturated patterns at each pixel if the
    detector clipped, the scan's path with what was left out or lies far away, the counts of each
    pattern, and what each pattern leaves unexplained, if the scan has a probe and an object; then
    object and probe.

    Parameters
    ----------
    scan : Scan
    path : path
        Picture to write; the suffix decides the format.
    checked : Checked, optional
        What looking at the scan came to; without it, all patterns are read here.
    findings : sequence of Finding, optional
        To name above the picture; by default those of `checked`. With one that makes the result
        wrong, nothing is compared.

    Raises
    ------
    RuntimeError
        If matplotlib is not installed.
    """
    checked = look_at(scan) if checked is None else checked
    findings = checked.findings if findings is None else findings
    first: list[Panel] = [_mean_pattern(scan, checked)]
    if checked.seen.saturated_share.any():
        first.append(_saturation(scan, checked))
    first += [_path(scan, checked), _counts(scan, checked)]
    if not any(each.is_wrong for each in findings):
        first += _unexplained(checked)
    second = [*_object(scan), *_probe(scan)][:MOST_PANELS]
    draw([first, second] if second else [first], path, _title(scan, findings))


def _title(scan: Scan, findings: Collection[Finding]) -> str:
    side = scan.window_px
    title = f"{scan.name}: {scan.num_patterns} patterns of {side}×{side}"
    for word, is_wrong in (("WRONG", True), ("odd", False)):
        names = [each.name for each in findings if each.is_wrong == is_wrong]
        title += f"   ·   {word}: {', '.join(names)}" if names else ""
    return title


def _mean_pattern(scan: Scan, checked: Checked) -> Image:
    side, seen = scan.window_px, checked.seen
    masks = [
        Mask(f"{words} ({np.count_nonzero(seen.pixels[name])})", seen.pixels[name], color)
        for name, (words, color) in PIXELS_FOUND.items()
        if name in seen.pixels
    ]
    if scan.bad_pixels is not None and scan.bad_pixels.any():
        num = np.count_nonzero(scan.bad_pixels)
        masks.insert(0, Mask(f"bad in the file ({num})", scan.bad_pixels, OF_THE_FILE))
    marked = np.zeros((side, side), np.bool_)
    for mask in masks:
        marked |= mask.pixels
    # 0.1: without it, no counts would be −∞
    counts = np.log10(hidden(seen.mean_counts, ~marked) + 0.1)
    image = image_panel("mean pattern", counts, "magma", "log₁₀ counts", (0, 0), None)
    return _marked(image, side, masks)


def _saturation(scan: Scan, checked: Checked) -> Image:
    share = 100 * checked.seen.saturated_share
    num = np.count_nonzero(share)
    limits = (0.0, float(share.max()))
    image = image_panel(
        f"saturated: {num} pixels", share, "inferno", "% of patterns", (0, 0), None, limits
    )
    return _marked(image, scan.window_px, [])


def _marked(image: Image, side: int, masks: Sequence[Mask]) -> Image:
    middle = side // 2 + 0.5  # of a pixel whose edges are whole numbers
    return replace(image, masks=tuple(masks), cross_px=(middle, middle))


def _path(scan: Scan, checked: Checked) -> Points:
    centers_px, far = _centers_px(scan), far_positions(scan.corners_px)
    order = np.arange(scan.num_patterns)
    near = np.setdiff1d(order, far)
    marks = [Mark("first", centers_px[:1], "^", "tab:orange"), *_left_out(scan, checked)]
    if len(far):
        low, high = centers_px[near].min(axis=0), centers_px[near].max(axis=0)
        margin = 0.08 * (high - low).max()
        at_border = np.clip(centers_px[far], low - margin, high + margin)
        marks.append(Mark(f"far outside ({len(far)})", at_border, "x", "tab:red"))
    return Points(
        "path (window centers)",
        centers_px[near],
        order[near],
        "viridis",
        "pattern",
        scan.pixel_size_m,
        has_path=True,
        marks=tuple(marks),
    )


def _left_out(scan: Scan, checked: Checked) -> list[Mark]:
    centers_px, left_out = _centers_px(scan), checked.seen.left_out
    return [
        Mark(f"{words} ({len(left_out[name])})", centers_px[left_out[name]], marker, color)
        for name, (words, marker, color) in PATTERNS_FOUND.items()
        if name in left_out
    ]


def _counts(scan: Scan, checked: Checked) -> Points:
    far = far_positions(scan.corners_px)
    near = np.setdiff1d(np.arange(scan.num_patterns), far)
    counts = checked.seen.counts[near]
    usual = np.isin(near, np.concatenate([[], *checked.seen.left_out.values()]), invert=True)
    return Points(
        "counts of each pattern",
        _centers_px(scan)[near][usual],
        counts[usual],
        "cividis",
        "counts",
        scan.pixel_size_m,
        marks=tuple(_left_out(scan, checked)),
    )


def _unexplained(checked: Checked) -> list[Panel]:
    """Return what probe and object leave of each pattern, or nothing where they say nothing."""
    scan = checked.scan
    if scan.object_ is None or scan.probe is None or not checked.counts_per_pattern:
        return []
    known = _known(scan.object_)
    if (
        not known.any()
        or np.ptp(np.abs(scan.object_[known])) == np.ptp(np.angle(scan.object_[known])) == 0
    ):
        return []  # a place holder
    found = measure_residual(
        scan,
        np.where(known, scan.object_, 0).astype(np.complex64),
        object_corner_px=scan.object_corner_px,
        probe=scan.probe,
        counts_per_pattern=checked.counts_per_pattern,
        coverage=known.astype(np.int32),
        num_patterns=max(1, min(NUM_COMPARED, COMPARED_PIXELS // scan.probe.size)),
    )
    compared = np.isfinite(found.per_pattern)
    title = f"unexplained by probe and object: {100 * found.total:.2g} %"
    percent = 100 * found.per_pattern[compared]
    return [Points(title, _centers_px(scan)[compared], percent, "magma", "%", scan.pixel_size_m)]


def _object(scan: Scan) -> list[Panel]:
    if scan.object_ is None:
        return []
    amplitude, phase = amplitude_and_phase(scan.object_, _known(scan.object_))
    # Only these set the colours: the rim, which the beam hardly lit, has arbitrary values.
    lit = _between_window_centers(scan)
    return [
        image_panel(
            title, values, cmap, unit, scan.object_corner_px, scan.pixel_size_m,
            clipped_limits(values[lit]),
        )
        for title, values, cmap, unit in (
            ("object: amplitude", amplitude, "gray", ""),
            ("object: phase", phase, phase_cmap(phase[lit]), "rad"),
        )
    ]  # fmt: skip


def _probe(scan: Scan) -> list[Panel]:
    if scan.probe is None:
        return []
    power = (np.abs(scan.probe) ** 2).sum(axis=(1, 2))
    shares = 100 * power / max(power.sum(), 1e-30)
    return [
        image_panel(
            f"probe mode {number}: {share:.0f} %",
            np.abs(mode),
            "inferno",
            "|P|",
            (0, 0),
            scan.pixel_size_m,
        )
        for number, (mode, share) in enumerate(zip(scan.probe, shares, strict=True), 1)
    ]


def _known(object_: NDArray[np.complex64]) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(object_) & (object_ != 0))


def _centers_px(scan: Scan) -> NDArray[np.float64]:
    return scan.corners_px + scan.window_px / 2


def _between_window_centers(scan: Scan) -> tuple[slice, slice]:
    assert scan.object_ is not None
    centers_px = _centers_px(scan) - np.array(scan.object_corner_px)
    lowest = np.maximum(centers_px.min(axis=0).astype(int), 0)
    highest = np.minimum(centers_px.max(axis=0).astype(int) + 1, scan.object_.shape)
    if (highest <= lowest).any():
        return slice(None), slice(None)
    return slice(int(lowest[0]), int(highest[0])), slice(int(lowest[1]), int(highest[1]))
