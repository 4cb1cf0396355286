"""One parallel pass: all patterns of a scan look at the same object, so that many can share them.

A batch of `sweep` corrects the object for the next one, which nobody can do for another. Here the
object moves once a pass, by the mean of what all patterns ask for. What parts of a scan ask for can
be summed anywhere, and added up.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from .comparing import Comparer, ScipyComparer
from .exit_waves import make_beam
from .sweep import Problem, State, Sums, sum_changes

PARALLEL_MOMENTUM = 0.9
"""Share of the object's last change that each pass begins with: more than in `sweep`, since a pass
moves the object only once."""
PARALLEL_FLOOR = 0.02
"""Weakly lit pixels move as if they had this share of the brightest pixel's light. It is less than in
`sweep`: no step of all patterns at once can go too far, so that dim pixels may move, too."""


def sums_of_pass(
    problem: Problem,
    state: State,
    *,
    momentum: float,
    pool: ThreadPoolExecutor,
    with_probe: bool,
    comparer: Comparer | None = None,
) -> Sums:
    """Sum what all patterns of a problem, or of a part of it, ask for in a parallel pass.

    Parameters
    ----------
    problem : Problem
        Its placement has the whole canvas, also if its patterns are a part.
    state : State
        Where the passes stand.
    momentum : float
        As for `after_pass`.
    pool : ThreadPoolExecutor
        Its threads share the patterns; how many there are does not change the result.
    with_probe : bool
        Whether the probe's sums are wanted.
    comparer : Comparer, optional
        Compares the patterns; by default NumPy and SciPy.
    """
    object_ = state.object_ + np.float32(momentum) * state.last_change
    problem, every = problem.at(state), np.arange(len(problem.measured.indexes))
    comparer = comparer or ScipyComparer()
    return sum_changes(problem, object_, state.beam, every, pool, comparer, with_probe=with_probe)


def after_pass(state: State, sums: Sums, *, momentum: float, with_probe: bool) -> State:
    """Return the state after a parallel pass.

    Parameters
    ----------
    state : State
        Before it.
    sums : Sums
        What all patterns ask for, from that state.
    momentum : float
        Share of the object's last change that the pass began with.
    with_probe : bool
        Whether the probe is corrected, too.
    """
    object_ = state.object_ + np.float32(momentum) * state.last_change
    object_ += sums.object_step(PARALLEL_FLOOR * float(sums.light.max()))
    beam = make_beam(state.beam.modes + sums.probe_step()) if with_probe else state.beam
    return replace(
        state,
        object_=object_,
        last_change=object_ - state.object_,
        beam=beam,
        num_passes=state.num_passes + 1,
        residual=sums.misfit / sums.counts if sums.counts else float("nan"),
        correction=None,
    )
