"""Flicker and backgrounds spoil an object, are noticed, and are fitted where that is asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ptychonyx.cli.outcome import describe_outcome
from ptychonyx.runtime import (
    Product,
    Scan,
    SimulationOptions,
    SolvingOptions,
    load_product,
    save_product,
    simulate_scan,
    solve,
)
from ptychonyx.runtime.belief import needs
from ptychonyx.runtime.comparison.align import align
from ptychonyx.runtime.comparison.metrics import nrmse
from ptychonyx.runtime.describe import describe_product
from ptychonyx.runtime.errors import ScanError
from ptychonyx.runtime.product import Metadata
from ptychonyx.runtime.scan import some_of
from ptychonyx.runtime.solving.shares.beginning import can_share

PLAIN = SolvingOptions(passes=20, solver="none")
FLICKER, SHARE = 0.2, 0.05


@pytest.fixture(scope="module")
def scan() -> Scan:
    spec = SimulationOptions(num_patterns=100, window_px=32, step_px=3, counts_per_pattern=1e6)
    return simulate_scan(spec, np.random.default_rng(0))


@pytest.fixture(scope="module")
def factors(scan: Scan) -> NDArray[np.float64]:
    return np.random.default_rng(1).uniform(1 - FLICKER, 1 + FLICKER, scan.num_patterns)


@pytest.fixture(scope="module")
def flickering(scan: Scan, factors: NDArray[np.float64]) -> Scan:
    """Return patterns whose photon noise is not that of their brightness, but close to it."""
    patterns = np.rint(scan.patterns[:] * factors[:, None, None])
    return replace(scan, patterns=patterns.astype(np.int64))


@pytest.fixture(scope="module")
def hazy(scan: Scan) -> Scan:
    counts = scan.patterns[:]
    rate = np.full((32, 32), SHARE * counts.sum() / len(counts) / 32**2)
    return replace(scan, patterns=counts + np.random.default_rng(2).poisson(rate, counts.shape))


@pytest.fixture(scope="module")
def undisturbed(scan: Scan) -> Product:
    return solve(scan, PLAIN)


def error_of(product: Product, scan: Scan) -> float:
    assert scan.object_ is not None
    assert product.coverage is not None
    aligned = align(
        product.object_,
        scan.object_,
        corner_a=product.object_corner_px,
        corner_b=scan.object_corner_px,
        mask_a=product.coverage > 20,
    )
    return nrmse(aligned.a, aligned.b, aligned.is_valid)


def names_of(product: Product) -> list[str]:
    return [need.name for need in needs(product)]


def test_right_patterns_need_nothing(undisturbed: Product) -> None:
    assert names_of(undisturbed) == []
    assert undisturbed.pattern_factors is None
    assert undisturbed.background is None
    assert "needed" not in describe_product(undisturbed)


def test_flicker_is_noticed_and_fitted(
    scan: Scan, flickering: Scan, factors: NDArray[np.float64], undisturbed: Product
) -> None:
    without = solve(flickering, PLAIN)
    assert names_of(without) == ["refine-intensity"]
    assert without.metadata["intensity_needed"] == pytest.approx(factors.std(), rel=0.2)
    fitted = solve(flickering, replace(PLAIN, refine_intensity=True))
    assert names_of(fitted) == []
    assert fitted.pattern_factors is not None
    left = fitted.pattern_factors - factors / factors.mean()
    assert left.std() < 0.2 * factors.std()
    assert fitted.metadata["intensity_spread"] == pytest.approx(factors.std(), rel=0.1)
    assert float(fitted.metadata["residual"]) < 0.5 * float(without.metadata["residual"])
    errors = [error_of(each, scan) for each in (undisturbed, fitted, without)]
    assert errors[1] < 1.1 * errors[0] < 1.2 * errors[0] < errors[2]


def test_a_background_is_noticed_and_fitted(scan: Scan, hazy: Scan, undisturbed: Product) -> None:
    without = solve(hazy, PLAIN)
    assert names_of(without) == ["refine-background"]
    fitted = solve(hazy, replace(PLAIN, refine_background=True))
    assert names_of(fitted) == []
    assert fitted.background is not None
    assert fitted.background.min() >= 0
    assert 0.5 * SHARE < float(fitted.metadata["background_share"]) < 1.2 * SHARE
    errors = [error_of(each, scan) for each in (undisturbed, fitted, without)]
    assert 3 * errors[0] < 3 * errors[1] < errors[2]


def test_a_provider_finds_the_same(flickering: Scan) -> None:
    """But for rounding, which decides the first phases where vacuum predicts nothing."""
    options = replace(PLAIN, passes=5, refine_intensity=True, refine_background=True)
    here, there = (solve(flickering, replace(options, provider=name)) for name in ("auto", "cpu"))
    shares = [float(each.metadata["background_share"]) for each in (here, there)]
    assert shares[1] == pytest.approx(shares[0], rel=0.05)
    assert here.pattern_factors is not None
    assert there.pattern_factors is not None
    np.testing.assert_allclose(there.pattern_factors, here.pattern_factors, atol=0.01)


def test_what_was_fitted_is_kept_and_told(hazy: Scan, tmp_path: Path) -> None:
    options = replace(PLAIN, passes=5, refine_intensity=True, refine_background=True)
    product = solve(hazy, options)
    save_product(product, tmp_path / "product.h5")
    again = load_product(tmp_path / "product.h5")
    np.testing.assert_array_equal(again.pattern_factors, product.pattern_factors)
    np.testing.assert_array_equal(again.background, product.background)
    assert {"brightness fitted", "background fitted"} <= set(describe_product(again))
    text = " ".join(describe_outcome(again, tmp_path, provider=None, is_probe_kept=True))
    assert "A background was fitted: it has" in text
    assert "The brightness of patterns was fitted" in text


def test_what_is_needed_is_said_with_its_option(undisturbed: Product, tmp_path: Path) -> None:
    told: Metadata = {"intensity_needed": 0.112, "background_needed": 0.034}
    product = replace(undisturbed, metadata=undisturbed.metadata | told)
    lines = describe_outcome(product, tmp_path, provider=None, is_probe_kept=True)
    assert [line.split(".")[0] for line in lines if line.startswith("NEEDED")] == [
        "NEEDED: --refine-intensity",
        "NEEDED: --refine-background",
    ]
    assert "11.2 %" in " ".join(lines)
    assert "3.4 %" in describe_product(product)["needed"]


def test_they_are_not_shared_among_workers() -> None:
    assert can_share(PLAIN)
    assert not can_share(replace(PLAIN, refine_intensity=True))
    assert not can_share(replace(PLAIN, refine_background=True))


def test_few_patterns_tell_no_background(scan: Scan) -> None:
    with pytest.raises(ScanError, match="background of 9 patterns cannot be told"):
        solve(some_of(scan, np.arange(9)), replace(PLAIN, refine_background=True))
