"""The star's twin counts as the star does, repeats with its seed, and is solved to its truth."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from star_twin import REGIONS, make_twin

from ptychonyx.runtime import Scan, compare_objects, load_scan
from ptychonyx.runtime.solving.options import SolvingOptions
from ptychonyx.runtime.solving.solve import solve

MAX_ERROR = 0.06


@pytest.fixture
def twin(star: Path) -> Scan:
    return twin_of(star, seed=0)


@cache
def twin_of(star: Path, *, seed: int, dose: float = 1.0) -> Scan:
    return make_twin(star, 64, np.random.default_rng(seed), dose=dose)


def counts_per_pattern(scan: Scan) -> float:
    return float(np.asarray(scan.patterns[:]).sum(axis=(1, 2), dtype=np.float64).mean())


@pytest.mark.parametrize("dose", [1.0, 0.01])
def test_counts_per_pattern_are_the_stars(star: Path, dose: float) -> None:
    twin = twin_of(star, seed=0, dose=dose)
    real = load_scan(star / "siemens64.npz", quantity="counts")
    assert counts_per_pattern(twin) == pytest.approx(dose * counts_per_pattern(real), rel=0.01)


def test_a_seed_repeats_its_patterns_and_another_does_not(star: Path, twin: Scan) -> None:
    again = make_twin(star, 64, np.random.default_rng(0))
    np.testing.assert_array_equal(again.patterns[:], twin.patterns[:])
    assert (twin_of(star, seed=1).patterns[:] != twin.patterns[:]).any()


def test_ten_passes_find_the_truth(twin: Scan) -> None:
    product = solve(twin, SolvingOptions(passes=10, residual_patterns=0))
    assert twin.object_ is not None
    score = compare_objects(
        product.object_,
        twin.object_,
        corner_a=product.object_corner_px,
        corner_b=twin.object_corner_px,
        region=REGIONS[64],
    )
    assert score.complex_nrmse < MAX_ERROR
