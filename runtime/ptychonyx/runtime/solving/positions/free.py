"""Positions that move each by itself, in a frame that stays.

A pattern that asks for the same again and again is moved by more than it asks for: its own light has
drawn the object after it, which hides how wrong its place is, most of all at the rim of the scan
(gains by the sign of successive steps, as in Zhang et al., Opt. Express 21, 13592 (2013)).

Scale, shear and mean of all moves are removed, since an object that is stretched with its positions
explains the patterns almost as well. A turn is told by the patterns, but slowly where each moves over
an object that is not turned with it: all are turned together, and the object with them.

What the errors of an object that is not yet solved ask for is about a tenth of a pixel: moves are
drawn back to where they came from by the more, the less they exceed that.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..physics.moves import Moves, Pairs, unmoved
from ..physics.sweep import Problem, State
from .lost import SEARCH_PASSES, find_lost
from .slopes import Slopes, slopes_of
from .stretch import RIGID, move_together

DAMPING = 0.05
"""Added to each curvature, as a share of the mean one: patterns that tell little move little."""
LARGEST_STEP_PX = 1.0
FIRST_TURN_PASS = 5
"""The pass after which all turn together, too: the object shows by then what it would be turned to."""
MOMENTUM = 0.5
GAIN_UP, GAIN_DOWN, LARGEST_GAIN = 1.5, 0.5, 16.0
ERROR_PX = 0.1
"""What patterns of right positions ask for, as root mean square: the star's twin, 0.08 px with its
true object."""


def move_freely(
    problem: Problem, state: State, pool: ThreadPoolExecutor, *, largest_px: float
) -> State:
    """Return the state with each window moved by what its pattern asks for, and all turned together.

    Parameters
    ----------
    problem : Problem
        Its canvas must have a margin of at least `largest_px`.
    state : State
        After a pass.
    pool : ThreadPoolExecutor
    largest_px : float
        How far a window may move in all.
    """
    moves = state.moves or unmoved(len(problem.placement.whole_px))
    slopes = slopes_of(problem, state, pool)
    wish_px = gauss_newton_steps(slopes) - _distrust(moves.total_px) * moves.total_px
    asks_again = (wish_px * moves.wish_px).sum(axis=1) > 0
    gains = moves.gains * np.where(asks_again, GAIN_UP, GAIN_DOWN)
    gains = np.clip(gains, 1, LARGEST_GAIN)
    speed_px = MOMENTUM * moves.speed_px + limited(gains[:, None] * wish_px, LARGEST_STEP_PX)
    total_px = without_stretch(moves.total_px + speed_px, problem.placement.corners_px)
    total_px = limited(total_px, largest_px)
    moved = replace(state, moves=Moves(total_px, speed_px, wish_px, gains))
    if state.num_passes in SEARCH_PASSES:
        moved = find_lost(problem, moved, slopes.misfits, pool, largest_px=largest_px)
    if state.num_passes < FIRST_TURN_PASS:
        return moved
    # none beyond its bound may shorten the moves of all: each is cut by itself
    turned = move_together(problem, moved, pool, directions=RIGID, largest_px=np.inf)
    assert turned.moves is not None
    cut_px = limited(turned.moves.total_px, largest_px)
    return replace(turned, moves=replace(turned.moves, total_px=cut_px))


def gauss_newton_steps(slopes: Slopes) -> Pairs:
    """Return the steps (k, 2) to the smallest misfits to first order, damped and bounded."""
    damping = DAMPING * np.trace(slopes.curvatures, axis1=1, axis2=2).mean() / 2
    damped = slopes.curvatures + max(damping, 1e-12) * np.eye(2)
    return limited(np.linalg.solve(damped, slopes.pulls[..., None])[..., 0], LARGEST_STEP_PX)


def limited(vectors_px: Pairs, largest_px: float) -> Pairs:
    """Return vectors (k, 2) cut to a length.

    Examples
    --------
    >>> limited(np.array([[3.0, 4.0], [0.3, 0.4]]), 1.0).round(3).tolist()
    [[0.6, 0.8], [0.3, 0.4]]
    """
    lengths_px = np.linalg.norm(vectors_px, axis=1, keepdims=True)
    return np.asarray(vectors_px * np.minimum(1, largest_px / np.maximum(lengths_px, 1e-9)))


def without_stretch(moves_px: Pairs, corners_px: NDArray[np.float64]) -> Pairs:
    """Return moves without what they have in common: mean, scales and shear; a turn is left.

    Parameters
    ----------
    moves_px, corners_px : float64 arrays, shape (n, 2)

    Examples
    --------
    >>> corners_px = np.array([[0.0, 0.0], [0.0, 9.0], [9.0, 0.0], [9.0, 9.0]])
    >>> np.abs(without_stretch(1 + 0.02 * corners_px, corners_px)).max().round(9)
    np.float64(0.0)
    """
    moves_px = moves_px - moves_px.mean(axis=0)
    centered_px = corners_px - corners_px.mean(axis=0)
    fitted, *_ = np.linalg.lstsq(centered_px, moves_px, rcond=None)
    return np.asarray(moves_px - centered_px @ (fitted + fitted.T) / 2)


def _distrust(total_px: Pairs) -> float:
    """Return the share of the moves to take back, 1 where errors of the object explain them."""
    mean_square = float(np.square(total_px).sum(axis=1).mean())
    return min(1.0, ERROR_PX**2 / max(mean_square, 1e-12)) ** 2
