"""The shares of a scan: parts of its patterns, and the tree that adds up what is made of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TypeVar

import numpy as np

from ...scan import Scan
from ..options import Noise
from ..physics.measured import read_part
from ..physics.placement import place_windows
from ..physics.sweep import Problem

SHARE_BYTES = 1024**3
"""Amplitudes of a share up to this size stay in memory; the others are read in each pass."""

T = TypeVar("T")


def even_parts(num_patterns: int, num_parts: int) -> list[tuple[int, int]]:
    """Return where each of some parts of a scan, as even as can be, begins and ends (exclusive).

    Examples
    --------
    >>> even_parts(7, 3)
    [(0, 2), (2, 4), (4, 7)]
    """
    bounds = [num_patterns * number // num_parts for number in range(num_parts + 1)]
    return list(pairwise(bounds))


def in_a_tree(parts: Sequence[T], add: Callable[[T, T], T]) -> T:
    """Add up parts, neighbors first, and then their sums.

    Examples
    --------
    >>> in_a_tree(["a", "b", "c"], "({}{})".format)
    '((ab)c)'
    """
    while len(parts) > 1:
        pairs = [parts[start : start + 2] for start in range(0, len(parts), 2)]
        parts = [add(*pair) if len(pair) == 2 else pair[0] for pair in pairs]
    return parts[0]


def read_share(scan: Scan, start: int, stop: int, *, noise: Noise) -> Problem:
    """Read the patterns of a share once, and place their windows on the canvas of the whole scan.

    Parameters
    ----------
    scan : Scan
    start, stop : int
        First pattern, and the first that is no longer of the share.
    noise : "amplitude", "unbiased" or "poisson"

    Raises
    ------
    ScanError
        If a pattern cannot be used.
    """
    whole = place_windows(scan.corners_px, scan.window_px)
    part = slice(start, stop)
    return Problem(
        read_part(scan, np.arange(start, stop), kept_bytes=SHARE_BYTES),
        replace(whole, whole_px=whole.whole_px[part], fractions_px=whole.fractions_px[part]),
        noise,
    )
