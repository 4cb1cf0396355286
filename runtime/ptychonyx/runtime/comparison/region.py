"""Regions of an object, and what makes its pixels comparable: limits, phases, chosen patterns."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

CLIPPED_PERCENT = 0.5
"""Share of the values at each end that limits leave out, so that single hot pixels do not decide."""
ENOUGH_LIGHT = 0.5
"""A pixel has enough light where both halves reach this share of their median coverage."""
DARK_SHARE = 0.01
"""Share of the pixels of the compared box that may have less light."""
SMALLEST_BOX_PX = 16
"""A smaller box has too few rings to say anything."""


class Region(NamedTuple):
    """Rows y0 to y1 and columns x0 to x1 (ends excluded) of an array."""

    y0: int
    y1: int
    x0: int
    x1: int

    def __str__(self) -> str:
        """Return the text that `parse_region` reads."""
        return f"{self.y0}:{self.y1},{self.x0}:{self.x1}"

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns as slices."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.y1 - self.y0, self.x1 - self.x0


def parse_region(text: str) -> Region:
    """Read a region such as `50:195,60:180`: rows, then columns, ends excluded.

    Parameters
    ----------
    text : str
        `y0:y1,x0:x1`, whole pixels, not negative.

    Returns
    -------
    Region
        The same four numbers.

    Raises
    ------
    ValueError
        If the text reads otherwise, or holds no pixel.

    Examples
    --------
    >>> parse_region("50:195,60:180")
    Region(y0=50, y1=195, x0=60, x1=180)
    """
    match = re.fullmatch(r"\s*(\d+)\s*:\s*(\d+)\s*,\s*(\d+)\s*:\s*(\d+)\s*", text)
    if match is None:
        raise ValueError(
            f"`region` is {text!r}, expected rows and columns as y0:y1,x0:x1 in whole pixels: "
            "write for example 50:195,60:180."
        )
    region = Region(*(int(number) for number in match.groups()))
    if min(region.shape) <= 0:
        raise ValueError(
            f"`region` is {text!r}, which holds no pixel; y0 < y1 and x0 < x1 are needed: "
            "swap or widen the bounds."
        )
    return region


def known_box(known: NDArray[np.bool_]) -> Region:
    """Return the bounding box of the known pixels.

    Parameters
    ----------
    known : bool array, shape (H, W)
        True where an object is known; at least one pixel must be.

    Returns
    -------
    Region
        The smallest region that holds all known pixels.

    Examples
    --------
    >>> known = np.zeros((4, 5), np.bool_)
    >>> known[1:3, 2] = True
    >>> known_box(known)
    Region(y0=1, y1=3, x0=2, x1=3)
    """
    rows, columns = (np.flatnonzero(known.any(axis=axis)) for axis in (1, 0))
    return Region(int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1)


def lit_box(coverage_a: NDArray[np.int32], coverage_b: NDArray[np.int32]) -> Region | None:
    """Return the box of an object where two halves of a scan both have enough light.

    A pixel has enough if its coverage reaches half of the median coverage of that half, in both. From
    the whole canvas, the side with the largest share of darker pixels is cut off again and again,
    until at most one in a hundred pixels of the box is darker: a dark border would be noise, or
    alike in both for no better reason than the shape of the beam.

    Parameters
    ----------
    coverage_a, coverage_b : int32 arrays, shape (H, W)
        Number of patterns that light each pixel.

    Returns
    -------
    Region or None
        None if no box of at least `SMALLEST_BOX_PX` on each side is left.

    Examples
    --------
    >>> coverage = np.zeros((40, 40), np.int32)
    >>> coverage[4:30, 5:] = 6
    >>> str(lit_box(coverage, coverage))
    '4:30,5:40'
    """
    is_dark = ~(_has_light(coverage_a) & _has_light(coverage_b))
    y0, y1, x0, x1 = 0, is_dark.shape[0], 0, is_dark.shape[1]
    num_dark = int(is_dark.sum())
    while num_dark > DARK_SHARE * (y1 - y0) * (x1 - x0):
        inside = is_dark[y0:y1, x0:x1]
        sides = (inside[0], inside[-1], inside[:, 0], inside[:, -1])
        worst = int(np.argmax([side.mean() for side in sides]))
        num_dark -= int(sides[worst].sum())
        y0, y1 = y0 + (worst == 0), y1 - (worst == 1)
        x0, x1 = x0 + (worst == 2), x1 - (worst == 3)
    return Region(y0, y1, x0, x1) if min(y1 - y0, x1 - x0) >= SMALLEST_BOX_PX else None


def _has_light(coverage: NDArray[np.int32]) -> NDArray[np.bool_]:
    covered = coverage > 0
    if not covered.any():
        return covered
    return np.asarray(coverage >= max(1, ENOUGH_LIGHT * float(np.median(coverage[covered]))))


def clipped_limits(values: NDArray[np.floating[Any]]) -> tuple[float, float]:
    """Return the range of values without the lowest and the highest half percent.

    Parameters
    ----------
    values : real array, any shape
        NaN is left out.

    Returns
    -------
    (float, float)
        Lower and upper limit; (0, 1) if no value is finite.

    Examples
    --------
    >>> clipped_limits(np.append(np.arange(1000.0), 1e6))
    (5.0, 995.0)
    """
    if not np.isfinite(values).any():
        return 0.0, 1.0
    low, high = np.nanpercentile(values, (CLIPPED_PERCENT, 100 - CLIPPED_PERCENT))
    return float(low), float(high)


def spread_indexes(num: int, count: int) -> NDArray[np.int64]:
    """Return indexes that are spread evenly over a sequence, in rising order, each only once.

    Parameters
    ----------
    num : int
        Length of the sequence.
    count : int
        How many indexes are wanted, at least 1; all `num` if there are no more.

    Returns
    -------
    int64 array, shape (min(num, count),)
        The first is 0, the last num − 1 if there are two or more.

    Examples
    --------
    >>> spread_indexes(10, 4).tolist(), spread_indexes(3, 4).tolist()
    ([0, 3, 6, 9], [0, 1, 2])
    """
    return np.linspace(0, num - 1, min(num, count)).round().astype(np.int64)


def without_common_phase(
    object_: NDArray[np.complexfloating[Any, Any]],
    known: NDArray[np.bool_],
    *,
    reference: NDArray[np.complexfloating[Any, Any]] | None = None,
) -> NDArray[np.complex128]:
    """Multiply an object by the one phase factor that makes the phase of its mean 0.

    Ptychography leaves this phase open. Taking it out also keeps most phases away from ±π, so that
    they need no unwrapping.

    Parameters
    ----------
    object_ : complex array, shape (H, W)
        Transmission.
    known : bool array, shape (H, W)
        Pixels that the mean is taken over.
    reference : complex array, shape (H, W), optional
        Object whose mean decides instead, so that two objects keep their phase to each other.

    Returns
    -------
    complex128 array, shape (H, W)

    Examples
    --------
    >>> object_ = np.array([[1j, 2j, 3j]])
    >>> without_common_phase(object_, np.array([[True, True, False]])).round(9)
    array([[1.+0.j, 2.+0.j, 3.+0.j]])
    """
    mean = (object_ if reference is None else reference)[known].sum(dtype=np.complex128)
    turned: NDArray[np.complex128] = object_ * np.exp(-1j * np.angle(mean))
    return turned


def nearest_indexes(
    corners_px: NDArray[Any], middle_px: NDArray[np.float64], num: int
) -> NDArray[np.int64]:
    """Return the patterns whose windows are nearest to a point, in rising order.

    Parameters
    ----------
    corners_px : array, shape (n, 2)
    middle_px : float64 array, shape (2,)
        Corner (y, x) that they are near to.
    num : int
        How many; all if there are no more.

    Examples
    --------
    >>> corners_px = np.array([[0, 0], [0, 9], [0, 4.0]])
    >>> nearest_indexes(corners_px, np.array([0, 5]), 2).tolist()
    [1, 2]
    """
    distances = np.square(corners_px - middle_px).sum(axis=1)
    return np.sort(np.argsort(distances, kind="stable")[:num])
