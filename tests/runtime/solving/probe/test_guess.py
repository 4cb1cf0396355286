"""A probe is found from nothing but patterns, and gets as many modes as help."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from ptychonyx.runtime import (
    SimulationOptions,
    SolvingOptions,
    compare_objects,
    simulate_scan,
    solve,
)
from ptychonyx.runtime.scan import Scan
from ptychonyx.runtime.solving.probe.guess import SPREADS, defocused


def simulated(probe_name: str = "focused", *, num_modes: int) -> Scan:
    spec = SimulationOptions(
        "blurred_lines", probe_name, num_patterns=100, window_px=32, step_px=3, num_modes=num_modes
    )
    return simulate_scan(spec, np.random.default_rng(0))


def overlap(found: NDArray[np.complex64], true: NDArray[np.complex64]) -> float:
    """Return the largest overlap of two probes of one mode over all whole-pixel shifts."""
    product = np.fft.ifft2(np.fft.fft2(found[0]) * np.conj(np.fft.fft2(true[0])))
    return float(np.abs(product).max() / np.linalg.norm(found[0]) / np.linalg.norm(true[0]))


@pytest.mark.parametrize("probe_name", ["focused", "gaussian"])
def test_a_scan_without_a_probe_is_solved(probe_name: str) -> None:
    scan = simulated(probe_name, num_modes=1)
    assert scan.probe is not None
    product = solve(replace(scan, probe=None), SolvingOptions(passes=10))
    assert product.metadata["probe_source"] == "estimated"
    assert product.metadata["probe_refined"]
    assert product.metadata["believable"]
    assert overlap(product.probe, scan.probe) > 0.98
    assert scan.object_ is not None
    compared = compare_objects(
        product.object_,
        scan.object_,
        corner_a=product.object_corner_px,
        corner_b=scan.object_corner_px,
        region="16:40,16:40",
    )
    assert compared.phase_pearson > 0.9


@pytest.mark.parametrize("num_modes", [1, 2])
def test_a_probe_gets_the_modes_that_it_has(num_modes: int) -> None:
    scan, one = simulated(num_modes=num_modes), simulated(num_modes=1)
    product = solve(scan, SolvingOptions(passes=2, num_modes="auto"), probe=one.probe)
    assert product.metadata["probe_modes"] == num_modes
    assert product.metadata["probe_refined"]


def test_a_guess_has_the_power_of_the_mean_pattern_at_every_defocus() -> None:
    mean = np.random.default_rng(0).poisson(3.0, (16, 16)).astype(np.float64)
    for spread in SPREADS:
        ahead, behind = defocused(mean, spread), defocused(mean, -spread)
        assert np.square(np.abs(ahead)).sum() == pytest.approx(mean.sum(), rel=1e-5)
        far_field = np.abs(np.fft.fft2(np.fft.ifftshift(ahead[0]), norm="ortho"))
        np.testing.assert_allclose(far_field, np.sqrt(mean), atol=1e-4)
        assert spread == 0 or np.abs(ahead - behind).max() > 0.01
