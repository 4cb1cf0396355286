"""A product has refined positions beside those of the scan, and the next passes go on from them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from solver_oracle import Exact

from ptychonyx.runtime import (
    Product,
    Scan,
    SimulationOptions,
    SolvingOptions,
    simulate_scan,
    solve,
    solve_halves,
)
from ptychonyx.runtime.errors import ScanError
from ptychonyx.runtime.solving.passes import Passer
from ptychonyx.runtime.solving.physics.placement import place_windows
from ptychonyx.runtime.solving.physics.sweep import State
from ptychonyx.runtime.solving.positions.bounds import FIRST_POSITION_PASS
from ptychonyx.runtime.solving.positions.mover import Mover
from ptychonyx.runtime.solving.positions.outcome import describe_moves
from ptychonyx.runtime.solving.probe.freedom import center_of
from ptychonyx.runtime.solving.setup import corners_to_start_from

OPTIONS = SolvingOptions(passes=4, refine_positions="free")


@pytest.fixture(scope="module")
def scan() -> Scan:
    spec = SimulationOptions(num_patterns=49, window_px=32, step_px=3)
    scan = simulate_scan(spec, np.random.default_rng(0))
    noise = np.random.default_rng(1).normal(size=scan.corners_px.shape)
    return replace(scan, corners_px=scan.corners_px + noise)


@pytest.fixture(scope="module")
def solved(scan: Scan) -> Product:
    return solve(scan, OPTIONS)


def test_without_the_option_nothing_moves(scan: Scan) -> None:
    product = solve(scan, SolvingOptions(passes=4))
    assert product.corners_px is scan.corners_px
    assert product.given_corners_px is None
    assert not any("positions" in name for name in product.metadata)


def test_the_product_lies_where_its_refined_positions_are(scan: Scan, solved: Product) -> None:
    np.testing.assert_array_equal(solved.given_corners_px, scan.corners_px)
    assert np.abs(solved.corners_px - scan.corners_px).max() > 0.1
    low = solved.corners_px - np.array(solved.object_corner_px)
    assert low.min() > -1
    assert (low.max(axis=0) + 32 < np.array(solved.object_.shape) + 1).all()


def test_passes_go_on_from_refined_positions_of_the_same_scan(scan: Scan, solved: Product) -> None:
    assert corners_to_start_from(scan, solved) is solved.corners_px
    other = replace(scan, corners_px=scan.corners_px + 1e-3)
    assert corners_to_start_from(other, solved) is other.corners_px
    assert corners_to_start_from(scan, None) is scan.corners_px
    again = solve(scan, SolvingOptions(passes=1), start=solved)
    np.testing.assert_allclose(again.corners_px, solved.corners_px, atol=1e-9)
    np.testing.assert_array_equal(again.given_corners_px, scan.corners_px)
    assert again.metadata["positions_refined"] == "by the start"


def test_patterns_at_the_bound_are_named(scan: Scan) -> None:
    moves_px = np.zeros_like(scan.corners_px)
    moves_px[[3, 7]] = (0, 4)
    moved = replace(scan, corners_px=scan.corners_px + moves_px)
    told = describe_moves(scan, moved, Mover("free", 4))
    assert told["positions_at_bound"] == "patterns 3, 7"
    assert told["positions_moved_px"] == pytest.approx(4 * np.sqrt(2 / 49))
    assert "positions_at_bound" not in describe_moves(scan, scan, Mover("free", 4))


def test_halves_take_the_refined_positions(scan: Scan, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("skimage", reason="scikit-image is not installed")
    from ptychonyx.runtime.solving import halves

    seen = []

    def noting(scan: Scan, *arguments: object, **options: object) -> Product:
        product = solve(scan, *arguments, **options)  # type: ignore[arg-type]
        seen.append((scan, product))
        return product

    monkeypatch.setattr(halves, "solve", noting)
    whole = solve_halves(scan, OPTIONS)
    for half, product in seen[1:]:
        assert half.position_indexes is not None
        np.testing.assert_array_equal(half.corners_px, whole.corners_px[half.position_indexes])
        assert product.given_corners_px is None


def test_too_few_patterns_have_no_positions_to_refine(scan: Scan) -> None:
    few = replace(scan, patterns=scan.patterns[:3], corners_px=scan.corners_px[:3])
    with pytest.raises(ScanError, match="Positions of 3 patterns cannot be refined"):
        solve(replace(few, position_indexes=None), OPTIONS)


@pytest.mark.parametrize("freedom", ["rigid", "affine", "free"])
def test_the_first_passes_move_nothing(
    exact: Exact, freedom: str, pool: ThreadPoolExecutor
) -> None:
    problem = exact.problem()
    margin = place_windows(exact.scan.corners_px, 32, margin_px=4)
    problem = replace(problem, placement=margin)
    state: State = exact.state(np.ones(margin.shape, np.complex128))
    intensity = state.beam.intensity
    mover = Mover(freedom, 4)  # type: ignore[arg-type]
    passer = Passer(pool, False, 0, float(intensity.sum()), center_of(intensity), mover=mover)
    for number in range(1, FIRST_POSITION_PASS + 1):
        state = passer.step(problem, state)
        assert (state.moves is None) == (number < FIRST_POSITION_PASS)
