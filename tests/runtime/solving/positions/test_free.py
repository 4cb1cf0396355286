"""Positions that move each by itself come back, keep their frame, and stay where they are right."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from solver_oracle import Exact, make_exact, stretched

from ptychonyx.runtime import Scan, SimulationOptions, SolvingOptions, simulate_scan, solve
from ptychonyx.runtime.solving.physics.moves import unmoved
from ptychonyx.runtime.solving.physics.placement import place_windows
from ptychonyx.runtime.solving.positions.free import FIRST_TURN_PASS, move_freely, without_stretch
from ptychonyx.runtime.solving.positions.lost import find_lost
from ptychonyx.runtime.solving.positions.slopes import slopes_of

OPTIONS = SolvingOptions(passes=16, refine_positions="free", residual_patterns=0)


def rms(vectors_px: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.square(vectors_px - vectors_px.mean(axis=0)).sum(axis=1).mean()))


@pytest.fixture(scope="module")
def scan() -> Scan:
    spec = SimulationOptions(num_patterns=64, window_px=32, step_px=3, num_modes=2)
    return simulate_scan(spec, np.random.default_rng(0))


def scattered(scan: Scan, moved_px: float) -> NDArray[np.float64]:
    noise = np.random.default_rng(1).normal(size=scan.corners_px.shape)
    return noise * moved_px / rms(noise)


def test_displaced_positions_come_back(scan: Scan) -> None:
    displaced = replace(scan, corners_px=scan.corners_px + scattered(scan, 1.0))
    product = solve(displaced, OPTIONS)
    assert rms(product.corners_px - scan.corners_px) < 0.45  # the rim tells little
    inside = np.abs(scan.corners_px - scan.corners_px.mean(axis=0)).max(axis=1) < 8
    assert rms((product.corners_px - scan.corners_px)[inside]) < 0.3
    without = solve(displaced, replace(OPTIONS, refine_positions=None))
    assert product.pass_residuals is not None
    assert without.pass_residuals is not None
    assert product.pass_residuals[-1] < 0.75 * without.pass_residuals[-1]
    np.testing.assert_array_equal(product.given_corners_px, displaced.corners_px)
    moved_px = rms(product.corners_px - displaced.corners_px)
    assert product.metadata["positions_moved_px"] == pytest.approx(moved_px, rel=1e-3)
    assert product.metadata["positions_refined"] == "free"


def test_right_positions_stay(scan: Scan) -> None:
    product = solve(scan, OPTIONS)
    assert rms(product.corners_px - scan.corners_px) < 0.1


def test_moves_keep_mean_scales_and_shear() -> None:
    rng = np.random.default_rng(0)
    corners_px = rng.uniform(0, 90, (50, 2))
    noise = without_stretch(rng.normal(size=(50, 2)), corners_px)
    stretch = np.array([[0.02, 0.01], [0.01, -0.03]])  # scales and shear, but no turn
    moves = noise + corners_px @ stretch + (3, -4)
    np.testing.assert_allclose(without_stretch(moves, corners_px), noise, atol=1e-9)


def test_a_turn_of_all_is_undone_with_the_object_and_no_window_leaves_its_bound() -> None:
    turn = np.deg2rad(1) * np.array([[0.0, -1.0], [1.0, 0.0]])
    problem, state = stretched(make_exact(40, step_px=4), turn)
    state = replace(state, num_passes=FIRST_TURN_PASS)
    corners_px = problem.placement.corners_px
    around_px = corners_px - corners_px.mean(axis=0)
    with ThreadPoolExecutor(1) as pool:
        free = move_freely(problem, state, pool, largest_px=2.0)
        bound = move_freely(problem, state, pool, largest_px=0.2)
    assert free.moves is not None
    assert bound.moves is not None
    fitted, *_ = np.linalg.lstsq(around_px, free.moves.total_px, rcond=None)
    undone = (fitted[0, 1] - fitted[1, 0]) / 2 / turn[0, 1]
    assert 0.7 < undone < 1.7  # a step over an object that stays undoes a fifth
    assert np.abs(free.object_ - state.object_).max() > 0.01
    lengths_px = np.linalg.norm(bound.moves.total_px, axis=1)
    assert lengths_px.max() < 0.2 + 1e-9
    assert (lengths_px > 0.199).sum() > 3  # each is cut by itself, others are not shortened


def test_a_lost_pattern_is_found_where_no_step_would_lead() -> None:
    exact: Exact = make_exact(40, step_px=4)
    problem = exact.problem()
    margin = place_windows(exact.scan.corners_px, 32, margin_px=4)
    state = exact.state(np.pad(exact.object_, 4, mode="edge"))
    total_px = np.zeros((40, 2))
    total_px[20] = (-3.0, 2.5)
    moves = replace(unmoved(40), total_px=total_px)
    problem, state = replace(problem, placement=margin), replace(state, moves=moves)
    with ThreadPoolExecutor(1) as pool:
        misfits = slopes_of(problem, state, pool).misfits
        found = find_lost(problem, state, misfits, pool, largest_px=4.0)
    assert found.moves is not None
    assert np.linalg.norm(found.moves.total_px, axis=1).max() < 0.5
