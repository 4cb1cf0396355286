"""A pass is what its formulas say, whoever computes it, and it goes where it should."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from solver_oracle import Complex, Exact, changes, make_exact, shift, with_noise

from ptychonyx.runtime.solving.options import Noise
from ptychonyx.runtime.solving.physics.comparing import CHUNK
from ptychonyx.runtime.solving.physics.exit_waves import make_beam
from ptychonyx.runtime.solving.physics.measured import Measured
from ptychonyx.runtime.solving.physics.sweep import (
    BATCHES_PER_PASS,
    DENOMINATOR_FLOOR,
    MOMENTUM,
    Problem,
    State,
    first_step_of,
    next_step,
    num_batches,
    sweep,
)


@dataclasses.dataclass(frozen=True)
class Believed:
    """What the oracle believes after a pass."""

    object_: Complex
    last_change: Complex
    modes: Complex
    residual: float


def by_the_book(problem: Problem, state: State, seed: int, *, refine_probe: bool) -> Believed:
    """Pass once: batches of `rng`, each a weighted mean of what its patterns ask for."""
    measured, placement = problem.measured, problem.placement
    side, modes = placement.window_px, state.beam.modes.astype(np.complex128)
    object_ = state.object_ + MOMENTUM * state.last_change.astype(np.complex128)
    step = state.step
    order = np.random.default_rng(seed).permutation(len(measured.indexes))
    misfit = counts = 0.0
    for batch in np.array_split(order, min(16, len(order))):
        asked, light = np.zeros_like(object_), np.zeros(object_.shape)
        probe_asked, transmission = np.zeros_like(modes), np.zeros((side, side))
        intensity = np.sum(np.abs(modes) ** 2, axis=0)
        for number in batch:
            y, x = placement.whole_px[number]
            place = (slice(y, y + side), slice(x, x + side))
            fraction_px = placement.fractions_px[number]
            amplitudes = measured.amplitudes(np.array([number]))[0].astype(np.float64)
            good = np.ones((side, side)) if measured.good is None else measured.good.astype(float)
            of_object, of_probe = changes(
                object_[place], modes, fraction_px, amplitudes, good, problem.noise
            )
            asked[place] += of_object
            light[place] += intensity
            probe_asked += of_probe
            transmission += np.abs(object_[place]) ** 2
            waves = [np.fft.fft2(shift(m, fraction_px) * object_[place]) / side for m in modes]
            predicted = np.sqrt(np.sum(np.abs(waves) ** 2, axis=0))
            misfit += float(np.sum(good * (predicted - amplitudes) ** 2))
            counts += float(np.sum(amplitudes**2))
        object_ = object_ + step * asked / np.maximum(light, DENOMINATOR_FLOOR * intensity.max())
        if refine_probe:
            floor = DENOMINATOR_FLOOR * transmission.max()
            modes = modes + step * probe_asked / np.maximum(transmission, floor)
    return Believed(object_, object_ - state.object_, modes, misfit / counts)


def wrong_state(exact: Exact, num_passes: int = 0) -> State:
    """Return a state beside the truth that has come there by a change."""
    rng = np.random.default_rng(2)
    shape = exact.object_.shape
    noise = rng.normal(0, 0.1, (2, *shape)) + 1j * rng.normal(0, 0.1, (2, *shape))
    state = exact.state(exact.object_ * (1 + noise[0]))
    change = (0.2 * noise[1]).astype(np.complex64)
    step = 1 / (1 + 0.5 * max(0, num_passes - 4))
    return dataclasses.replace(state, last_change=change, num_passes=num_passes, step=step)


def run(
    problem: Problem,
    state: State,
    pool: ThreadPoolExecutor,
    *,
    seed: int = 5,
    refine_probe: bool = False,
) -> State:
    rng = np.random.default_rng(seed)
    return sweep(problem, state, rng=rng, pool=pool, refine_probe=refine_probe)


@pytest.mark.parametrize("refine_probe", [False, True])
@pytest.mark.parametrize(
    ("noise", "num_passes", "has_bad"),
    [("amplitude", 0, False), ("amplitude", 6, True), ("poisson", 0, True)],
)
def test_a_pass_is_what_its_formulas_say(
    exact: Exact,
    pool: ThreadPoolExecutor,
    noise: Noise,
    num_passes: int,
    has_bad: bool,
    refine_probe: bool,
) -> None:
    problem, state = exact.problem(noise), wrong_state(exact, num_passes)
    if has_bad:
        good = (np.random.default_rng(0).random((32, 32)) > 0.1).astype(np.float32)
        problem = with_measured(problem, dataclasses.replace(problem.measured, good=good))
    found = run(problem, state, pool, refine_probe=refine_probe)
    expected = by_the_book(problem, state, 5, refine_probe=refine_probe)
    change = np.linalg.norm(expected.last_change)
    assert np.linalg.norm(found.object_ - expected.object_) < 3e-5 * change
    assert np.linalg.norm(found.last_change - expected.last_change) < 3e-5 * change
    assert np.linalg.norm(found.beam.modes - expected.modes) < 1e-5 * np.linalg.norm(expected.modes)
    assert found.residual == pytest.approx(expected.residual, rel=1e-4)
    assert found.num_passes == num_passes + 1
    assert found.object_.dtype == found.beam.modes.dtype == np.complex64
    if refine_probe:
        np.testing.assert_array_equal(found.beam.spectra, make_beam(found.beam.modes).spectra)
    else:
        assert found.beam is state.beam


def with_measured(problem: Problem, measured: Measured) -> Problem:
    return dataclasses.replace(problem, measured=measured)


def test_batches_of_one_pattern_are_sequential_updates(pool: ThreadPoolExecutor) -> None:
    """With as few patterns as batches, a pass is an ePIE pass: each sees what the last one did."""
    exact = make_exact(10, num_modes=1)
    assert num_batches(10) == 10 <= BATCHES_PER_PASS
    problem = exact.problem()
    state = exact.state(wrong_state(exact).object_.astype(np.complex128))
    probe, before = exact.modes[0], state.object_.astype(np.complex128)
    object_ = before.copy()
    for number in np.random.default_rng(5).permutation(10):
        y, x = problem.placement.whole_px[number]
        window = object_[y : y + 32, x : x + 32]
        moved = shift(probe, problem.placement.fractions_px[number])
        wave = np.fft.fft2(moved * window)
        amplitudes = np.fft.ifftshift(exact.scan.patterns[number : number + 1][0]) * 32
        corrected = np.fft.ifft2(wave / np.maximum(np.abs(wave), 1e-9) * amplitudes)
        light = np.maximum(np.abs(probe) ** 2, 0.5 * np.max(np.abs(probe) ** 2))
        window += moved.conj() * (corrected - moved * window) / light
    found = run(problem, state, pool)
    change = np.linalg.norm(object_ - before)
    assert np.linalg.norm(found.object_ - object_) < 1e-3 * change  # amplitudes near 0 differ


@pytest.mark.parametrize("refine_probe", [False, True])
def test_the_number_of_threads_changes_nothing(exact: Exact, refine_probe: bool) -> None:
    many = make_exact(5 * CHUNK * BATCHES_PER_PASS // 2, side=16)  # several chunks a batch
    for one in (exact, many):
        results = []
        for num_threads in (1, 3):
            with ThreadPoolExecutor(num_threads) as threads:
                state = run(one.problem(), wrong_state(one), threads, refine_probe=refine_probe)
            results.append(state)
        np.testing.assert_array_equal(results[0].object_, results[1].object_)
        np.testing.assert_array_equal(results[0].beam.modes, results[1].beam.modes)
        assert results[0].residual == results[1].residual


def test_chunks_that_wait_are_added_in_order(
    pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = make_exact(5 * CHUNK * BATCHES_PER_PASS // 2, side=16)
    expected = run(exact.problem(), wrong_state(exact), pool)
    monkeypatch.setattr("ptychonyx.runtime.solving.physics.sweep.PATTERNS_AT_ONCE", 1)
    found = run(exact.problem(), wrong_state(exact), pool)
    np.testing.assert_array_equal(found.object_, expected.object_)
    assert found.residual == expected.residual


@pytest.mark.parametrize("noise", ["amplitude", "poisson"])
def test_what_lies_under_bad_pixels_changes_nothing(pool: ThreadPoolExecutor, noise: Noise) -> None:
    exact = make_exact(20)
    bad_pixels = np.zeros((32, 32), np.bool_)
    bad_pixels[14:18, 15] = bad_pixels[3, 20] = True  # in the middle of the light, too
    states = []
    for garbage in (0.0, 1e5, np.nan, -3.0):
        patterns = np.array(exact.scan.patterns[:])
        patterns[:, bad_pixels] = garbage
        scan = dataclasses.replace(exact.scan, patterns=patterns, bad_pixels=bad_pixels)
        problem = dataclasses.replace(exact, scan=scan).problem(noise)
        states.append(run(problem, wrong_state(exact), pool, refine_probe=True))
    for state in states[1:]:
        np.testing.assert_array_equal(state.object_, states[0].object_)
        np.testing.assert_array_equal(state.beam.modes, states[0].beam.modes)
    blind = run(exact.problem(noise), wrong_state(exact), pool, refine_probe=True)
    assert not np.array_equal(blind.object_, states[0].object_)


@pytest.mark.parametrize("noise", ["amplitude", "poisson"])
def test_the_truth_stays(exact: Exact, pool: ThreadPoolExecutor, noise: Noise) -> None:
    state = exact.state()
    for seed in range(3):
        state = run(exact.problem(noise), state, pool, seed=seed, refine_probe=True)
        assert state.residual < 1e-9
    # the amplitude's floor of 1e-3 and float32 are all that moves it
    assert np.abs(state.object_ - exact.object_).max() < 1e-4
    assert np.linalg.norm(state.beam.modes - exact.modes) < 1e-5 * np.linalg.norm(exact.modes)


@pytest.mark.parametrize("noise", ["amplitude", "poisson"])
def test_the_residual_falls_until_a_scan_without_noise_is_solved(
    exact: Exact, pool: ThreadPoolExecutor, noise: Noise
) -> None:
    problem, state = exact.problem(noise), exact.state(np.ones_like(exact.object_))
    residuals = []
    for seed in range(25):
        state = run(problem, state, pool, seed=seed)
        residuals.append(state.residual)
    assert residuals[0] > 1e-2
    assert residuals[4] < 0.2 * residuals[0]
    assert residuals[-1] < 1e-4


def test_noise_is_met_again_and_no_more(pool: ThreadPoolExecutor) -> None:
    exact = with_noise(make_exact(20, counts=2e4))
    state = run(exact.problem(), exact.state(), pool)
    # the root of a Poisson count has variance 1/4, less where counts are few; batches fit some
    noise = 0.25 * 32**2 * 20 / float(exact.scan.patterns[:].sum())
    assert 0.1 * noise < state.residual < 1.1 * noise


def test_a_pass_that_is_stopped_keeps_what_its_batches_found(
    exact: Exact, pool: ThreadPoolExecutor
) -> None:
    asked: list[int] = []

    def after_three() -> bool:
        asked.append(1)
        return len(asked) == 3

    state = exact.state(np.ones_like(exact.object_))
    rng = np.random.default_rng(5)
    stopped = sweep(exact.problem(), state, rng=rng, pool=pool, should_stop=after_three)
    whole = run(exact.problem(), state, pool)
    assert len(asked) == 3
    assert stopped.num_passes == 1
    assert 0 < np.linalg.norm(stopped.last_change) < np.linalg.norm(whole.last_change)
    np.testing.assert_array_equal(state.object_, 1)  # what was given is not touched


def test_steps_shrink_only_where_the_residual_no_longer_falls() -> None:
    state = dataclasses.replace(make_exact(4).state(), residual=0.1)
    assert next_step(dataclasses.replace(state, num_passes=1), 0.2) == 1.0  # early passes stay full
    late = dataclasses.replace(state, num_passes=8)
    assert next_step(late, 0.09) == 1.0
    assert next_step(late, 0.0999) == pytest.approx(1 / 1.5)
    gentle = dataclasses.replace(late, first_step=0.5, step=0.25)
    assert next_step(gentle, 0.1) == pytest.approx(1 / (4 + 1))
    assert next_step(late, float("nan")) < 1


@pytest.mark.parametrize("counts", [5e2, 1e5])
def test_the_first_step_is_the_share_that_is_not_noise(counts: float) -> None:
    exact = with_noise(make_exact(40, counts=counts))
    problem, modes = exact.problem(), exact.modes.astype(np.complex64)
    truth = exact.object_.astype(np.complex64)
    vacuum = np.ones_like(truth)
    assert first_step_of(problem, truth, modes) < 0.1  # all that is left is noise
    of_vacuum = first_step_of(problem, vacuum, modes)
    assert of_vacuum > 0.95 if counts > 1e4 else of_vacuum < 0.6


def test_a_pass_has_at_most_sixteen_batches() -> None:
    assert [num_batches(num) for num in (1, 15, 16, 1000)] == [1, 15, 16, 16]
