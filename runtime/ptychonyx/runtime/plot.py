"""Draw objects, comparisons and scans. Matplotlib is imported only when something is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .comparison.metrics import Comparison
from .comparison.region import clipped_limits, known_box, without_common_phase
from .scaling import mean_pattern
from .scan import Scan

# Enough for a smooth mean pattern, few enough not to read a whole large file.
_NUM_MEAN_PATTERNS = 512
_NUM_PROBE_MODES = 4
# Phases that span more of the circle than this are drawn with cyclic colours, equal at −π and π.
_CYCLIC_SPAN_RAD = 1.6 * np.pi
_DPI = 150
_PANEL_IN = 3.6


@dataclass(frozen=True)
class _Image:
    title: str
    values: NDArray[Any]
    cmap: str
    unit: str
    limits: tuple[float, float]
    extent: tuple[float, float, float, float]
    axis_unit: str


@dataclass(frozen=True)
class _Points:
    """Hold values at window centers (y, x) to draw, joined by the path of the scan if `has_path`."""

    title: str
    centers_px: NDArray[np.float64]
    values: NDArray[Any]
    cmap: str
    unit: str
    pixel_size_m: float | None
    has_path: bool = False


def plot_object(
    object_: NDArray[np.complexfloating[Any, Any]],
    path: str | PathLike[str],
    *,
    coverage: NDArray[np.integer[Any]] | None = None,
    disagreement: NDArray[np.floating[Any]] | None = None,
    residuals: tuple[NDArray[np.float64], NDArray[np.floating[Any]]] | None = None,
    pixel_size_m: float | None = None,
    title: str = "",
) -> None:
    """Draw amplitude and phase of an object, and those maps of it that are given.

    Parameters
    ----------
    object_ : complex array, shape (H, W)
        Transmission; the picture shows it without its common phase.
    path : path
        Picture to write; the suffix (.png, .pdf, .svg) decides the format.
    coverage : int array, shape (H, W), or None
        Patches at each pixel. The picture is cut to the covered pixels, and stays empty where the
        coverage is 0.
    disagreement : float array, shape (H, W), or None
        Variance of the overlapping patches; drawn as standard deviation.
    residuals : (float array, shape (n, 2), float array, shape (n,)), or None
        Window centers (y, x) in pixels of the object, and the share of each pattern that the object
        leaves unexplained; NaN is not drawn.
    pixel_size_m : float or None
        Side of a pixel, for axes in µm; else they are in pixels.
    title : str
        Line above the panels.

    Raises
    ------
    ValueError
        If shapes differ or nothing is covered.
    RuntimeError
        If matplotlib is not installed.
    """
    for name, array in (("coverage", coverage), ("disagreement", disagreement)):
        if array is not None and array.shape != object_.shape:
            raise ValueError(
                f"`{name}` has shape {array.shape}, expected {object_.shape} as `object_`."
            )
    known = np.ones(object_.shape, np.bool_) if coverage is None else coverage > 0
    if not known.any():
        raise ValueError(
            "`coverage` is 0 everywhere, so there is nothing to draw; at least one covered pixel "
            "is needed: check the corners."
        )
    region = known_box(known)
    box, corner_px = region.slices, (region.y0, region.x0)
    amplitude, phase = _amplitude_and_phase(object_, known)
    panels: list[_Image | _Points] = [
        _image("amplitude", amplitude[box], "gray", "", corner_px, pixel_size_m),
        _image("phase", phase[box], _phase_cmap(phase), "rad", corner_px, pixel_size_m),
    ]
    if coverage is not None:
        counts = _hidden(coverage, known)
        panels.append(
            _image("coverage", counts[box], "cividis", "patches", corner_px, pixel_size_m)
        )
    if disagreement is not None:
        deviation = _hidden(np.sqrt(disagreement), known)
        panels.append(
            _image("disagreement of patches", deviation[box], "magma", "σ", corner_px, pixel_size_m)
        )
    if residuals is not None:
        centers_px, shares = residuals
        seen = np.isfinite(shares)
        percent = 100 * shares[seen]
        panels.append(_Points("unexplained", centers_px[seen], percent, "magma", "%", pixel_size_m))
    _draw([panels], path, title)


def plot_comparison(
    comparison: Comparison,
    path: str | PathLike[str],
    *,
    pixel_size_m: float | None = None,
    names: tuple[str, str] = ("object", "reference"),
) -> None:
    """Draw two aligned objects side by side on one colour scale, and their difference.

    Parameters
    ----------
    comparison : Comparison
        From `compare_objects`; its metrics are written above the panels.
    path : path
        Picture to write; the suffix decides the format.
    pixel_size_m : float or None
        Side of a pixel, for axes in µm; else they are in pixels.
    names : (str, str)
        Names of the first object and of the reference, for the titles.

    Raises
    ------
    RuntimeError
        If matplotlib is not installed.
    """
    aligned = comparison.aligned
    corner_px = (aligned.region.y0, aligned.region.x0)
    known = aligned.is_valid
    a = without_common_phase(aligned.a, known, reference=aligned.b)
    b = without_common_phase(aligned.b, known)
    phase_cmap = _phase_cmap(_hidden(np.angle(b), known))
    rows = []
    for quantity, of_a, of_b, difference, cmap, unit, score in (
        ("amplitude", np.abs(a), np.abs(b), np.abs(a) - np.abs(b), "gray", "",
         (comparison.amplitude_pearson, comparison.amplitude_ssim)),
        ("phase", np.angle(a), np.angle(b), np.angle(a * np.conj(b)), phase_cmap, "rad",
         (comparison.phase_pearson, comparison.phase_ssim)),
    ):  # fmt: skip
        limits = clipped_limits(_hidden(of_b, known))
        largest = max(abs(limit) for limit in clipped_limits(_hidden(difference, known))) or 1.0
        rows.append(
            [
                _image(f"{name}: {quantity}", _hidden(values, known), cmap, unit, corner_px,
                       pixel_size_m, limits)
                for name, values in zip(names, (of_a, of_b), strict=True)
            ]
            + [
                _image(f"a − b: r = {score[0]:.3f}, SSIM = {score[1]:.3f}",
                       _hidden(difference, known), "RdBu_r", unit, corner_px, pixel_size_m,
                       (-largest, largest))
            ]
        )  # fmt: skip
    resolution = f"{comparison.frc_half_bit_px:.2f} px"
    if comparison.frc_half_bit_nm is not None:
        resolution += f" = {comparison.frc_half_bit_nm:.3g} nm"
    _draw(
        rows,
        path,
        f"complex NRMSE {comparison.complex_nrmse:.3f}   ·   phase error "
        f"{comparison.phase_mae_rad:.3f} rad   ·   half-bit period {resolution}   ·   "
        f"region {comparison.region}",
    )


def plot_scan(scan: Scan, path: str | PathLike[str]) -> None:
    """Draw the mean pattern, positions, probe modes and object of a scan.

    Parameters
    ----------
    scan : Scan
        About 512 of its patterns, spread over the scan, are read for their mean.
    path : path
        Picture to write; the suffix decides the format.

    Raises
    ------
    RuntimeError
        If matplotlib is not installed.
    """
    pixel_size_m = scan.pixel_size_m
    counts = np.log10(_mean_counts(scan) + 0.1)  # 0.1: without it, no counts would be −∞
    centers_px, order = scan.corners_px + scan.window_px / 2, np.arange(scan.num_patterns)
    panels: list[_Image | _Points] = [
        _image("mean pattern", counts, "magma", "log₁₀ counts", (0, 0), None),
        _Points("positions (window centers)", centers_px, order, "viridis", "pattern",
                pixel_size_m, has_path=True),
    ]  # fmt: skip
    second: list[_Image | _Points] = []
    if scan.object_ is not None:
        known = np.isfinite(scan.object_) & (scan.object_ != 0)
        amplitude, phase = _amplitude_and_phase(scan.object_, known)
        corner = scan.object_corner_px
        # Only these set the colours: the rim, which the beam hardly lit, has arbitrary values.
        lit = _between_window_centers(scan)
        panels += [
            _image("object: amplitude", amplitude, "gray", "", corner, pixel_size_m,
                   clipped_limits(amplitude[lit])),
            _image("object: phase", phase, _phase_cmap(phase[lit]), "rad", corner, pixel_size_m,
                   clipped_limits(phase[lit])),
        ]  # fmt: skip
    if scan.probe is not None:
        power = (np.abs(scan.probe) ** 2).sum(axis=(1, 2))
        for mode, share in enumerate((power / max(power.sum(), 1e-30))[:_NUM_PROBE_MODES]):
            amplitude = np.abs(scan.probe[mode])
            name = f"probe mode {mode + 1}: {100 * share:.0f} %"
            second.append(_image(name, amplitude, "inferno", "|P|", (0, 0), pixel_size_m))
    title = f"{scan.name}: {scan.num_patterns} patterns of {scan.window_px}×{scan.window_px}"
    _draw([panels, second] if second else [panels], path, title)


def _between_window_centers(scan: Scan) -> tuple[slice, slice]:
    assert scan.object_ is not None
    centers = scan.corners_px + scan.window_px / 2 - np.array(scan.object_corner_px)
    lowest = np.maximum(centers.min(axis=0).astype(int), 0)
    highest = np.minimum(centers.max(axis=0).astype(int) + 1, scan.object_.shape)
    if (highest <= lowest).any():
        return slice(None), slice(None)
    return slice(int(lowest[0]), int(highest[0])), slice(int(lowest[1]), int(highest[1]))


def _mean_counts(scan: Scan) -> NDArray[np.float64]:
    mean = mean_pattern(scan, num_patterns=_NUM_MEAN_PATTERNS)
    return mean if scan.bad_pixels is None else _hidden(mean, ~scan.bad_pixels)


def _amplitude_and_phase(
    object_: NDArray[Any], known: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    phase = np.angle(without_common_phase(object_, known))
    return _hidden(np.abs(object_), known), _hidden(phase, known)


def _hidden(values: NDArray[Any], known: NDArray[np.bool_]) -> NDArray[np.float64]:
    return np.where(known, values.astype(np.float64), np.nan)


def _phase_cmap(phase: NDArray[np.float64]) -> str:
    low, high = clipped_limits(phase)
    return "twilight" if high - low > _CYCLIC_SPAN_RAD else "viridis"


def _image(
    title: str,
    values: NDArray[Any],
    cmap: str,
    unit: str,
    corner_px: tuple[float, float],
    pixel_size_m: float | None,
    limits: tuple[float, float] | None = None,
) -> _Image:
    scale, axis_unit = (1.0, "px") if pixel_size_m is None else (pixel_size_m * 1e6, "µm")
    top, left = corner_px
    bottom, right = top + values.shape[0], left + values.shape[1]
    extent = (left * scale, right * scale, bottom * scale, top * scale)
    if cmap == "twilight":
        limits = (-np.pi, np.pi)
    return _Image(title, values, cmap, unit, limits or clipped_limits(values), extent, axis_unit)


def _draw(
    rows: Sequence[Sequence[_Image | _Points]], path: str | PathLike[str], title: str
) -> None:
    figure_class = _figure_class()
    num_columns = max(len(row) for row in rows)
    size = (_PANEL_IN * num_columns, 0.92 * _PANEL_IN * len(rows) + 0.4)
    figure = figure_class(figsize=size, layout="constrained")
    for row_index, row in enumerate(rows):
        for column, panel in enumerate(row):
            axes = figure.add_subplot(len(rows), num_columns, row_index * num_columns + column + 1)
            if isinstance(panel, _Image):
                _draw_image(figure, axes, panel)
            else:
                _draw_points(figure, axes, panel)
            axes.tick_params(labelsize=8)
    if title:
        figure.suptitle(title, fontsize=11)
    figure.savefig(path, dpi=_DPI)


def _figure_class() -> Any:
    try:
        return import_module("matplotlib.figure").Figure
    except ImportError as error:
        raise RuntimeError(
            'Pictures need matplotlib, which is not installed: pip install "ptychonyx[plot]".'
        ) from error


def _draw_image(figure: Any, axes: Any, image: _Image) -> None:
    low, high = image.limits
    drawn = axes.imshow(
        image.values,
        cmap=image.cmap,
        vmin=low,
        vmax=high if high > low else low + 1.0,
        extent=image.extent,
        interpolation="nearest",
    )
    axes.set_facecolor("0.92")
    axes.set_title(image.title, fontsize=10)
    axes.set_xlabel(f"x ({image.axis_unit})", fontsize=9)
    axes.set_ylabel(f"y ({image.axis_unit})", fontsize=9)
    bar = figure.colorbar(drawn, ax=axes, fraction=0.046, pad=0.02)
    bar.ax.tick_params(labelsize=8)
    bar.set_label(image.unit, fontsize=9)


def _draw_points(figure: Any, axes: Any, points: _Points) -> None:
    in_pixels = points.pixel_size_m is None
    scale = 1.0 if points.pixel_size_m is None else points.pixel_size_m * 1e6
    y, x = points.centers_px.T * scale
    if points.has_path:
        axes.plot(x, y, color="0.8", linewidth=0.5, zorder=1)
    size = float(np.clip(3000 / max(len(x), 1), 1, 20))
    drawn = axes.scatter(x, y, c=points.values, s=size, cmap=points.cmap, zorder=2)
    axes.set_aspect("equal")
    axes.invert_yaxis()
    axes.set_title(points.title, fontsize=10)
    axes.set_xlabel("x (px)" if in_pixels else "x (µm)", fontsize=9)
    axes.set_ylabel("y (px)" if in_pixels else "y (µm)", fontsize=9)
    bar = figure.colorbar(drawn, ax=axes, fraction=0.046, pad=0.02)
    bar.ax.tick_params(labelsize=8)
    bar.set_label(points.unit, fontsize=9)
