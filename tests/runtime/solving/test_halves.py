"""Two halves of a scan share no pattern, cover the same area, and agree as far as the data go."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ptychonyx.runtime import load_probe, load_product, load_scan, save_product
from ptychonyx.runtime.comparison.region import parse_region
from ptychonyx.runtime.comparison.ring_correlation import half_bit_period_px
from ptychonyx.runtime.errors import ScanError
from ptychonyx.runtime.product import Product
from ptychonyx.runtime.scan import Scan
from ptychonyx.runtime.simulation.positions import POSITIONS
from ptychonyx.runtime.simulation.scan import SimulationOptions, simulate_scan
from ptychonyx.runtime.solving.halves import solve_halves, split_positions
from ptychonyx.runtime.solving.options import SolvingOptions
from ptychonyx.runtime.solving.solve import solve

pytest.importorskip("skimage", reason="scikit-image is not installed")

FIVE_PASSES = SolvingOptions(passes=5)


def simulated(counts_per_pattern: float, *, num_patterns: int = 80) -> Scan:
    spec = SimulationOptions(
        num_patterns=num_patterns,
        window_px=32,
        step_px=4,
        num_modes=1,
        counts_per_pattern=counts_per_pattern,
    )
    return simulate_scan(spec, np.random.default_rng(1))


def shuffled_grid(num: int, step_px: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return an exact raster whose patterns were taken in any order."""
    side = int(np.sqrt(num))
    return np.asarray(rng.permutation(step_px * np.indices((side, side)).reshape(2, -1).T))


@pytest.mark.parametrize("name", [*POSITIONS, "grid"])
@pytest.mark.parametrize("num", [36, 500])
def test_halves_are_disjoint_and_both_cover_the_area(name: str, num: int) -> None:
    place = POSITIONS.get(name, shuffled_grid)
    positions = place(num, 5.0, np.random.default_rng(0))
    halves = split_positions(positions)
    np.testing.assert_array_equal(np.sort(np.concatenate(halves)), np.arange(len(positions)))
    assert abs(len(halves[0]) - len(halves[1])) <= 1
    distances = np.hypot(*(positions[:, None] - positions[None]).transpose(2, 0, 1))
    fifth = np.sort(distances, axis=1)[:, 5]  # a deal by lot leaves many without
    for half in halves:
        assert (np.diff(half) > 0).all()
        assert (distances[:, half].min(axis=1) <= fifth).all()


