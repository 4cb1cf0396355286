"""What follows a pass that corrects a probe: its free choices are made, and no pattern changes."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from solver_oracle import Exact

from ptychonyx.runtime.simulation.probes import gaussian_probe
from ptychonyx.runtime.solving import passes
from ptychonyx.runtime.solving.passes import FIRST_PROBE_PASS, Passer
from ptychonyx.runtime.solving.physics.exit_waves import make_beam, predict_amplitudes
from ptychonyx.runtime.solving.physics.placement import Placement
from ptychonyx.runtime.solving.physics.sweep import Problem, State, sweep
from ptychonyx.runtime.solving.probe.freedom import center_of

REFINING = FIRST_PROBE_PASS - 1
"""Passes done when the first begins that corrects the probe."""


def make_passer(pool: ThreadPoolExecutor, state: State, **changes: Any) -> Passer:
    intensity = state.beam.intensity
    passer = Passer(pool, True, 3, float(intensity.sum()), center_of(intensity))
    return dataclasses.replace(passer, **changes)


def wander(state: State, shift_px: tuple[int, int]) -> State:
    """Move the beam and the object under it."""
    return dataclasses.replace(
        state,
        object_=np.roll(state.object_, shift_px, (0, 1)),
        last_change=np.roll(state.last_change, shift_px, (0, 1)),
        beam=make_beam(np.roll(state.beam.modes, shift_px, (1, 2))),
    )


def let_a_pass_end_with(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passes, "sweep", lambda problem, before, **options: state)


def patterns_of(placement: Placement, state: State) -> NDArray[np.float32]:
    every = np.arange(len(placement.whole_px))
    windows = placement.cut(state.object_, every)
    return predict_amplitudes(state.beam, windows, placement.fractions_px)


@pytest.mark.parametrize("refine_probe", [False, True])
def test_the_first_pass_leaves_the_probe_alone(
    exact: Exact, pool: ThreadPoolExecutor, refine_probe: bool
) -> None:
    state = exact.state(np.ones_like(exact.object_))
    passer = make_passer(pool, state, refine_probe=refine_probe)
    first = passer.step(exact.problem(), state)
    second = passer.step(exact.problem(), first)
    assert (first.num_passes, second.num_passes) == (1, 2)
    assert first.beam is state.beam
    assert (second.beam is state.beam) != refine_probe


def test_pass_k_has_the_same_batches_for_one_seed_and_others_for_another(
    exact: Exact, pool: ThreadPoolExecutor
) -> None:
    state = exact.state(np.ones_like(exact.object_))
    passer = make_passer(pool, state, refine_probe=False)
    again = make_passer(pool, state, refine_probe=False)
    other = make_passer(pool, state, refine_probe=False, seed=4)
    later = dataclasses.replace(state, num_passes=1)
    first = passer.step(exact.problem(), state).object_
    np.testing.assert_array_equal(first, again.step(exact.problem(), state).object_)
    assert not np.array_equal(first, other.step(exact.problem(), state).object_)
    assert not np.array_equal(first, passer.step(exact.problem(), later).object_)


def test_a_corrected_probe_has_its_power_and_modes_that_overlap_nowhere(
    exact: Exact, pool: ThreadPoolExecutor
) -> None:
    rng = np.random.default_rng(0)
    wrong = exact.modes * (1 + 0.1 * rng.normal(size=exact.modes.shape))
    state = dataclasses.replace(exact, modes=wrong).state()
    passer = make_passer(pool, state)
    for _ in range(4):
        state = passer.step(exact.problem(), state)
    assert float(state.beam.intensity.sum()) == pytest.approx(passer.power, rel=1e-5)
    flat = state.beam.modes.reshape(2, -1)
    powers = np.square(np.abs(flat)).sum(axis=1)
    assert powers[0] > powers[1]
    assert np.abs(np.vdot(flat[0], flat[1])) < 1e-5 * powers[0]
    assert np.abs(center_of(state.beam.intensity) - passer.center_px).max() < 1


def test_a_correction_brings_a_wrong_probe_nearer(exact: Exact, pool: ThreadPoolExecutor) -> None:
    rng = np.random.default_rng(0)
    blur = 1 + 0.3 * rng.normal(size=exact.modes.shape)
    start = dataclasses.replace(exact, modes=exact.modes * blur).state()
    residuals = {}
    for refine_probe in (False, True):
        state, passer = start, make_passer(pool, start, refine_probe=refine_probe)
        for _ in range(10):
            state = passer.step(exact.problem(), state)
        residuals[refine_probe] = state.residual
    assert residuals[True] < 0.3 * residuals[False]


@pytest.mark.parametrize("shift_px", [(2, 0), (-1, 3)])
def test_a_beam_that_wandered_comes_back_with_its_object(
    exact: Exact,
    pool: ThreadPoolExecutor,
    monkeypatch: pytest.MonkeyPatch,
    shift_px: tuple[int, int],
) -> None:
    change = np.random.default_rng(0).normal(size=exact.object_.shape).astype(np.complex64)
    modes = np.pad(300 * gaussian_probe(16, 2), ((0, 0), (8, 8), (8, 8)))  # far from the edge
    state = dataclasses.replace(
        dataclasses.replace(exact, modes=modes).state(), num_passes=REFINING, last_change=change
    )
    wandered, placement = wander(state, shift_px), exact.problem().placement
    let_a_pass_end_with(wandered, monkeypatch)
    after = make_passer(pool, state).step(exact.problem(), state)
    np.testing.assert_array_equal(after.object_, state.object_)
    np.testing.assert_array_equal(after.last_change, state.last_change)
    np.testing.assert_allclose(after.beam.intensity, state.beam.intensity, atol=1e-2)
    np.testing.assert_allclose(
        patterns_of(placement, after), patterns_of(placement, wandered), atol=0.02
    )
    assert np.abs(patterns_of(placement, after)).max() > 20


def test_less_than_half_a_pixel_is_no_wandering(
    exact: Exact, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = dataclasses.replace(exact.state(), num_passes=REFINING)
    let_a_pass_end_with(state, monkeypatch)
    center_px = center_of(state.beam.intensity) + np.array([0.4, -0.4])
    after = make_passer(pool, state, center_px=center_px).step(exact.problem(), state)
    np.testing.assert_array_equal(after.object_, state.object_)
    np.testing.assert_allclose(after.beam.intensity, state.beam.intensity, rtol=1e-4, atol=1e-4)


def test_a_stop_reaches_the_batches(exact: Exact, pool: ThreadPoolExecutor) -> None:
    state = exact.state(np.ones_like(exact.object_))
    passer = make_passer(pool, state, refine_probe=False)
    problem: Problem = exact.problem()
    stopped = passer.step(problem, state, lambda: True)
    rng = np.random.default_rng([3, 1])
    expected = sweep(problem, state, rng=rng, pool=pool, should_stop=lambda: True)
    np.testing.assert_array_equal(stopped.object_, expected.object_)
