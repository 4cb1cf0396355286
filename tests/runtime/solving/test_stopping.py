"""Counts that are held back are no one's but the judge's, and tell the truth from vacuum."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from solver_oracle import Exact, amplitude, make_exact, with_noise

from ptychonyx.runtime.solving.physics.sweep import Problem, State, sweep
from ptychonyx.runtime.solving.stopping import (
    FIRST_PASSES,
    HELD_PIXELS,
    HELD_SHARE,
    PATIENCE,
    SMALLEST_RATE,
    TESTED_PATTERNS,
    HeldBack,
    best_number,
    hold_back,
)


@pytest.fixture(scope="module")
def counted() -> Exact:
    """Return thirty patterns of photon counts."""
    return with_noise(make_exact(30, counts=2e4))


def as_roots(exact: Exact) -> Exact:
    """Return the same counts, stored as amplitudes."""
    roots = np.sqrt(exact.scan.patterns[:]).astype(np.float32)
    return with_patterns(exact, roots)


def with_patterns(exact: Exact, amplitudes: np.ndarray) -> Exact:
    scan = dataclasses.replace(exact.scan, patterns=amplitudes, quantity="amplitude")
    return dataclasses.replace(exact, scan=scan)


def with_bad(exact: Exact) -> Exact:
    scan = dataclasses.replace(exact.scan, bad_pixels=bad_pixels())
    return dataclasses.replace(exact, scan=scan)


def bad_pixels() -> np.ndarray:
    mask = np.zeros((32, 32), np.bool_)
    mask[14:17, 15:18] = True
    return mask


def hold(exact: Exact, seed: int = 0) -> HeldBack:
    return hold_back(exact.problem(), np.random.default_rng(seed))


@pytest.mark.parametrize("change", [lambda exact: exact, as_roots])
def test_every_photon_is_either_fitted_or_held_back(
    counted: Exact, change: Callable[[Exact], Exact]
) -> None:
    held_back = hold(change(counted))
    counts = np.fft.ifftshift(counted.scan.patterns[:], axes=(1, 2))
    fitted = np.square(held_back.problem.measured.kept)
    np.testing.assert_array_equal(held_back.indexes, np.arange(30))
    np.testing.assert_allclose(held_back.held + fitted, counts, rtol=1e-5)
    np.testing.assert_array_equal(held_back.held, np.rint(held_back.held))
    share = float(held_back.held.sum()) / counts.sum()
    assert share == pytest.approx(HELD_SHARE, rel=0.01)
    assert held_back.ratio == pytest.approx(share / (1 - share), rel=0.02)
    totals = held_back.problem.measured.counts
    np.testing.assert_allclose(totals, fitted.sum(axis=(1, 2)), rtol=1e-5)
    assert held_back.problem.measured.fitted is None


def test_the_same_seed_holds_the_same_photons_back(counted: Exact) -> None:
    np.testing.assert_array_equal(hold(counted).held, hold(counted).held)
    assert not np.array_equal(hold(counted).held, hold(counted, seed=1).held)


def test_pixels_are_held_back_where_amplitudes_tell_no_photons(exact: Exact) -> None:
    held_back, problem = hold(exact), exact.problem()
    fitted = held_back.problem.measured.fitted
    assert fitted is not None
    assert held_back.ratio == 1
    assert fitted.mean() == pytest.approx(1 - HELD_PIXELS, abs=0.003)
    np.testing.assert_array_equal(held_back.tested, ~fitted[held_back.indexes])
    np.testing.assert_array_equal(held_back.problem.measured.kept, problem.measured.kept)
    np.testing.assert_array_equal(held_back.held, np.square(problem.measured.kept))


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


@pytest.mark.parametrize("is_counts", [True, False])
@pytest.mark.parametrize("has_bad", [True, False])
def test_the_deviance_is_that_of_poisson_counts(
    counted: Exact, exact: Exact, is_counts: bool, has_bad: bool
) -> None:
    plain = counted if is_counts else exact
    held_back = hold(with_bad(plain) if has_bad else plain)
    state, placement = plain.state(1.1 * plain.object_), held_back.problem.placement
    expected = 0.0
    for index, held in zip(held_back.indexes, held_back.held.astype(np.float64), strict=True):
        y, x = placement.whole_px[index]
        window = 1.1 * plain.object_[y : y + 32, x : x + 32]
        rate = amplitude(window, plain.modes, placement.fractions_px[index]) ** 2
        rate = rate * (1 / 9 if is_counts else 1) + SMALLEST_RATE
        is_tested = np.ones((32, 32), np.bool_)
        if has_bad:
            is_tested &= ~np.fft.ifftshift(bad_pixels())
        if not is_counts:
            fitted = held_back.problem.measured.fitted
            assert fitted is not None
            is_tested &= ~fitted[index]
        expected += float(np.sum((rate - held * np.log(rate))[is_tested]))
    assert held_back.deviance(state) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("is_counts", [True, False])
def test_the_truth_explains_held_back_counts_better_than_anything_near(
    counted: Exact, exact: Exact, is_counts: bool
) -> None:
    plain = counted if is_counts else exact
    held_back = hold(plain)
    share = 1 - HELD_SHARE if is_counts else 1.0  # the passes fit what is left of the counts
    right = plain.object_ * share**0.5
    rng = np.random.default_rng(0)
    truth = held_back.deviance(plain.state(right))
    wrong = {
        "vacuum": np.ones_like(right),
        "dim": 0.95 * right,
        "bright": 1.05 * right,
        "noisy": right * (1 + 0.05 * rng.normal(size=right.shape)),
        "elsewhere": np.roll(right, 1, axis=0),
    }
    for name, object_ in wrong.items():
        assert held_back.deviance(plain.state(object_)) > truth, name


def test_no_more_patterns_are_tested_than_needed() -> None:
    exact = make_exact(TESTED_PATTERNS + 60, side=16)
    held_back = hold(exact)
    assert len(held_back.indexes) == len(held_back.held) == TESTED_PATTERNS
    assert held_back.indexes[[0, -1]].tolist() == [0, TESTED_PATTERNS + 59]
    assert len(held_back.problem.measured.kept) == TESTED_PATTERNS + 60


@dataclasses.dataclass(frozen=True)
class Scripted(HeldBack):
    """Deviances by the number of passes; those of odd ones scatter over the two patterns."""

    scatter: float

    def deviances(self, state: State) -> np.ndarray:
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
    trial = Scripted(plain.problem, plain.indexes, plain.held, plain.ratio, plain.tested, scatter)
    number = best_number(
        trial,
        exact.state(),
        step,
        max_passes=max_passes,
        progress=lambda number, residual: made.append(number),
        should_stop=lambda: stop_after is not None and len(made) >= stop_after,
    )
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
        exact = with_noise(make_exact(36, counts=counts))
        start = exact.state(np.ones_like(exact.object_))
        number = best_number(
            hold(exact),
            start,
            step,
            max_passes=15,
            progress=lambda number, residual: None,
            should_stop=lambda: False,
        )
        numbers.append(number)
    assert numbers[0] < 8 < numbers[1]
