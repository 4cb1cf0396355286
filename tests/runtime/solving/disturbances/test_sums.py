"""Sums over patterns are those of a loop in float64, and slopes those of finite differences."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from solver_oracle import Exact, Real, amplitude

from ptychonyx.runtime.solving.disturbances.sums import light_of
from ptychonyx.runtime.solving.options import Noise
from ptychonyx.runtime.solving.physics.disturbances import Disturbances
from ptychonyx.runtime.solving.physics.exit_waves import SMALLEST_RATE

CHOSEN = np.arange(5, 30, 3)


def some_disturbances(num: int) -> Disturbances:
    rng = np.random.default_rng(0)
    return Disturbances(rng.uniform(0.7, 1.3, num), 40 * rng.random((32, 32), np.float32))


def rates_of(exact: Exact, wrong: Real) -> tuple[Real, Real]:
    """Return A² of some patterns for an object times `wrong`, and their counts, DC at [0, 0]."""
    problem = exact.problem()
    windows = problem.placement.cut((wrong * exact.object_).astype(np.complex64), CHOSEN)
    fractions_px = problem.placement.fractions_px[CHOSEN]
    rates = [
        amplitude(window.astype(np.complex128), exact.modes, fraction) ** 2
        for window, fraction in zip(windows, fractions_px, strict=True)
    ]
    return np.array(rates), problem.measured.amplitudes(CHOSEN).astype(np.float64) ** 2


def misfit(rate: Real, counts: Real, noise: Noise) -> Real:
    """Return L of each pixel, with the same floor as the code's."""
    if noise == "amplitude":
        return np.asarray(0.5 * (np.sqrt(rate) - np.sqrt(counts)) ** 2)
    return np.asarray(0.25 * (rate - counts * np.log(rate)))


@pytest.mark.parametrize("noise", ["amplitude", "poisson"])
def test_light_is_summed_as_by_the_book(
    exact: Exact, pool: ThreadPoolExecutor, noise: Noise
) -> None:
    wrong = 1 + 0.1 * np.random.default_rng(1).normal(size=exact.object_.shape)
    disturbances = some_disturbances(exact.scan.num_patterns)
    state = replace(exact.state(wrong * exact.object_), disturbances=disturbances)
    found = light_of(exact.problem(noise), state, pool, chosen=CHOSEN)
    rates, counts = rates_of(exact, wrong)
    factors, background = disturbances.factors, disturbances.background
    assert factors is not None
    assert background is not None
    expected = factors[CHOSEN, None, None] * rates + background
    np.testing.assert_allclose(found.predicted, rates.sum(axis=(1, 2)), rtol=1e-4)
    np.testing.assert_allclose(found.counted, (counts - background).sum(axis=(1, 2)), rtol=1e-4)
    largest = np.abs(counts - expected).sum(axis=0).max()
    np.testing.assert_allclose(found.surplus, (counts - expected).sum(axis=0), atol=1e-4 * largest)
    step = 1e-3 * (expected + SMALLEST_RATE)
    below, at, above = (misfit(expected + each * step, counts, noise) for each in (-1, 0, 1))
    is_bright = expected.min(axis=0) > 30  # where the floor does not matter
    assert is_bright.sum() > 100
    pull = -((above - below) / (2 * step)).sum(axis=0)
    curvature = ((above - 2 * at + below) / step**2).sum(axis=0)
    steepest = np.abs(pull[is_bright]).max()
    np.testing.assert_allclose(found.pull[is_bright], pull[is_bright], atol=0.02 * steepest)
    np.testing.assert_allclose(found.curvature[is_bright], curvature[is_bright], rtol=0.03)


def test_bad_pixels_say_nothing(exact: Exact, pool: ThreadPoolExecutor) -> None:
    bad = np.zeros((32, 32), bool)
    bad[16, 16] = True  # DC
    masked = replace(exact, scan=replace(exact.scan, bad_pixels=bad))
    light = light_of(masked.problem(), masked.state(), pool)
    assert light.num[0, 0] == light.surplus[0, 0] == light.pull[0, 0] == light.curvature[0, 0] == 0
    assert light.num[0, 1] == exact.scan.num_patterns
    whole = light_of(exact.problem(), exact.state(), pool)
    assert (light.predicted < whole.predicted).all()
