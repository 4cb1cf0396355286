"""With the true object, brightness and background are found; without disturbances, none are."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from solver_oracle import Exact

from ptychonyx.runtime.solving.disturbances.fitter import (
    FIRST_PASS,
    LARGEST_FACTOR,
    Fitter,
    fitted_factors,
)
from ptychonyx.runtime.solving.disturbances.sums import Light
from ptychonyx.runtime.solving.options import Noise
from ptychonyx.runtime.solving.physics.disturbances import Disturbances
from ptychonyx.runtime.solving.physics.sweep import State

NUM_FITS = 40


def disturbed(exact: Exact) -> tuple[Exact, Disturbances]:
    """Return a scan whose patterns flicker over a background, and both."""
    rng = np.random.default_rng(0)
    factors = rng.uniform(0.8, 1.2, exact.scan.num_patterns)
    factors /= factors.mean()
    background = (2 + 10 * rng.random((32, 32))).astype(np.float32)
    counts = np.square(exact.scan.patterns[:]) * factors[:, None, None]
    patterns = np.sqrt(counts + np.fft.fftshift(background))
    return replace(exact, scan=replace(exact.scan, patterns=patterns)), Disturbances(
        factors, background
    )


def fitted(
    exact: Exact, state: State, fitter: Fitter, pool: ThreadPoolExecutor, noise: Noise
) -> State:
    state = replace(state, num_passes=FIRST_PASS)
    for _ in range(NUM_FITS):
        state = fitter.fit(exact.problem(noise), state, pool)
    return state


@pytest.mark.parametrize("noise", ["amplitude", "poisson"])
def test_both_are_found_with_the_true_object(
    exact: Exact, pool: ThreadPoolExecutor, noise: Noise
) -> None:
    scan, true = disturbed(exact)
    found = fitted(scan, exact.state(), Fitter(True, True), pool, noise).disturbances
    assert found is not None
    assert found.factors is not None
    assert found.background is not None
    assert true.factors is not None
    np.testing.assert_allclose(found.factors, true.factors, atol=2e-3)
    assert found.factors.mean() == pytest.approx(1)
    assert true.background is not None
    left = np.abs(found.background - true.background)
    assert np.median(left) < 0.05
    assert (left <= 0.05 * true.background + 0.05).mean() > 0.95


def test_patterns_without_disturbances_keep_theirs(exact: Exact, pool: ThreadPoolExecutor) -> None:
    found = fitted(exact, exact.state(), Fitter(True, True), pool, "amplitude").disturbances
    assert found is not None
    assert found.factors is not None
    assert found.background is not None
    np.testing.assert_allclose(found.factors, 1, atol=1e-3)
    counts = np.square(exact.scan.patterns[:]).sum() / exact.scan.num_patterns
    assert found.background.sum() < 1e-3 * counts


def test_the_first_passes_and_what_is_not_asked_for_stay(
    exact: Exact, pool: ThreadPoolExecutor
) -> None:
    scan, _ = disturbed(exact)
    early = replace(exact.state(), num_passes=FIRST_PASS - 1)
    assert Fitter(True, True).fit(scan.problem(), early, pool) is early
    late = replace(early, num_passes=FIRST_PASS)
    bright = Fitter(True, False).fit(scan.problem(), late, pool).disturbances
    dark = Fitter(False, True).fit(scan.problem(), late, pool).disturbances
    assert bright is not None
    assert dark is not None
    assert bright.background is None
    assert dark.factors is None


def test_single_patterns_do_not_run_away() -> None:
    image, counted = np.zeros((1, 1)), np.array([1.0, 1.0, 1.0, 1e6, 0.0])
    factors = fitted_factors(Light(counted, np.ones(5), image, image, image, image))
    assert factors.max() / np.median(factors) <= LARGEST_FACTOR
    assert factors.min() > 0
    assert factors.mean() == pytest.approx(1)
