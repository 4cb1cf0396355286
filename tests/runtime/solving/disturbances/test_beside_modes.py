"""Modes are added for what a probe lacks, not for light that is in all patterns alike."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ptychonyx.runtime import Product, Scan, SimulationOptions, SolvingOptions, simulate_scan, solve
from ptychonyx.runtime.belief import needs

AUTO = SolvingOptions(passes=2, num_modes="auto", solver="none")
SHARE = 0.05


def simulated(num_modes: int) -> Scan:
    spec = SimulationOptions(
        num_patterns=100, window_px=32, step_px=3, counts_per_pattern=1e6, num_modes=num_modes
    )
    return simulate_scan(spec, np.random.default_rng(0))


def hazy(scan: Scan) -> Scan:
    counts = scan.patterns[:]
    rate = np.full(counts.shape[1:], SHARE * counts.mean())
    return replace(scan, patterns=counts + np.random.default_rng(2).poisson(rate, counts.shape))


def solved(scan: Scan, options: SolvingOptions = AUTO) -> Product:
    """Return the product of passes that begin with the first mode alone."""
    return solve(scan, options, probe=simulated(1).probe)


def names_of(product: Product) -> list[str]:
    return [need.name for need in needs(product)]


def test_a_background_is_no_mode() -> None:
    product = solved(hazy(simulated(1)))
    assert len(product.probe) == 1
    assert names_of(product) == ["refine-background"]
    assert 0.5 * SHARE < float(product.metadata["background_needed"]) < 1.2 * SHARE


def test_a_background_that_is_fitted_is_not_needed() -> None:
    product = solved(hazy(simulated(1)), replace(AUTO, refine_background=True))
    assert (len(product.probe), names_of(product)) == (1, [])


@pytest.mark.parametrize("num_modes", [1, 2])
def test_modes_are_no_background(num_modes: int) -> None:
    product = solved(simulated(num_modes))
    assert (len(product.probe), names_of(product)) == (num_modes, [])


def test_modes_are_found_beside_a_background() -> None:
    product = solved(hazy(simulated(2)))
    assert (len(product.probe), names_of(product)) == (2, ["refine-background"])
