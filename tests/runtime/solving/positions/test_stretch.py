"""A turn or stretch of all positions is found, with the object, and nothing else moves."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from solver_oracle import make_exact

from ptychonyx.runtime import Scan, SimulationOptions, SolvingOptions, simulate_scan, solve
from ptychonyx.runtime.solving.options import Freedom
from ptychonyx.runtime.solving.physics.placement import place_windows
from ptychonyx.runtime.solving.positions.stretch import AFFINE, move_together, stretch_of

TURN = np.deg2rad(1) * np.array([[0.0, -1.0], [1.0, 0.0]])
WRONG: dict[Freedom, NDArray[np.float64]] = {"rigid": TURN, "affine": TURN + 0.02 * np.eye(2)}


def test_the_stretch_of_an_object_and_its_positions_is_found_and_undone() -> None:
    exact = make_exact(40, step_px=4)
    margin_px = 8
    object_ = np.pad(exact.object_, margin_px, mode="edge")
    placement = place_windows(exact.scan.corners_px, 32, margin_px=margin_px)
    middle_px = placement.corners_px.mean(axis=0)
    wrong = WRONG["affine"]
    back = np.linalg.inv(np.eye(2) + wrong)
    center_px = middle_px + 16
    moved = ndimage.affine_transform(object_, back, center_px - back @ center_px, mode="nearest")
    corners_px = placement.corners_px + (placement.corners_px - middle_px) @ wrong.T
    displaced = replace(exact.problem(), placement=place_windows(corners_px, 32, margin_px=2))
    low = np.array(displaced.placement.corner_px)
    canvas: Any = moved[low[0] :, low[1] :]
    canvas = np.pad(canvas, ((0, 20), (0, 20)), mode="edge")
    state = exact.state(canvas[: displaced.placement.shape[0], : displaced.placement.shape[1]])
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
