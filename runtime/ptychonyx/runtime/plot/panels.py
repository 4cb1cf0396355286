"""What a picture is put together from: images, points and curves, each with its axes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..comparison.region import clipped_limits


@dataclass(frozen=True)
class Mask:
    """Hold pixels to mark on an image in one colour, and what the legend says of them."""

    words: str
    pixels: NDArray[np.bool_]
    color: str


@dataclass(frozen=True)
class Mark:
    """Hold places (y, x) to mark among points with a marker, and what the legend says of them."""

    words: str
    centers_px: NDArray[np.float64]
    marker: str
    color: str


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
    masks: tuple[Mask, ...] = ()
    cross_px: tuple[float, float] | None = None


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
    marks: tuple[Mark, ...] = ()


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
    scale, unit_of_axis = axis_unit(pixel_size_m)
    top, left = corner_px
    bottom, right = top + values.shape[0], left + values.shape[1]
    extent = (left * scale, right * scale, bottom * scale, top * scale)
    if cmap == "twilight":
        limits = (-np.pi, np.pi)
    return Image(title, values, cmap, unit, limits or clipped_limits(values), extent, unit_of_axis)


def axis_unit(pixel_size_m: float | None) -> tuple[float, str]:
    """Return what a pixel is on an axis, and its unit.

    Examples
    --------
    >>> axis_unit(None)
    (1.0, 'px')
    """
    return (1.0, "px") if pixel_size_m is None else (pixel_size_m * 1e6, "µm")
