"""How well each way of turning patterns and positions goes with a given object and probe."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from ..comparison.region import spread_indexes
from ..forward import predict_counts
from ..residual import padded_object, unexplained_share
from ..scaling import read_amplitudes_of
from ..scan import Scan, some_of
from ..turns import FLIPS, NEGATIONS, NO_TURN, Turn

NUM_PATTERNS = 32
NUM_PIXELS = 32 * 128**2
"""Patterns of more pixels are compared in smaller number: at 512², eight are enough."""
FEWEST_PATTERNS = 8
POSITION_TURNS = tuple(
    Turn(swap_positions=swap, negate_positions=negate)
    for swap, negate in product((False, True), ("", *NEGATIONS))
)


@dataclass(frozen=True)
class Explained:
    """How well a turned scan is explained.

    Attributes
    ----------
    turn : Turn
    residual : float
        Share of the measured amplitude that is left unexplained, at the best scale.
    unexplained : float or None
        Share of the differences between patterns that is left, beyond photon noise; None if
        patterns hardly differ.
    """

    turn: Turn
    residual: float
    unexplained: float | None


@dataclass(frozen=True)
class _Sample:
    """Some patterns of a scan, and what they would leave if nothing but their mean were known."""

    indexes: NDArray[np.int64]
    amplitudes: NDArray[np.float64]
    good: NDArray[np.float64]
    of_mean_pattern: float
    of_noise: float


def explain(
    scan: Scan, object_: NDArray[np.complex64], probe: NDArray[np.complex64], turns: list[Turn]
) -> list[Explained]:
    """Tell how well an object and a probe explain a scan that is turned in several ways.

    Parameters
    ----------
    scan : Scan
        About 32 of its patterns are read.
    object_ : complex64 array, shape (H, W)
        At the place of the scan's own object.
    probe : complex64 array, shape (modes, N, N)
    turns : list of Turn

    Returns
    -------
    list of Explained
        One for each of `turns`, in their order.
    """
    sample = _take_sample(scan)
    of_positions = list(dict.fromkeys(_positions_of(turn) for turn in turns))
    predicted = np.stack(
        [_predict(scan, sample.indexes, object_, probe, each).ravel() for each in of_positions]
    )
    squares = np.square(predicted).reshape(len(predicted), len(sample.indexes), -1).sum(axis=1)
    found: dict[tuple[Turn, Turn], float] = {}
    for of_patterns in dict.fromkeys(_patterns_of(turn) for turn in turns):
        measured = of_patterns.of_images(sample.amplitudes).ravel()  # 0 at bad pixels
        overlaps = predicted @ measured
        powers = squares @ of_patterns.of_images(sample.good).ravel() * (measured @ measured)
        shares = 1 - np.divide(
            np.square(overlaps), powers, out=np.zeros_like(powers), where=powers > 0
        )
        found |= {
            (of_patterns, each): float(share)
            for each, share in zip(of_positions, shares, strict=True)
        }
    return [
        _explained(sample, turn, found[_patterns_of(turn), _positions_of(turn)]) for turn in turns
    ]


def _positions_of(turn: Turn) -> Turn:
    return replace(turn, dc_px=None, flip="")


def _patterns_of(turn: Turn) -> Turn:
    return replace(turn, swap_positions=False, negate_positions="")


def all_turns(window_px: int) -> list[Turn]:
    """Return every way of turning patterns and positions, the untouched one first.

    A reversal of an array moves the direct beam by a pixel where N is even, so patterns that were
    reversed without regard to it are among them.
    """
    found = [
        replace(of_positions, flip=flip, dc_px=dc_px)
        for flip in ("", *FLIPS)
        for dc_px in _shifted(flip, window_px)
        for of_positions in POSITION_TURNS
    ]
    return sorted(found, key=lambda turn: turn != NO_TURN)


def _shifted(flip: str, window_px: int) -> Iterator[tuple[int, int] | None]:
    """Yield where the direct beam may be if patterns were turned by reversing arrays."""
    yield None
    if window_px % 2:
        return
    half = window_px // 2
    # axes of the stored patterns: before they are exchanged
    reversed_axes = flip.replace("t", "")
    if "t" in flip:
        reversed_axes = reversed_axes.translate(str.maketrans("yx", "xy"))
    if reversed_axes:
        yield (half - ("y" in reversed_axes), half - ("x" in reversed_axes))


def _take_sample(scan: Scan) -> _Sample:
    num = max(FEWEST_PATTERNS, min(NUM_PATTERNS, NUM_PIXELS // scan.window_px**2))
    chosen = spread_indexes(scan.num_patterns, num)
    amplitudes = read_amplitudes_of(scan, chosen).astype(np.float64)
    side = scan.window_px
    good = np.ones((side, side))
    if scan.bad_pixels is not None:
        good[scan.bad_pixels] = 0
    counts = np.square(amplitudes)
    total = float(counts.sum())
    each = counts.sum(axis=(1, 2), keepdims=True)
    of_mean = np.sqrt(counts.sum(axis=0) / total * each)
    misfit = float(np.square(of_mean - amplitudes).sum()) / total
    # the root of a Poisson count has a variance of 1/4, and less where counts are few
    noise = float(np.minimum(0.25, counts.mean(axis=0)).sum()) * len(counts) / total
    return _Sample(chosen, amplitudes, good, misfit, noise)


def _predict(
    scan: Scan,
    indexes: NDArray[np.int64],
    object_: NDArray[np.complex64],
    probe: NDArray[np.complex64],
    turn: Turn,
) -> NDArray[np.float64]:
    """Return the amplitudes that some patterns should have if positions were turned."""
    corners_px = turn.of_corners(scan)[indexes]  # turned about the middle of all of them
    moved = replace(some_of(scan, indexes), corners_px=corners_px)
    padded, shift = padded_object(moved, object_, scan.object_corner_px, None)
    return np.sqrt(predict_counts(padded, probe.astype(np.complex128), corners_px + shift))


def _explained(sample: _Sample, turn: Turn, residual: float) -> Explained:
    share = unexplained_share(
        residual, of_noise=sample.of_noise, of_mean_pattern=sample.of_mean_pattern
    )
    return Explained(turn, residual, share)
