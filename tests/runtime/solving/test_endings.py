"""Passes end when they are asked to, and what cannot be solved is refused before the first."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from ptychonyx.runtime import Product, Scan, SimulationOptions, SolvingOptions, simulate_scan, solve
from ptychonyx.runtime.errors import OverlapError, ScanError
from ptychonyx.runtime.solving import stopping
from ptychonyx.runtime.solving.options import MAX_PASSES
from ptychonyx.runtime.solving.physics.sweep import Problem, State

SIDE = 32
Report = tuple[int, int, float]


@pytest.fixture(scope="module")
def scan() -> Scan:
    options = SimulationOptions(num_patterns=36, window_px=SIDE, step_px=3, num_modes=1)
    return simulate_scan(options, np.random.default_rng(0))


def test_each_pass_is_reported(scan: Scan) -> None:
    reports: list[Report] = []
    product = solve(scan, SolvingOptions(passes=3), progress=lambda *report: reports.append(report))
    assert [report[:2] for report in reports] == [(1, 3), (2, 3), (3, 3)]
    assert product.pass_residuals is not None
    assert [report[2] for report in reports] == product.pass_residuals.tolist()


def test_an_interrupted_scan_is_not_complete(scan: Scan) -> None:
    reports: list[Report] = []

    def in_the_third_pass() -> bool:
        return len(reports) >= 2

    product = solve(
        scan,
        SolvingOptions(passes=50),
        progress=lambda *report: reports.append(report),
        should_stop=in_the_third_pass,
    )
    assert not product.complete
    assert product.metadata["stopped"] == "it was interrupted"
    assert product.metadata["passes"] == len(reports) == 2
    assert product.pattern_residuals is None  # no time is spent on it
    assert np.isfinite(product.object_).all()


def test_who_stops_at_once_gets_what_one_batch_found(scan: Scan) -> None:
    product = solve(scan, SolvingOptions(passes=50), should_stop=lambda: True)
    assert not product.complete
    assert product.metadata["passes"] == 1
    assert product.object_.any()


@pytest.mark.parametrize("passes", ["auto", 50])
def test_a_budget_below_one_pass_is_refused(scan: Scan, passes: int | str) -> None:
    with pytest.raises(ValueError, match=r"The budget of 1e-09 s is below one pass: .* Give more"):
        solve(scan, SolvingOptions(passes=passes, budget_s=1e-9))


def test_an_ample_budget_makes_all_passes(scan: Scan) -> None:
    reports: list[Report] = []
    product = solve(
        scan,
        SolvingOptions(budget_s=1e6),
        progress=lambda *report: reports.append(report),
    )
    assert product.metadata["stopped"] == "all passes were made within the budget"
    assert [report[:2] for report in reports] == [(n, MAX_PASSES) for n in range(1, MAX_PASSES + 1)]


def test_a_budget_that_is_not_spent_changes_nothing(scan: Scan) -> None:
    plain, ample = (
        solve(scan, SolvingOptions(passes=3, budget_s=budget_s)) for budget_s in (None, 1e6)
    )
    np.testing.assert_array_equal(ample.object_, plain.object_)
    assert ample.metadata["stopped"] == plain.metadata["stopped"] == "the passes asked for are done"


def dimmed(scan: Scan) -> Scan:
    """Return a thousandth of the photons."""
    counts = scan.patterns[:].astype(int)
    return dataclasses.replace(scan, patterns=np.random.default_rng(0).binomial(counts, 1e-3))


def test_light_enough_needs_no_trial(scan: Scan) -> None:
    product = solve(scan)
    assert product.metadata["passes"] == MAX_PASSES
    assert "photon noise is too small" in str(product.metadata["stopped"])


def test_the_automatic_number_is_found_by_trial_and_said(scan: Scan) -> None:
    dim = dimmed(scan)
    reports: list[Report] = []
    alone = SolvingOptions(solver="none")
    product = solve(dim, alone, progress=lambda *report: reports.append(report))
    trial = [report for report in reports if report[0] == 0]
    number = len(reports) - len(trial)
    assert 1 <= number <= len(trial) <= MAX_PASSES
    assert [report[1] for report in trial] == list(range(1, len(trial) + 1))
    assert [report[:2] for report in reports[len(trial) :]] == [
        (done, number) for done in range(1, number + 1)
    ]
    assert product.metadata["passes"] == number
    assert str(product.metadata["stopped"]).startswith(f"after {number} passes, pixels that were")
    same = solve(dim, SolvingOptions(passes=number, solver="none"))
    np.testing.assert_array_equal(same.object_, product.object_)  # it runs on all counts


def test_a_large_scan_is_tried_in_its_middle(scan: Scan, monkeypatch: pytest.MonkeyPatch) -> None:
    trials: list[tuple[Problem, State]] = []
    best_number = stopping.best_number

    def spy(
        held_back: stopping.HeldBack, state: State, *others: Any, **options: Any
    ) -> stopping.Bearable:
        trials.append((held_back.problem, state))
        return best_number(held_back, state, *others, **options)

    monkeypatch.setattr("ptychonyx.runtime.solving.plan.TRIAL_PATTERNS", 10)
    monkeypatch.setattr("ptychonyx.runtime.solving.plan.MAX_PASSES", 3)
    monkeypatch.setattr("ptychonyx.runtime.solving.plan.best_number", spy)
    product = solve(scan, SolvingOptions(solver="none"), start=as_product(scan))
    assert product.num_patterns_used == 36
    assert product.metadata["passes"] in (1, 2, 3)
    [(problem, state)] = trials
    assert len(problem.measured.indexes) == 10
    # its start is that part of the whole start which these patterns see
    assert scan.object_ is not None
    windows = problem.placement.cut(state.object_, np.arange(10))
    corners = np.rint(scan.corners_px[problem.measured.indexes]).astype(int).tolist()
    expected = np.stack([scan.object_[y : y + SIDE, x : x + SIDE] for y, x in corners])
    factor = windows[0, 0, 0] / expected[0, 0, 0]
    np.testing.assert_allclose(windows, factor * expected, rtol=1e-5)


def as_product(scan: Scan) -> Product:
    assert scan.object_ is not None
    assert scan.probe is not None
    indexes = np.arange(scan.num_patterns)
    return Product(scan.object_, (0, 0), scan.corners_px, indexes, SIDE, scan.probe)


def test_a_stop_in_the_trial_ends_everything(scan: Scan) -> None:
    reports: list[Report] = []
    product = solve(
        dimmed(scan),
        progress=lambda *report: reports.append(report),
        should_stop=lambda: len(reports) >= 2,
    )
    assert not product.complete
    assert [report[0] for report in reports] == [0, 0, 1]


def make_start(side: int) -> Product:
    probe = np.ones((1, side, side), np.complex64)
    object_ = np.ones((60, 60), np.complex64)
    return Product(object_, (0, 0), np.zeros((1, 2)), np.arange(1), side, probe)


def test_a_probe_of_another_size_is_refused(scan: Scan) -> None:
    for shape in ((1, 16, 16), (SIDE, SIDE)):
        with pytest.raises(ValueError, match=r"The given probe has shape .* are 32×32; give"):
            solve(scan, probe=np.ones(shape, np.complex64))


def test_a_start_of_another_size_is_refused(scan: Scan) -> None:
    with pytest.raises(ValueError, match=r"made of 16×16 patterns, but those of .* are 32×32"):
        solve(scan, start=make_start(16))


def test_one_pattern_solves_no_probe(scan: Scan) -> None:
    alone = dataclasses.replace(
        scan,
        patterns=scan.patterns[:1],
        corners_px=scan.corners_px[:1],
        position_indexes=np.arange(1),
    )
    with pytest.raises(ScanError, match="A probe cannot be refined with a single pattern"):
        solve(alone, SolvingOptions(refine_probe=True))
    with pytest.raises(OverlapError, match="The beams of the 1 patterns hardly overlap"):
        solve(alone, SolvingOptions(passes=2))


def test_beams_that_do_not_overlap_are_refused(scan: Scan) -> None:
    apart = dataclasses.replace(scan, corners_px=scan.corners_px * 50, frame=None, object_=None)
    with pytest.raises(OverlapError, match="smaller steps"):
        solve(apart, SolvingOptions(passes=2))


def test_patterns_that_cannot_be_used_are_refused(scan: Scan) -> None:
    dark = dataclasses.replace(scan, patterns=np.zeros((36, SIDE, SIDE)))
    with pytest.raises(ScanError, match="All diffraction patterns are zero"):
        solve(dark)
    patterns = scan.patterns[:].astype(float)
    patterns[7, 0, 0] = np.nan
    with pytest.raises(ScanError, match="Pattern 7 holds a value that is not a finite number"):
        solve(dataclasses.replace(scan, patterns=patterns))


def test_some_dark_patterns_do_no_harm(scan: Scan) -> None:
    patterns = scan.patterns[:].astype(float)
    patterns[:5] = 0
    product = solve(dataclasses.replace(scan, patterns=patterns), SolvingOptions(passes=3))
    assert np.isfinite(product.object_).all()
