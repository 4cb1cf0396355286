"""What a picture is put together from: images, points and curves, each with its axes."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..comparison.region import clipped_limits
from ..files import Output, check_outputs, write_atomically

PICTURE_ENDINGS = (".png", ".pdf", ".svg", ".jpg", ".jpeg", ".tif", ".tiff")
"""Kinds of pictures that matplotlib writes, with what it needs itself."""
NEEDS_MATPLOTLIB = (
    'Pictures need matplotlib, which is not installed: pip install "ptychonyx[plot]".'
)
_DPI = 150
_PANEL_IN = 3.6


@dataclass(frozen=True)
class Image:
    """Hold values to draw as colours between two limits, and where their edges lie on the axes."""

    title: str
    values: NDArray[Any]
    cmap: str
    unit: str
    limits: tuple[float, float]
    extent: tuple[float, float, float, float]
    axis_unit: str


@dataclass(frozen=True)
class Points:
    """Hold values at window centers (y, x) to draw, joined by the path of the scan if `has_path`."""

    title: str
    centers_px: NDArray[np.float64]
    values: NDArray[Any]
    cmap: str
    unit: str
    pixel_size_m: float | None
    has_path: bool = False


@dataclass(frozen=True)
class Arrows:
    """Hold moves (y, x) to draw as arrows from their points, `enlarged` times as long."""

    title: str
    starts_px: NDArray[np.float64]
    moves_px: NDArray[np.float64]
    enlarged: float
    pixel_size_m: float | None


@dataclass(frozen=True)
class Curves:
    """Hold curves over one axis to draw, each under its label, and a place on it to mark."""

    title: str
    x: NDArray[Any]
    y: dict[str, NDArray[Any]]
    x_label: str
    y_label: str
    is_log: bool = False
    marked: tuple[float, str] | None = None


Panel = Image | Points | Arrows | Curves


def image_panel(
    title: str,
    values: NDArray[Any],
    cmap: str,
    unit: str,
    corner_px: tuple[float, float],
    pixel_size_m: float | None,
    limits: tuple[float, float] | None = None,
) -> Image:
    """Return the image of a map whose top-left pixel (y, x) is `corner_px`, on axes in µm or px.

    Without limits, half a percent of the values at each end does not decide them.
    """
    scale, axis_unit = _unit(pixel_size_m)
    top, left = corner_px
    bottom, right = top + values.shape[0], left + values.shape[1]
    extent = (left * scale, right * scale, bottom * scale, top * scale)
    if cmap == "twilight":
        limits = (-np.pi, np.pi)
    return Image(title, values, cmap, unit, limits or clipped_limits(values), extent, axis_unit)


def draw(rows: Sequence[Sequence[Panel]], path: str | PathLike[str], title: str) -> None:
    """Draw rows of panels into one picture, which appears whole or not at all.

    Raises
    ------
    ValueError
        For another ending than those of pictures, or a place where nothing can be written.
    RuntimeError
        If matplotlib is not installed.
    """
    check_outputs([], [picture_output(Path(path))])
    figure_class = _figure_class()
    num_columns = max(len(row) for row in rows)
    size = (_PANEL_IN * num_columns, 0.92 * _PANEL_IN * len(rows) + 0.4)
    figure = figure_class(figsize=size, layout="constrained")
    for row_index, row in enumerate(rows):
        for column, panel in enumerate(row):
            axes = figure.add_subplot(len(rows), num_columns, row_index * num_columns + column + 1)
            if isinstance(panel, Image):
                _draw_image(figure, axes, panel)
            elif isinstance(panel, Points):
                _draw_points(figure, axes, panel)
            elif isinstance(panel, Arrows):
                _draw_arrows(figure, axes, panel)
            else:
                _draw_curves(axes, panel)
            axes.tick_params(which="both", labelsize=8)
    if title:
        figure.suptitle(title, fontsize=11, parse_math=False)  # a name may hold a $
    path = Path(path)
    write_atomically(
        path, lambda file: figure.savefig(file, dpi=_DPI, format=path.suffix.lower().lstrip("."))
    )


def picture_output(path: Path) -> Output:
    """Return a picture as `check_outputs` takes it.

    Raises
    ------
    RuntimeError
        If matplotlib, which draws it, is not installed.

    Examples
    --------
    >>> picture_output(Path("out.png")).path.name
    'out.png'
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise RuntimeError(NEEDS_MATPLOTLIB)
    return Output(path, PICTURE_ENDINGS, what="picture")


