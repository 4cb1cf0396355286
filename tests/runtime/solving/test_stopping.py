"""Pixels that are held back are no one's but the judge's, and tell the truth from vacuum."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from solver_oracle import Exact, amplitude, make_exact, with_noise

from ptychonyx.runtime.solving.options import NOISES, Noise
from ptychonyx.runtime.solving.physics.sweep import Problem, State, sweep
from ptychonyx.runtime.solving.stopping import (
    FIRST_PASSES,
    HELD_PIXELS,
    PATIENCE,
    SMALLEST_RATE,
    TESTED_PATTERNS,
    Bearable,
    HeldBack,
    best_number,
    hold_back,
)


@pytest.fixture(scope="module")
def counted() -> Exact:
    """Return thirty patterns of photon counts."""
    return with_noise(make_exact(30, counts=2e4))


def with_bad(exact: Exact) -> Exact:
    scan = dataclasses.replace(exact.scan, bad_pixels=bad_pixels())
    return dataclasses.replace(exact, scan=scan)


def bad_pixels() -> np.ndarray:
    mask = np.zeros((32, 32), np.bool_)
    mask[14:17, 15:18] = True
    return mask


def hold(exact: Exact, seed: int = 0, noise: Noise = "amplitude") -> HeldBack:
    problem = dataclasses.replace(exact.problem(), noise=noise)
    return hold_back(problem, np.random.default_rng(seed))


def test_a_twentieth_of_the_pixels_is_held_back(exact: Exact) -> None:
    held_back, problem = hold(exact), exact.problem()
    fitted = held_back.problem.measured.fitted
    assert fitted is not None
    assert fitted.mean() == pytest.approx(1 - HELD_PIXELS, abs=0.003)
    np.testing.assert_array_equal(held_back.indexes, np.arange(len(fitted)))
    np.testing.assert_array_equal(held_back.tested, ~fitted)
    np.testing.assert_array_equal(held_back.problem.measured.kept, problem.measured.kept)
    np.testing.assert_array_equal(held_back.amplitudes, problem.measured.kept)


def test_bad_pixels_are_not_tested(exact: Exact) -> None:
    tested = hold(with_bad(exact)).tested
    assert tested.any()
    assert not tested[:, np.fft.ifftshift(bad_pixels())].any()


def test_the_same_seed_holds_the_same_pixels_back(exact: Exact) -> None:
    np.testing.assert_array_equal(hold(exact).tested, hold(exact).tested)
    assert not np.array_equal(hold(exact).tested, hold(exact, seed=1).tested)


def test_held_back_pixels_do_not_reach_the_passes(exact: Exact, pool: ThreadPoolExecutor) -> None:
    held_back = hold(exact)
    measured = held_back.problem.measured
    assert measured.fitted is not None
    spoiled = dataclasses.replace(measured, kept=np.where(measured.fitted, measured.kept, 1e4))
    objects = []
    for one in (measured, spoiled):
        problem = dataclasses.replace(held_back.problem, measured=one)
        rng = np.random.default_rng(0)
        state = sweep(problem, exact.state(np.ones_like(exact.object_)), rng=rng, pool=pool)
        objects.append(state.object_)
    np.testing.assert_array_equal(objects[0], objects[1])


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("has_bad", [True, False])
def test_the_loss_is_that_of_the_passes(counted: Exact, noise: Noise, has_bad: bool) -> None:
    exact = with_bad(counted) if has_bad else counted
    held_back = hold(exact, noise=noise)
    state, placement = exact.state(1.1 * exact.object_), held_back.problem.placement
    fitted = held_back.problem.measured.fitted
    assert fitted is not None
    counts = np.fft.ifftshift(counted.scan.patterns[:], axes=(1, 2)).astype(np.float64)
    expected = 0.0
    for index in held_back.indexes:
        y, x = placement.whole_px[index]
        window = 1.1 * exact.object_[y : y + 32, x : x + 32]
        predicted = amplitude(window, exact.modes, placement.fractions_px[index])
        if noise != "amplitude":
            rate = predicted**2 + SMALLEST_RATE
            terms = rate - counts[index] * np.log(rate)
        else:
            terms = (predicted - np.sqrt(counts[index])) ** 2
        is_tested = ~fitted[index]
        if has_bad:
            is_tested &= ~np.fft.ifftshift(bad_pixels())
        expected += float(np.sum(terms[is_tested]))
    assert held_back.loss(state) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("noise", NOISES)
def test_the_truth_explains_held_back_pixels_better_than_anything_near(
    counted: Exact, noise: Noise
) -> None:
    held_back = hold(counted, noise=noise)
    right = counted.object_
    rng = np.random.default_rng(0)
    truth = held_back.loss(counted.state(right))
    wrong = {
        "vacuum": np.ones_like(right),
        "dim": 0.95 * right,
        "bright": 1.05 * right,
        "noisy": right * (1 + 0.05 * rng.normal(size=right.shape)),
        "elsewhere": np.roll(right, 1, axis=0),
    }
    for name, object_ in wrong.items():
        assert held_back.loss(counted.state(object_)) > truth, name


def test_no_more_patterns_are_tested_than_needed() -> None:
    exact = make_exact(TESTED_PATTERNS + 60, side=16)
    held_back = hold(exact)
    assert len(held_back.indexes) == len(held_back.tested) == TESTED_PATTERNS
    assert held_back.indexes[[0, -1]].tolist() == [0, TESTED_PATTERNS + 59]
    assert len(held_back.problem.measured.kept) == TESTED_PATTERNS + 60


@dataclasses.dataclass(frozen=True)
class Scripted(HeldBack):
    """Losses by the number of passes; those of odd ones scatter over the two patterns."""

    scatter: float

    def losses(self, state: State) -> np.ndarray:
        away = self.scatter * (state.num_passes % 2)
        return script(state.num_passes) / 2 + np.array([away, -away])


def script(number: int) -> float:
    return {1: 9.0, 2: 5.0, 3: 6.0, 4: 4.0, 5: 7.0, 6: 4.0}.get(number, 8.0)


def passes_until(
    exact: Exact, *, max_passes: int = 60, stop_after: int | None = None, scatter: float = 0.0
) -> tuple[int, list[int]]:
    """Return the best number of the script, and the passes that were made to find it."""
    made: list[int] = []

    def step(problem: Problem, state: State) -> State:
        assert problem is trial.problem
        return dataclasses.replace(state, num_passes=state.num_passes + 1)

    plain = hold(exact)
    trial = Scripted(plain.problem, plain.indexes, plain.amplitudes, plain.tested, scatter)
    number = best_number(
        trial,
        exact.state(),
        step,
        max_passes=max_passes,
        progress=lambda number, residual: made.append(number),
        should_stop=lambda: stop_after is not None and len(made) >= stop_after,
    ).number
    return number, made


def test_the_best_number_is_found_with_patience(exact: Exact) -> None:
    assert (FIRST_PASSES, PATIENCE) == (6, 4)
    # the last of equals; four passes of patience are counted from the seventh
    assert passes_until(exact) == (6, list(range(1, 11)))


def test_what_scatters_over_the_patterns_is_not_worse(exact: Exact) -> None:
    # every second pass differs from the others by ±10 a pattern: its sum of 8 − 4 tells nothing
    number, made = passes_until(exact, scatter=10.0, max_passes=9)
    assert (number, made) == (9, list(range(1, 10)))


def test_the_search_ends_where_it_must(exact: Exact) -> None:
    assert passes_until(exact, max_passes=3) == (2, [1, 2, 3])
    assert passes_until(exact, max_passes=1) == (1, [1])
    assert passes_until(exact, stop_after=2) == (2, [1, 2])


def test_noise_ends_the_passes_and_light_lets_them_go_on(pool: ThreadPoolExecutor) -> None:
    def step(problem: Problem, state: State) -> State:
        rng = np.random.default_rng([0, state.num_passes])
        return sweep(problem, state, rng=rng, pool=pool)

    numbers = []
    for counts in (300, 1e6):
        exact = with_noise(make_exact(144, counts=counts))
        start = exact.state(np.ones_like(exact.object_))
        number = best_number(
            hold(exact, noise="poisson"),
            start,
            step,
            max_passes=15,
            progress=lambda number, residual: None,
            should_stop=lambda: False,
        ).number
        numbers.append(number)
    assert numbers[0] < 8 < numbers[1]


def test_ways_are_compared_by_what_is_true_not_by_what_is_dark() -> None:
    """Where pixels count less than a photon, amplitudes are fitted best by a darker object."""
    few = with_noise(make_exact(30, counts=60))
    held_back = hold(few)
    truth, dark = few.state(few.object_), few.state(0.9 * few.object_)
    assert held_back.loss(dark) < held_back.loss(truth)
    comparable = held_back.comparable_losses
    assert comparable(truth).sum() < comparable(dark).sum()


def test_a_way_is_better_if_less_is_left(exact: Exact) -> None:
    one = Bearable(3, np.array([1.0, 2.0]))
    assert one.is_better_than(Bearable(1, np.array([2.0, 1.5])))
    assert not one.is_better_than(one)


def test_amplitudes_that_were_not_counted_are_compared_as_they_are_fitted(exact: Exact) -> None:
    held_back = hold(exact)
    measured = dataclasses.replace(held_back.problem.measured, are_photons=False)
    problem = dataclasses.replace(held_back.problem, measured=measured)
    held_back = dataclasses.replace(held_back, problem=problem)
    state = exact.state(1.1 * exact.object_)
    np.testing.assert_array_equal(held_back.comparable_losses(state), held_back.losses(state))
