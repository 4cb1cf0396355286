"""A turn or stretch of all positions is found, with the object, and nothing else moves."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from solver_oracle import make_exact, stretched

from ptychonyx.runtime import Scan, SimulationOptions, SolvingOptions, simulate_scan, solve
from ptychonyx.runtime.solving.options import Freedom
from ptychonyx.runtime.solving.positions.stretch import AFFINE, move_together, stretch_of

TURN = np.deg2rad(1) * np.array([[0.0, -1.0], [1.0, 0.0]])
WRONG: dict[Freedom, NDArray[np.float64]] = {"rigid": TURN, "affine": TURN + 0.02 * np.eye(2)}


def test_the_stretch_of_an_object_and_its_positions_is_found_and_undone() -> None:
    displaced, state = stretched(make_exact(40, step_px=4), WRONG["affine"])
    back = np.linalg.inv(np.eye(2) + WRONG["affine"])
    with ThreadPoolExecutor(1) as pool:
        found = stretch_of(displaced, state, pool, directions=AFFINE)
        np.testing.assert_allclose(found, back - np.eye(2), atol=0.004)
        after = move_together(displaced, state, pool, directions=AFFINE, largest_px=2.0)
    assert after.moves is not None
    assert np.linalg.norm(after.moves.total_px, axis=1).max() <= 2.0 + 1e-9


@pytest.fixture(scope="module")
def scan() -> Scan:
    spec = SimulationOptions(num_patterns=100, window_px=32, step_px=4, counts_per_pattern=1e5)
    return simulate_scan(spec, np.random.default_rng(0))


@pytest.mark.parametrize("freedom", ["rigid", "affine"])
def test_a_common_error_of_positions_is_corrected(scan: Scan, freedom: Freedom) -> None:
    around_px = scan.corners_px - scan.corners_px.mean(axis=0)
    displaced = replace(scan, corners_px=scan.corners_px + around_px @ WRONG[freedom].T)
    options = SolvingOptions(passes=16, refine_positions=freedom, residual_patterns=0)
    product = solve(displaced, options)
    moved_px = product.corners_px - product.corners_px.mean(axis=0)
    left, *_ = np.linalg.lstsq(around_px, moved_px - around_px, rcond=None)
    # 36 px of positions tell a stretch to 0.1 px at their rim; the star's twin tells a tenth of it
    assert np.abs(left).max() < 0.4 * np.abs(WRONG[freedom]).max()
    steps_px = product.corners_px - displaced.corners_px
    fitted, *_ = np.linalg.lstsq(around_px, steps_px - steps_px.mean(axis=0), rcond=None)
    np.testing.assert_allclose(around_px @ fitted, steps_px - steps_px.mean(axis=0), atol=1e-6)
    if freedom == "rigid":
        np.testing.assert_allclose(np.diag(fitted), 0, atol=1e-3)
