"""Draw rows of panels into one picture; the only module that knows matplotlib."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from ..files import Output, check_outputs, write_atomically
from .panels import Arrows, Curves, Image, Panel, Points, axis_unit

PICTURE_ENDINGS = (".png", ".pdf", ".svg", ".jpg", ".jpeg", ".tif", ".tiff")
"""Kinds of pictures that matplotlib writes, with what it needs itself."""
NEEDS_MATPLOTLIB = (
    'Pictures need matplotlib, which is not installed: pip install "ptychonyx[plot]".'
)
_DPI = 150
_PANEL_IN = 3.6


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
    _draw_masks(axes, image)
    if image.cross_px is not None:
        y, x = image.cross_px
        axes.plot(x, y, "+", color="cyan", markersize=9, markeredgewidth=1, label="pixel N/2")
    _name_axes(axes, image.axis_unit)
    _add_legend(axes)
    _add_bar(figure, axes, drawn, image.unit)


def _draw_masks(axes: Any, image: Image) -> None:
    to_rgba = import_module("matplotlib.colors").to_rgba
    for mask in image.masks:
        colors = np.zeros((*mask.pixels.shape, 4))
        colors[mask.pixels] = to_rgba(mask.color)
        axes.imshow(colors, extent=image.extent, interpolation="nearest")
        axes.plot([], [], "s", color=mask.color, label=mask.words)


def _draw_points(figure: Any, axes: Any, points: Points) -> None:
    scale, _ = axis_unit(points.pixel_size_m)
    y, x = points.centers_px.T * scale
    if points.has_path:
        axes.plot(x, y, color="0.8", linewidth=0.5, zorder=1)
    size = float(np.clip(3000 / max(len(x), 1), 1, 20))
    drawn = axes.scatter(x, y, c=points.values, s=size, cmap=points.cmap, zorder=2)
    for mark in points.marks:
        marked_y, marked_x = mark.centers_px.T * scale
        axes.scatter(
            *(marked_x, marked_y),
            marker=mark.marker,
            s=45,
            facecolors=mark.color if mark.marker == "x" else "none",
            edgecolors=None if mark.marker == "x" else mark.color,
            linewidths=1.3,
            label=mark.words,
            zorder=3,
        )
    _add_legend(axes)
    _finish_places(figure, axes, drawn, points.title, points.unit, points.pixel_size_m)


def _add_legend(axes: Any) -> None:
    """Name what is marked, below the panel, where it hides nothing."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(
            fontsize=7,
            loc="upper center",
            bbox_to_anchor=(0.5, -0.17),
            ncols=2,
            frameon=False,
            handletextpad=0.3,
            columnspacing=1.0,
        )


def _name_axes(axes: Any, unit: str) -> None:
    """Name the axes and where they lead: rows down, columns to the right."""
    axes.set_xlabel(f"x, columns → ({unit})", fontsize=9)
    axes.set_ylabel(f"← y, rows ({unit})", fontsize=9)  # drawn upward, so that it points down


def _add_bar(figure: Any, axes: Any, drawn: Any, unit: str) -> None:
    bar = figure.colorbar(drawn, ax=axes, fraction=0.046, pad=0.02)
    bar.ax.tick_params(labelsize=8)
    bar.set_label(unit, fontsize=9)


def _draw_arrows(figure: Any, axes: Any, arrows: Arrows) -> None:
    scale, _ = axis_unit(arrows.pixel_size_m)
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
    axes.set_aspect("equal")
    axes.invert_yaxis()
    axes.set_title(title, fontsize=10)
    _name_axes(axes, axis_unit(pixel_size_m)[1])
    _add_bar(figure, axes, drawn, unit)


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
