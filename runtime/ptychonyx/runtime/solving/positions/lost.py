"""Patterns whose place is so wrong that no small step leads to the right one: all places are tried."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..physics.comparing import CHUNK
from ..physics.disturbances import with_background
from ..physics.exit_waves import predict_amplitudes
from ..physics.moves import Moves
from ..physics.sweep import Problem, State

SEARCH_PASSES = (8, 16)
"""After these, when most positions are right and the object with them, lost patterns are looked for."""
LOST = 2.5
"""A pattern is lost if the share of it that is unexplained is so many times the median of all."""
MOST_LOST = 32
"""The worst of them are looked for."""
CLEAR = 0.8
"""A place is better if it leaves at most this share of the misfit."""
PLACES_EACH_WAY = 8

Pairs = NDArray[np.float64]


def find_lost(
    problem: Problem,
    state: State,
    misfits: NDArray[np.float64],
    pool: ThreadPoolExecutor,
    *,
    largest_px: float,
) -> State:
    """Return the state with lost patterns where the present object explains them best.

    Parameters
    ----------
    problem : Problem
    state : State
        A state in which positions have moved.
    misfits : float64 array, shape (n,)
        Σ (A − a)² of each pattern.
    pool : ThreadPoolExecutor
    largest_px : float
        Half the side of the square of places that are tried, around where the scan has a pattern.
    """
    assert state.moves is not None
    shares = misfits / np.maximum(problem.measured.counts, 1)
    lost = np.flatnonzero(shares > LOST * np.median(shares))
    lost = lost[np.argsort(-shares[lost])][:MOST_LOST]
    steps_px = np.linspace(-1, 1, 2 * PLACES_EACH_WAY + 1) * largest_px
    places_px = np.stack(np.meshgrid(steps_px, steps_px), axis=-1).reshape(-1, 2)
    places_px = places_px[np.linalg.norm(places_px, axis=1) <= largest_px]
    moves = state.moves
    total_px, speed_px, gains = moves.total_px.copy(), moves.speed_px.copy(), moves.gains.copy()
    found = pool.map(lambda number: _misfits_at(problem, state, int(number), places_px), lost)
    for number, tried in zip(lost.tolist(), found, strict=True):
        if tried.min() < CLEAR * misfits[number]:
            total_px[number] = places_px[tried.argmin()]
            speed_px[number], gains[number] = 0, 1
    return replace(state, moves=Moves(total_px, speed_px, moves.wish_px, gains))


def _misfits_at(
    problem: Problem, state: State, number: int, places_px: Pairs
) -> NDArray[np.float64]:
    """Return the misfit of one pattern at several places (k, 2), relative to where the scan has it."""
    chosen = np.array([number])
    known = problem.at(state).measured
    measured, good = known.even_amplitudes(chosen), known.good_of(chosen)
    background = known.background_of(chosen)
    corners_px = problem.placement.corners_px[number] + places_px
    whole_px = np.rint(corners_px).astype(np.int64)
    fractions_px = corners_px - whole_px
    at_places = replace(problem.placement, whole_px=whole_px, fractions_px=fractions_px)
    misfits = []
    for start in range(0, len(places_px), CHUNK):
        part = np.arange(start, min(start + CHUNK, len(places_px)))
        windows = at_places.cut(state.object_, part)
        predicted = predict_amplitudes(state.beam, windows, fractions_px[part])
        difference = with_background(predicted, background) - measured
        misfits.append(np.square(difference if good is None else difference * good).sum((1, 2)))
    return np.concatenate(misfits).astype(np.float64)
