"""Passes that start from a product go on with the brightness and background that were fitted there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ptychonyx.cli.outcome import describe_outcome
from ptychonyx.runtime import Product, Scan, SimulationOptions, SolvingOptions, simulate_scan, solve
from ptychonyx.runtime.belief import needs

PLAIN = SolvingOptions(passes=3, solver="none")


@pytest.fixture(scope="module")
def disturbed() -> Scan:
    spec = SimulationOptions(num_patterns=100, window_px=32, step_px=3, counts_per_pattern=1e6)
    scan, rng = simulate_scan(spec, np.random.default_rng(0)), np.random.default_rng(1)
    counts = scan.patterns[:] * rng.uniform(0.8, 1.2, scan.num_patterns)[:, None, None]
    background = rng.poisson(0.05 * scan.patterns[:].mean(), counts.shape)
    return replace(scan, patterns=np.rint(counts + background).astype(np.int64))


@pytest.fixture(scope="module")
def first(disturbed: Scan) -> Product:
    options = replace(PLAIN, passes=20, refine_intensity=True, refine_background=True)
    return solve(disturbed, options)


def test_both_stay_as_they_were_fitted(disturbed: Scan, first: Product, tmp_path: Path) -> None:
    further = solve(disturbed, PLAIN, start=first)
    np.testing.assert_array_equal(further.pattern_factors, first.pattern_factors)
    np.testing.assert_array_equal(further.background, first.background)
    assert needs(further) == []
    assert float(further.metadata["residual"]) < 1.1 * float(first.metadata["residual"])
    assert further.metadata["start_factor"] == pytest.approx(1, abs=0.02)
    text = " ".join(describe_outcome(further, tmp_path, provider=None, is_probe_kept=True))
    assert f"The passes started with brightness and background of {first.name}" in text


def test_what_is_asked_for_is_fitted_further(disturbed: Scan, first: Product) -> None:
    options = replace(PLAIN, passes=5, refine_background=True)
    further = solve(disturbed, options, start=first)
    np.testing.assert_array_equal(further.pattern_factors, first.pattern_factors)
    assert first.background is not None
    assert further.background is not None
    assert 0 < np.abs(further.background - first.background).mean() < 0.1 * first.background.mean()


def test_those_of_another_scan_are_left(disturbed: Scan, first: Product) -> None:
    other = replace(disturbed, corners_px=disturbed.corners_px + 1)
    further = solve(other, PLAIN, start=first)
    assert (further.pattern_factors, further.background) == (None, None)
    assert "start_disturbances" not in further.metadata
