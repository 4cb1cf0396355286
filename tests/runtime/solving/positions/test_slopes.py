"""Slopes of the misfit are those of finite differences in float64."""

from __future__ import annotations

import numpy as np
import pytest
from solver_oracle import Complex, Exact, Real, amplitude, make_exact

from ptychonyx.runtime.solving.physics.exit_waves import make_beam
from ptychonyx.runtime.solving.positions.free import gauss_newton_steps
from ptychonyx.runtime.solving.positions.slopes import Slopes, slopes_of_batch

STEP_PX = 1e-4
CLOSE = 2e-3
"""Of the largest: where hardly any light is, amplitudes have `SMALLEST_AMPLITUDE` added."""


def batch(exact: Exact) -> tuple[Complex, Real, Real]:
    problem, chosen = exact.problem(), np.arange(4, 8)
    windows = problem.placement.cut(exact.object_.astype(np.complex64), chosen)
    fractions_px = problem.placement.fractions_px[chosen]
    measured = problem.measured.amplitudes(chosen).astype(np.float64)
    return windows.astype(np.complex128), fractions_px, measured


def slopes(exact: Exact, fractions_px: Real, good: Real | None = None) -> Slopes:
    windows, _, measured = batch(exact)
    return slopes_of_batch(
        make_beam(exact.modes.astype(np.complex64)),
        windows.astype(np.complex64),
        fractions_px,
        measured.astype(np.float32),
        good=None if good is None else good.astype(np.float32),
    )


@pytest.mark.parametrize("num_modes", [1, 3])
@pytest.mark.parametrize("has_bad_pixels", [False, True])
def test_slopes_are_those_of_finite_differences(num_modes: int, has_bad_pixels: bool) -> None:
    exact = make_exact(16, num_modes=num_modes)
    windows, fractions_px, measured = batch(exact)
    wrong_px = fractions_px + np.random.default_rng(0).uniform(-0.8, 0.8, fractions_px.shape)
    good = np.ones((32, 32))
    if has_bad_pixels:
        good = (np.random.default_rng(1).random((32, 32)) > 0.2).astype(np.float64)
    found = slopes(exact, wrong_px, good if has_bad_pixels else None)
    for number, window in enumerate(windows):

        def predicted(offset_px: Real, window: Complex = window, number: int = number) -> Real:
            return good * amplitude(window, exact.modes, wrong_px[number] + offset_px)

        along = [
            (predicted(STEP_PX * axis) - predicted(-STEP_PX * axis)) / (2 * STEP_PX)
            for axis in np.eye(2)
        ]
        left = good * measured[number] - predicted(np.zeros(2))
        pulls = np.array([np.vdot(slope, left) for slope in along])
        curvatures = np.array([[np.vdot(a, b) for a in along] for b in along])
        np.testing.assert_allclose(found.pulls[number], pulls, atol=CLOSE * np.abs(pulls).max())
        np.testing.assert_allclose(
            found.curvatures[number], curvatures, atol=CLOSE * np.abs(curvatures).max()
        )
        assert found.misfits[number] == pytest.approx(np.square(left).sum(), rel=CLOSE)


def test_a_few_steps_lead_back_to_the_true_place() -> None:
    exact = make_exact(16)
    _, true_px, _ = batch(exact)
    moved_px = true_px + np.random.default_rng(0).uniform(-0.7, 0.7, true_px.shape)
    for _ in range(6):
        moved_px = moved_px + gauss_newton_steps(slopes(exact, moved_px))
    assert np.abs(moved_px - true_px).max() < 0.02
