"""Cut windows out of an object on its canvas, and add windows to it: each the other's adjoint."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ...memory import check_canvas


@dataclass(frozen=True)
class Placement:
    """Where the window of each pattern lies on a canvas that holds all of them.

    A corner is a whole pixel, where windows are cut and added, and a fraction of at most half a
    pixel, by which the probe is shifted instead of the object (see `exit_waves`).

    Attributes
    ----------
    shape : (int, int)
        Height and width of the canvas in pixels.
    corner_px : (int, int)
        Its top-left pixel (y, x) in the scan's frame.
    whole_px : int64 array, shape (n, 2)
        Top-left pixel (y, x) of each window, counted from that of the canvas.
    fractions_px : float64 array, shape (n, 2)
        What is left of the corners, −0.5 to 0.5.
    window_px : int
        Side N of the windows.
    margin_px : int
        How far every window may move in any direction without leaving the canvas.
    """

    shape: tuple[int, int]
    corner_px: tuple[int, int]
    whole_px: NDArray[np.int64]
    fractions_px: NDArray[np.float64]
    window_px: int
    margin_px: int = 0

    @property
    def corners_px(self) -> NDArray[np.float64]:
        """Top-left pixel (y, x) of each window, counted from that of the canvas."""
        return self.whole_px + self.fractions_px

    def moved(self, moves_px: NDArray[np.float64]) -> Placement:
        """Return the same canvas with each window moved, by at most the margin.

        Parameters
        ----------
        moves_px : float64 array, shape (n, 2)

        Examples
        --------
        >>> placement = place_windows(np.array([[2.0, 3.0]]), 8, margin_px=1)
        >>> moved = placement.moved(np.array([[0.75, -0.25]]))
        >>> moved.whole_px.tolist(), moved.fractions_px.tolist()
        ([[2, 1]], [[-0.25, -0.25]])
        """
        corners_px = self.corners_px + moves_px
        whole_px = np.rint(corners_px).astype(np.int64)
        return replace(self, whole_px=whole_px, fractions_px=corners_px - whole_px, margin_px=0)

    def cut(
        self, object_: NDArray[np.complex64], indexes: NDArray[np.int64]
    ) -> NDArray[np.complex64]:
        """Return copies of the windows of some patterns, shape (k, N, N)."""
        windows = sliding_window_view(object_, (self.window_px, self.window_px))
        y, x = self.whole_px[indexes].T
        return np.asarray(windows[y, x])

    def add(self, target: NDArray[Any], windows: NDArray[Any], indexes: NDArray[np.int64]) -> None:
        """Add a window for each of some patterns to an array of the canvas' shape, in place.

        Parameters
        ----------
        target : array, shape (H, W)
        windows : array, shape (k, N, N), or (1, N, N) for the same one everywhere
        indexes : int64 array, shape (k,)
        """
        side = self.window_px
        for number, (y, x) in enumerate(self.whole_px[indexes].tolist()):
            target[y : y + side, x : x + side] += windows[number % len(windows)]

    def overlaid(self, window: NDArray[Any]) -> NDArray[Any]:
        """Return the sum of one window (N, N) laid where each pattern has its own, shape (H, W).

        If the image is a beam's intensity, this is the light of all patterns, Σ_j Σ_m |P_jm|², in counts.

        Examples
        --------
        >>> placement = place_windows(np.array([[0.0, 0.0], [0.0, 1.0]]), 2)
        >>> placement.overlaid(np.ones((2, 2), np.int64))
        array([[1, 2, 1],
               [1, 2, 1]])
        """
        target = np.zeros(self.shape, window.dtype)
        self.add(target, window[None], np.arange(len(self.whole_px)))
        return target


def place_windows(
    corners_px: NDArray[np.float64], window_px: int, *, margin_px: int = 0
) -> Placement:
    """Lay windows on the smallest canvas that holds all of them.

    Parameters
    ----------
    corners_px : float64 array, shape (n, 2)
        Top-left pixel (y, x) of each window in the scan's frame.
    window_px : int
        Side N of the windows.
    margin_px : int
        Pixels of the canvas beyond them on each side, so that they can be moved.

    Raises
    ------
    ScanError
        If it would take too much memory; names the positions that are far from the others.

    Examples
    --------
    >>> placement = place_windows(np.array([[2.0, 3.0], [4.25, 3.0]]), 8)
    >>> placement.shape, placement.corner_px, placement.fractions_px[1].tolist()
    ((10, 8), (2, 3), [0.25, 0.0])
    """
    check_canvas(np.ptp(corners_px, axis=0) + window_px + 2 * margin_px, corners_px)
    whole_px = np.rint(corners_px).astype(np.int64)
    low = whole_px.min(axis=0) - margin_px
    height, width = (whole_px.max(axis=0) + margin_px - low + window_px).tolist()
    top, left = low.tolist()
    fractions_px = corners_px - whole_px
    return Placement(
        (height, width), (top, left), whole_px - low, fractions_px, window_px, margin_px
    )


def beams_per_pixel(placement: Placement, intensity: NDArray[np.float32]) -> float:
    """Return how many beams light a pixel: Σ(Σ_j I_j)² / Σ_j ΣI_j².

    Parameters
    ----------
    placement : Placement
    intensity : float32 array, shape (N, N)
        I, of one beam.

    Returns
    -------
    float
        1 if no two beams overlap.

    Examples
    --------
    >>> placement = place_windows(np.array([[0.0, 0.0], [0.0, 0.0], [0.0, 8.0]]), 8)
    >>> round(beams_per_pixel(placement, np.ones((8, 8), np.float32)), 3)  # two of three on each other
    1.667
    """
    light = placement.overlaid(intensity)
    alone = len(placement.whole_px) * float(np.square(intensity, dtype=np.float64).sum())
    return float(np.square(light, dtype=np.float64).sum()) / alone


Slices = tuple[slice, slice]


def common_slices(
    corner_px: tuple[int, int],
    shape: tuple[int, ...],
    other_corner_px: tuple[int, int],
    other_shape: tuple[int, ...],
) -> tuple[Slices, Slices]:
    """Return where two images of one frame show the same pixels, as slices of either.

    Slices are empty where the images have no pixel in common.

    Examples
    --------
    >>> common_slices((0, 0), (4, 4), (2, -1), (3, 3))
    ((slice(2, 4, None), slice(0, 2, None)), (slice(0, 2, None), slice(1, 3, None)))
    """
    corner, other = np.array(corner_px), np.array(other_corner_px)
    low = np.maximum(corner, other)
    high = np.maximum(low, np.minimum(corner + shape, other + other_shape))

    def slices(start: NDArray[np.int64]) -> Slices:
        (top, left), (bottom, right) = (low - start).tolist(), (high - start).tolist()
        return slice(top, bottom), slice(left, right)

    return slices(corner), slices(other)