def test_positions_that_repeat_are_dealt_out_evenly() -> None:
    positions = np.repeat([[0.0, 0.0], [9.0, 3.0], [4.0, 8.0]], 4, axis=0)
    for half in split_positions(positions):
        assert np.bincount(half // 4).tolist() == [2, 2, 2]


def test_more_photons_give_a_finer_resolution() -> None:
    periods_px = [
        float(solve_halves(simulated(dose), FIVE_PASSES).metadata["resolution_px"])
        for dose in (1e3, 1e6)
    ]
    assert periods_px[1] < 0.7 * periods_px[0]


def test_noise_has_no_resolution_to_speak_of() -> None:
    product = solve_halves(simulated(5), FIVE_PASSES)
    assert float(product.metadata["resolution_px"]) > 12
    assert product.ring_correlation is not None
    assert np.abs(product.ring_correlation[1, 8:]).mean() < 0.3


@pytest.fixture(scope="module")
def solved() -> Product:
    return solve_halves(simulated(1e5), FIVE_PASSES)


def test_the_product_is_that_of_the_whole_scan(solved: Product) -> None:
    alone = solve(simulated(1e5), FIVE_PASSES)
    np.testing.assert_array_equal(solved.object_, alone.object_)
    np.testing.assert_array_equal(solved.probe, alone.probe)
    assert solved.num_patterns_used == 80
    assert solved.metadata["passes"] == 5


def test_curve_and_resolution_belong_together(solved: Product) -> None:
    assert solved.ring_correlation is not None
    assert solved.coverage is not None
    frequencies, correlation, _ = solved.ring_correlation
    period_px = float(solved.metadata["resolution_px"])
    assert period_px == half_bit_period_px(solved.ring_correlation)
    assert solved.metadata["resolution_nm"] == pytest.approx(period_px * 28)
    assert (correlation[frequencies < 0.1] > 0.9).all()
    box = parse_region(str(solved.metadata["resolution_region"]))
    assert 1 / frequencies[1] == pytest.approx(min(box.shape))
    assert (solved.coverage[box.slices] > 0).all()


@pytest.mark.parametrize("suffix", [".h5", ".npz"])
def test_curve_and_resolution_are_stored(solved: Product, suffix: str, tmp_path: Path) -> None:
    save_product(solved, tmp_path / f"product{suffix}")
    read = load_product(tmp_path / f"product{suffix}")
    assert read.ring_correlation is not None
    np.testing.assert_array_equal(read.ring_correlation, solved.ring_correlation)
    assert read.metadata["resolution_px"] == solved.metadata["resolution_px"]


def test_nanometres_need_a_pixel_size_and_refined_probes_are_shared() -> None:
    scan = replace(simulated(1e5), pixel_size_m=None, frame=None, object_=None)
    product = solve_halves(scan, replace(FIVE_PASSES, refine_probe=True))
    assert 2 <= float(product.metadata["resolution_px"]) < 6
    assert "resolution_nm" not in product.metadata
    assert product.metadata["probe_refined"] is True


def test_halves_of_a_scan_that_starts_from_a_result_do_not(solved: Product) -> None:
    """A start that knows all patterns would carry the same noise into both."""
    scan, calls = simulated(20), list[tuple[int, int]]()
    start = solve(scan, FIVE_PASSES)
    product = solve_halves(
        scan,
        SolvingOptions(passes=2, solver="none"),
        start=start,
        progress=lambda done, most, _: calls.append((done, most)),
    )
    assert calls == [(1, 2), (2, 2), *[(number, 10) for number in range(1, 11)] * 2]
    assert float(product.metadata["resolution_px"]) > 6


def test_halves_that_share_no_area_say_so() -> None:
    scan = simulated(1e5, num_patterns=4)
    corners_px = np.array([[0.0, 0.0], [0.0, 1.0], [100.0, 0.0], [100.0, 1.0]])
    apart = replace(scan, corners_px=corners_px, frame=None, object_=None)
    product = solve_halves(apart, FIVE_PASSES)
    assert product.ring_correlation is None
    assert "resolution_px" not in product.metadata
    assert product.metadata["resolution_missing"] == "the beams of a half hardly overlap"


@pytest.mark.parametrize(
    ("passes_before", "is_complete", "why"), [(3, False, "the scan"), (7, True, "the halves")]
)
def test_an_interrupt_leaves_what_is_there(passes_before: int, is_complete: bool, why: str) -> None:
    done: list[int] = []
    product = solve_halves(
        simulated(1e5),
        FIVE_PASSES,
        progress=lambda number, *_: done.append(number),
        should_stop=lambda: len(done) >= passes_before,
    )
    assert product.complete == is_complete
    assert product.ring_correlation is None
    assert str(product.metadata["resolution_missing"]).startswith(why)


def test_halves_too_small_for_a_background_say_so() -> None:
    spec = SimulationOptions(num_patterns=25, window_px=32, step_px=4)
    scan = simulate_scan(spec, np.random.default_rng(0))
    product = solve_halves(scan, SolvingOptions(passes=8, refine_background=True))
    assert product.background is not None
    assert "too few patterns" in str(product.metadata["resolution_missing"])


def test_one_pattern_has_no_halves() -> None:
    with pytest.raises(ScanError, match="halves need at least 2"):
        solve_halves(simulated(1e5, num_patterns=1))


@pytest.mark.integration
def test_the_real_star_has_a_resolution(star: Path) -> None:
    scan = load_scan(star / "siemens64.npz", quantity="counts")
    probe = load_probe(star / "siemens64_reference_3modes.npz")
    product = solve_halves(scan, SolvingOptions(passes=10), probe=probe)
    assert 2 <= float(product.metadata["resolution_px"]) < 8
