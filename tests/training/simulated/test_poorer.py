"""Poor scans of a good one: fewer positions and photons, the same truth."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from ptychonyx.runtime import Scan, SimulationOptions, compare_objects, simulate_scan
from ptychonyx.runtime.errors import ScanError
from ptychonyx.training.simulated.draw import CANVAS_PX, FEWEST_PATTERNS
from ptychonyx.training.simulated.pool import Batch, Pool, Trial, stack
from ptychonyx.training.simulated.poorer import GoodScan, draw_poorer, solve_good
from ptychonyx.training.simulated.supply import Supply


@pytest.fixture(scope="module")
def scan() -> Scan:
    options = SimulationOptions(
        num_patterns=100, window_px=32, step_px=4, num_modes=1, counts_per_pattern=1e6
    )
    return simulate_scan(options, np.random.default_rng(0))


@pytest.fixture(scope="module")
def good(scan: Scan) -> GoodScan:
    return solve_good(scan)


def test_what_a_good_scan_shows_is_close_to_the_truth(scan: Scan, good: GoodScan) -> None:
    assert scan.object_ is not None
    assert scan.object_corner_px is not None
    score = compare_objects(
        good.object_,
        scan.object_,
        corner_a=good.object_corner_px,
        corner_b=scan.object_corner_px,
        region="20:60,20:60",
    )
    assert score.complex_nrmse < 0.05
    assert good.are_photons


def test_parts_have_fewer_positions_and_photons_and_a_probe_to_match(good: GoodScan) -> None:
    whole = good.counts.sum(axis=(1, 2)).mean()
    drawn = [draw_poorer(good, np.random.default_rng(seed)) for seed in range(8)]
    for one in drawn:
        measured, power = one.problem.measured, np.square(np.abs(one.probe)).sum()
        assert FEWEST_PATTERNS <= len(measured.counts) < len(good.counts)
        assert max(one.truth.shape) <= CANVAS_PX
        # power and counts have fallen alike
        dose = power / np.square(np.abs(good.probe)).sum()
        assert measured.counts.mean() == pytest.approx(dose * whole, rel=0.3)
    assert len({len(one.problem.measured.counts) for one in drawn}) > 3


def test_the_truth_lies_where_the_good_object_does(good: GoodScan) -> None:
    drawn = draw_poorer(good, np.random.default_rng(3))
    is_counted = drawn.weights == 1
    corner = np.array(drawn.problem.placement.corner_px) - good.object_corner_px
    y, x = np.nonzero(is_counted)
    np.testing.assert_array_equal(
        drawn.truth[is_counted], good.object_[y + corner[0], x + corner[1]]
    )
    assert np.abs(drawn.truth[is_counted]).min() > 0


def test_amplitudes_that_were_no_counts_keep_their_dose(good: GoodScan) -> None:
    measured = replace(good, are_photons=False, counts=good.counts + np.float32(0.3))
    drawn = draw_poorer(measured, np.random.default_rng(1))
    np.testing.assert_array_equal(drawn.probe, good.probe)


def test_a_scan_of_large_windows_has_a_larger_canvas(good: GoodScan) -> None:
    large = replace(good, counts=np.pad(good.counts, ((0, 0), (48, 48), (48, 48))))
    large = replace(large, probe=np.pad(good.probe, ((0, 0), (48, 48), (48, 48))))
    with ThreadPoolExecutor(1) as threads:
        draw = partial(draw_poorer, large)
        trial = Trial(np.random.default_rng(0), threads, last_pass=2, draw=draw)
        batch = stack([trial])
    assert batch.features.shape[-1] % 16 == 0
    assert CANVAS_PX < batch.features.shape[-1] <= large.canvas_px


def test_half_of_a_pool_is_made_of_good_scans(good: GoodScan) -> None:
    pool = Pool([3], 2, 12, [good])
    names = [trial.scan.problem.measured.scan.name for trial in _trials(pool)]
    assert 3 <= names.count(good.name) <= 9
    assert names.count("drawn") == 12 - names.count(good.name)


def test_processes_know_them_too(good: GoodScan) -> None:
    pool = Pool([4, 0], 2, 1, [good])
    with Supply([4], num_processes=1, num_groups=2, batch_size=1, good_scans=[good]) as supply:
        for number in range(3):
            here, there = pool.batch(number), supply.next_batch()
            np.testing.assert_array_equal(here.features, there.features)
            zeros = np.zeros_like(here.objects)
            pool.advance(number, zeros)
            supply.correct(zeros)


def test_too_few_patterns_are_refused(scan: Scan) -> None:
    few = Scan(scan.patterns[:10], "counts", scan.corners_px[:10], name="few")
    with pytest.raises(ScanError, match=r"'few' has 10 patterns, but .* 18 or more"):
        solve_good(few)


def _trials(pool: Pool) -> list[Trial]:
    batch: Batch = pool.batch(0)
    assert len(batch.stages) == 12
    return pool._groups[0]
