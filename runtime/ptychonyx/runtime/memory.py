"""How much memory one array may take, and canvases that would take more."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from .errors import ScanError

LIMIT_VARIABLE = "PTYCHONYX_MEMORY_GB"
"""Environment variable with another limit, in GB."""
LARGEST_BYTES = 8 * 10**9
SHARE = 1 / 4
"""Of the machine's memory; what works on an array needs several times its size."""
BYTES_OF_PIXEL = 40
"""What one pixel of a canvas takes: three sums, the summed weights, coverage, object, disagreement."""
LARGEST_PLACE_PX = 1e9
"""Beyond, a float no longer tells a thousandth of a pixel well, and integers overflow soon."""
NUM_NAMED = 3


def largest_bytes() -> int:
    """Return how much memory one array of a file, or one canvas, may take.

    8 GB or a quarter of the machine's memory, whichever is smaller, unless the environment variable
    PTYCHONYX_MEMORY_GB says otherwise.

    Raises
    ------
    ValueError
        If the variable is no positive number.

    Examples
    --------
    >>> os.environ["PTYCHONYX_MEMORY_GB"] = "0.5"
    >>> largest_bytes()
    500000000
    >>> del os.environ["PTYCHONYX_MEMORY_GB"]
    """
    text = os.environ.get(LIMIT_VARIABLE)
    if text is None:
        return min(LARGEST_BYTES, int(SHARE * machine_bytes()))
    try:
        gigabytes = float(text)
    except ValueError:
        gigabytes = 0.0
    if not 0 < gigabytes < 1e9:
        raise ValueError(
            f"The environment variable {LIMIT_VARIABLE} is {text!r}; a positive number of GB is "
            "needed: correct or unset it."
        )
    return int(gigabytes * 1e9)


def check_canvas(shape: NDArray[np.float64], corners_px: NDArray[np.float64]) -> None:
    """Refuse a canvas that is too large, before memory is taken for it.

    Parameters
    ----------
    shape : float64 array, shape (2,)
        Height and width in pixels; floats, since wild positions exceed every integer.
    corners_px : float64 array, shape (n, 2)
        The windows on it.

    Raises
    ------
    ScanError
        Names the positions that are farthest from the others.

    Examples
    --------
    >>> check_canvas(np.array([69, 69.0]), np.array([[0, 0], [5, 5.0]]))
    """
    reach_px = float(np.abs(corners_px).max())
    if reach_px > LARGEST_PLACE_PX:
        raise ScanError(
            f"Positions reach {reach_px:.6g} px; at most {LARGEST_PLACE_PX:.0e} px can be right. Correct "
            f"the unit of the positions, or the pixel size."
        )
    num_bytes = float(np.prod(shape)) * BYTES_OF_PIXEL
    if num_bytes <= largest_bytes():
        return
    height, width = shape.tolist()
    raise ScanError(
        f"The canvas would have {height:.9g}×{width:.9g} pixels and take {as_gigabytes(num_bytes)}; "
        f"at most {as_gigabytes(largest_bytes())} are allowed. The most outlying positions are "
        f"{_most_outlying(corners_px)}: remove them, or correct the unit of the positions or the "
        f"pixel size. If all are right, set {LIMIT_VARIABLE} to more GB."
    )


def as_gigabytes(num_bytes: float) -> str:
    """Return a size as a person reads it.

    Examples
    --------
    >>> as_gigabytes(4.31e9)
    '4.3 GB'
    """
    return f"{num_bytes / 1e9:.3g} GB" if num_bytes > 1e12 else f"{num_bytes / 1e9:.1f} GB"


def _most_outlying(corners_px: NDArray[np.float64]) -> str:
    """Name the positions that are farthest from the middle one, farthest first."""
    distances = np.abs(corners_px - np.median(corners_px, axis=0)).max(axis=1)
    farthest = np.argsort(-distances, kind="stable")[:NUM_NAMED]
    farthest = farthest[distances[farthest] >= distances.max() / 2]
    return ", ".join(
        f"{index} at (y, x) = ({corners_px[index, 0]:.6g}, {corners_px[index, 1]:.6g}) px"
        for index in farthest.tolist()
    )


def machine_bytes() -> int:
    """Return the memory of this machine, or what is assumed where that is not known."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # not known on every system
        return int(LARGEST_BYTES / SHARE)
