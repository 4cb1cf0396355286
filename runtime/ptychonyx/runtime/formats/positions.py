"""What a position in pixels points at, which files disagree on by half a pixel."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..scan import Frame

POSITION_ORIGINS: dict[str, Callable[[int], float]] = {
    "corner": lambda window_px: 0.0,
    "center": lambda window_px: window_px / 2,
    "ptychodus": lambda window_px: (window_px - 1) / 2,
}
"""Origin -> distance of the position from the top-left pixel of an N×N window.

"center" is PtychoPINN's own; "ptychodus" are pixel positions that Ptychodus wrote since 1.6.
"""


def corners_from_positions(
    positions_px: NDArray[np.float64], window_px: int, *, origin: str
) -> NDArray[np.float64]:
    """Return the top-left pixel (y, x) of each window.

    Examples
    --------
    >>> corners_from_positions(np.array([[40.0, 33.5]]), 64, origin="center")
    array([[8. , 1.5]])
    """
    return positions_px - POSITION_ORIGINS[origin](window_px)


def positions_from_corners(
    corners_px: NDArray[np.float64], window_px: int, *, origin: str
) -> NDArray[np.float64]:
    """Return positions (y, x) of windows from their top-left pixels: the inverse."""
    return corners_px + POSITION_ORIGINS[origin](window_px)


def corners_from_metres(
    positions_m: NDArray[np.float64], window_px: int, frame: Frame
) -> NDArray[np.float64]:
    """Return the top-left pixel (y, x) of each window on a canvas, from positions in metres.

    (position − center) / pixel + canvas / 2 − N / 2: the same in every release of Ptychodus, though
    the releases disagree on centers.

    Examples
    --------
    >>> frame = Frame(canvas_shape=(100, 80), center_m=(0.0, 1e-6), pixel_size_m=(1e-8, 1e-8))
    >>> corners_from_metres(np.array([[0.0, 1e-6]]), 64, frame)
    array([[18.,  8.]])
    """
    with np.errstate(over="ignore"):  # what is too far becomes infinite
        pixels = (positions_m - np.array(frame.center_m)) / np.array(frame.pixel_size_m)
    corners: NDArray[np.float64] = pixels + np.array(frame.canvas_shape) / 2 - window_px / 2
    return corners


def metres_from_corners(
    corners_px: NDArray[np.float64], window_px: int, frame: Frame
) -> NDArray[np.float64]:
    """Return positions (y, x) in metres, of windows on a canvas: the inverse.

    Examples
    --------
    >>> frame = Frame(canvas_shape=(100, 80), center_m=(0.0, 1e-6), pixel_size_m=(1e-8, 1e-8))
    >>> metres_from_corners(np.array([[18.0, 8.0]]), 64, frame)
    array([[0.e+00, 1.e-06]])
    """
    pixels = corners_px + window_px / 2 - np.array(frame.canvas_shape) / 2
    return np.asarray(pixels * np.array(frame.pixel_size_m) + np.array(frame.center_m))
