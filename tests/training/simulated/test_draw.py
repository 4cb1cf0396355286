"""A scan that is drawn is explained by its truth, as far as it is believed rightly."""

from __future__ import annotations

import numpy as np
import pytest

from ptychonyx.runtime.noise import noise_of_amplitudes
from ptychonyx.runtime.solving.physics.exit_waves import make_beam, predict_amplitudes
from ptychonyx.training.simulated.draw import (
    CANVAS_PX,
    FEWEST_PATTERNS,
    MAX_PATTERNS,
    OUTER_WEIGHT,
    DrawnScan,
    draw_object,
    draw_scan,
)


def excess(drawn: DrawnScan, object_: np.ndarray) -> float:
    """Return the misfit of an object over what photon noise leaves."""
    problem, indexes = drawn.problem, np.arange(len(drawn.problem.measured.counts))
    windows = problem.placement.cut(object_, indexes)
    beam = make_beam(drawn.probe)
    predicted = predict_amplitudes(beam, windows, problem.placement.fractions_px)
    misfit = np.square(predicted - problem.measured.amplitudes(indexes)).sum()
    return float(misfit / noise_of_amplitudes(np.square(predicted)).sum())


@pytest.fixture(scope="module")
def drawn() -> list[DrawnScan]:
    return [draw_scan(np.random.default_rng(seed)) for seed in range(16)]


def test_scans_fit_the_canvas(drawn: list[DrawnScan]) -> None:
    for scan in drawn:
        shape = scan.problem.placement.shape
        assert max(shape) <= CANVAS_PX
        assert scan.truth.shape == scan.weights.shape == shape
        assert FEWEST_PATTERNS <= len(scan.problem.measured.counts) <= MAX_PATTERNS


def test_some_scans_are_right_and_some_are_wrong(drawn: list[DrawnScan]) -> None:
    found = [excess(scan, scan.truth) for scan in drawn]
    assert any(abs(each - 1) < 0.1 for each in found)  # only noise is left
    assert any(each > 1.2 for each in found)  # the probe, the positions or the background are wrong
    for scan, each in zip(drawn, found, strict=True):
        assert each < excess(scan, np.ones_like(scan.truth))


def test_weights_are_whole_inside_and_small_outside(drawn: list[DrawnScan]) -> None:
    for scan in drawn:
        assert set(np.unique(scan.weights).tolist()) <= {0.0, np.float32(OUTER_WEIGHT), 1.0}
        centers = scan.problem.placement.whole_px + scan.problem.placement.window_px // 2
        low, high = centers.min(axis=0), centers.max(axis=0)
        assert (scan.weights[: low[0]] < 1).all()
        assert scan.weights[low[0] : high[0] + 1, low[1] : high[1] + 1].mean() > 0.5


def test_a_seed_draws_the_same_scan() -> None:
    first, again = (draw_scan(np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first.problem.measured.kept, again.problem.measured.kept)
    np.testing.assert_array_equal(first.truth, again.truth)


def test_objects_have_amplitudes_and_phases_of_all_strengths() -> None:
    objects = [draw_object((48, 48), np.random.default_rng(seed)) for seed in range(40)]
    reach = [float(np.ptp(np.angle(each))) for each in objects]
    depth = [float(np.ptp(np.abs(each))) for each in objects]
    assert min(reach) < 0.4
    assert max(reach) > 2
    assert min(depth) < 0.05
    assert max(depth) > 0.4
    assert all(0.05 < np.abs(each).min() <= np.abs(each).max() < 1.06 for each in objects)