def _figure_class() -> Any:
    try:
        return import_module("matplotlib.figure").Figure
    except ImportError as error:
        raise RuntimeError(NEEDS_MATPLOTLIB) from error


def _draw_image(figure: Any, axes: Any, image: Image) -> None:
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
    axes.set_title(image.title, fontsize=10, parse_math=False)
    axes.set_xlabel(f"x ({image.axis_unit})", fontsize=9)
    axes.set_ylabel(f"y ({image.axis_unit})", fontsize=9)
    bar = figure.colorbar(drawn, ax=axes, fraction=0.046, pad=0.02)
    bar.ax.tick_params(labelsize=8)
    bar.set_label(image.unit, fontsize=9)


def _draw_points(figure: Any, axes: Any, points: Points) -> None:
    y, x = points.centers_px.T * _unit(points.pixel_size_m)[0]
    if points.has_path:
        axes.plot(x, y, color="0.8", linewidth=0.5, zorder=1)
    size = float(np.clip(3000 / max(len(x), 1), 1, 20))
    drawn = axes.scatter(x, y, c=points.values, s=size, cmap=points.cmap, zorder=2)
    _finish_places(figure, axes, drawn, points.title, points.unit, points.pixel_size_m)


def _draw_arrows(figure: Any, axes: Any, arrows: Arrows) -> None:
    scale, _ = _unit(arrows.pixel_size_m)
    y, x = arrows.starts_px.T * scale
    down, across = arrows.moves_px.T * scale
    lengths_px = np.linalg.norm(arrows.moves_px, axis=1)
    drawn = axes.quiver(
        *(x, y, across, down, lengths_px),
        angles="xy",
        scale_units="xy",
        scale=1 / arrows.enlarged,
        cmap="viridis",
        width=0.004,
    )
    _finish_places(figure, axes, drawn, arrows.title, "px", arrows.pixel_size_m)


def _finish_places(
    figure: Any, axes: Any, drawn: Any, title: str, unit: str, pixel_size_m: float | None
) -> None:
    _, axis_unit = _unit(pixel_size_m)
    axes.set_aspect("equal")
    axes.invert_yaxis()
    axes.set_title(title, fontsize=10)
    axes.set_xlabel(f"x ({axis_unit})", fontsize=9)
    axes.set_ylabel(f"y ({axis_unit})", fontsize=9)
    bar = figure.colorbar(drawn, ax=axes, fraction=0.046, pad=0.02)
    bar.ax.tick_params(labelsize=8)
    bar.set_label(unit, fontsize=9)


def _unit(pixel_size_m: float | None) -> tuple[float, str]:
    """Return what a pixel is on an axis, and its unit."""
    return (1.0, "px") if pixel_size_m is None else (pixel_size_m * 1e6, "µm")


def _draw_curves(axes: Any, curves: Curves) -> None:
    for (label, values), style in zip(curves.y.items(), ("-", "--"), strict=False):
        marker = "o" if len(values) == 1 else None
        axes.plot(curves.x, values, style, marker=marker, linewidth=1.2, label=label)
    if curves.is_log:
        axes.set_yscale("log")
    if curves.x.dtype.kind == "i":
        locator = import_module("matplotlib.ticker").MaxNLocator
        axes.xaxis.set_major_locator(locator(integer=True))
    if curves.marked is not None:
        place, words = curves.marked
        axes.axvline(place, color="0.4", linewidth=0.8, linestyle=":", label=words)
    if curves.marked is not None or len(curves.y) > 1:
        axes.legend(fontsize=8)
    axes.set_box_aspect(1)
    axes.grid(visible=True, color="0.92")
    axes.set_title(curves.title, fontsize=10)
    axes.set_xlabel(curves.x_label, fontsize=9)
    axes.set_ylabel(curves.y_label, fontsize=9)
