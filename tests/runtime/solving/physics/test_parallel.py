"""A parallel pass is what its formulas say, and the sums of parts are those of the whole."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from operator import add

import numpy as np
import pytest
from solver_oracle import Exact, changes

from ptychonyx.runtime.solving.physics.parallel import PARALLEL_FLOOR, after_pass, sums_of_pass
from ptychonyx.runtime.solving.physics.sweep import DENOMINATOR_FLOOR, Problem, State, Sums

MOMENTUM = 0.6


def part_of(problem: Problem, start: int, stop: int) -> Problem:
    """Return some patterns of a problem on its canvas."""
    measured, placement, part = problem.measured, problem.placement, slice(start, stop)
    return Problem(
        dataclasses.replace(
            measured,
            indexes=measured.indexes[part],
            kept=measured.kept[part],
            counts=measured.counts[part],
        ),
        dataclasses.replace(
            placement,
            whole_px=placement.whole_px[part],
            fractions_px=placement.fractions_px[part],
        ),
        problem.noise,
    )


@pytest.fixture
def state(exact: Exact) -> State:
    """Return a state beside the truth that has come there by a change."""
    rng = np.random.default_rng(2)
    noise = 0.1 * rng.normal(size=(4, *exact.object_.shape))
    state = exact.state(exact.object_ * (1 + noise[0] + 1j * noise[1]))
    change = (noise[2] + 1j * noise[3]).astype(np.complex64)
    return dataclasses.replace(state, last_change=change, num_passes=3)


def summed(problem: Problem, state: State, pool: ThreadPoolExecutor) -> Sums:
    return sums_of_pass(problem, state, momentum=MOMENTUM, pool=pool, with_probe=True)


def test_a_parallel_pass_is_what_its_formulas_say(
    exact: Exact, state: State, pool: ThreadPoolExecutor
) -> None:
    problem, side = exact.problem(), 32
    modes = state.beam.modes.astype(np.complex128)
    ahead = state.object_ + MOMENTUM * state.last_change.astype(np.complex128)
    asked, light = np.zeros_like(ahead), np.zeros(ahead.shape)
    of_probe, transmission = np.zeros_like(modes), np.zeros((side, side))
    for number, (y, x) in enumerate(problem.placement.whole_px):
        place = (slice(y, y + side), slice(x, x + side))
        amplitudes = problem.measured.amplitudes(np.array([number]))[0].astype(np.float64)
        fraction_px = problem.placement.fractions_px[number]
        good = np.ones((side, side))
        of_object, one = changes(ahead[place], modes, fraction_px, amplitudes, good, "amplitude")
        asked[place] += of_object
        of_probe += one
        light[place] += np.sum(np.abs(modes) ** 2, axis=0)
        transmission += np.abs(ahead[place]) ** 2
    object_ = ahead + asked / np.maximum(light, PARALLEL_FLOOR * light.max())
    modes += of_probe / np.maximum(transmission, DENOMINATOR_FLOOR * transmission.max())
    sums = summed(problem, state, pool)
    found = after_pass(state, sums, momentum=MOMENTUM, with_probe=True)
    change = np.linalg.norm(object_ - state.object_)
    assert np.linalg.norm(found.object_ - object_) < 3e-5 * change
    np.testing.assert_array_equal(found.last_change, found.object_ - state.object_)
    assert np.linalg.norm(found.beam.modes - modes) < 1e-5 * np.linalg.norm(modes)
    assert found.num_passes == 4
    kept = after_pass(state, sums, momentum=MOMENTUM, with_probe=False)
    assert kept.beam is state.beam


def test_sums_of_parts_are_those_of_the_whole(
    exact: Exact, state: State, pool: ThreadPoolExecutor
) -> None:
    problem = exact.problem()
    parts = [part_of(problem, *ends) for ends in ((0, 7), (7, 8), (8, 40))]
    added = reduce(add, [summed(part, state, pool) for part in parts])
    whole = summed(problem, state, pool)
    for name in ("object_", "light", "probe", "transmission"):
        found, expected = getattr(added, name), getattr(whole, name)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 * np.abs(expected).max())
        assert found.dtype == expected.dtype
    assert (added.misfit, added.counts) == pytest.approx((whole.misfit, whole.counts), rel=1e-6)


def test_sums_may_be_used_again(exact: Exact, state: State, pool: ThreadPoolExecutor) -> None:
    sums = summed(exact.problem(), state, pool)
    first, second = (after_pass(state, sums, momentum=MOMENTUM, with_probe=True) for _ in range(2))
    np.testing.assert_array_equal(first.object_, second.object_)
    np.testing.assert_array_equal(first.beam.modes, second.beam.modes)
