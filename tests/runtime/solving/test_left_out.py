"""A refined probe is believed for patterns it has not seen, not for those that it fits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ptychonyx.runtime import SimulationOptions, SolvingOptions, simulate_scan, solve
from ptychonyx.runtime.formats import load_probe, load_scan
from ptychonyx.runtime.scan import Scan
from ptychonyx.runtime.solving.left_out import LARGEST_UNEXPLAINED
from ptychonyx.runtime.solving.probe.guess import defocused


@pytest.fixture(scope="module")
def scan() -> Scan:
    spec = SimulationOptions(num_patterns=196, counts_per_pattern=1e5)
    return simulate_scan(spec, np.random.default_rng(0))


def test_a_right_probe_explains_patterns_it_has_not_seen(scan: Scan) -> None:
    metadata = solve(scan, SolvingOptions(passes=10, refine_probe=True)).metadata
    assert metadata["believable"] is True
    assert float(metadata["left_out_unexplained"]) < 0.3


def test_a_probe_that_was_refined_for_transposed_patterns_is_not_believed(scan: Scan) -> None:
    transposed = replace(scan, patterns=np.asarray(scan.patterns[:]).swapaxes(1, 2))
    metadata = solve(transposed, SolvingOptions(passes=20, refine_probe=True)).metadata
    assert float(metadata["left_out_unexplained"]) > LARGEST_UNEXPLAINED
    assert metadata["believable"] is False


def test_a_probe_that_is_kept_needs_no_such_test(scan: Scan) -> None:
    assert "left_out_unexplained" not in solve(scan, SolvingOptions(passes=2)).metadata


def test_few_patterns_say_nothing(scan: Scan) -> None:
    few = replace(
        scan,
        patterns=scan.patterns[:11],
        corners_px=scan.corners_px[:11],
        position_indexes=np.arange(11),
    )
    metadata = solve(few, SolvingOptions(passes=3, refine_probe=True)).metadata
    assert "left_out_unexplained" not in metadata


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_wrong_start_on_a_real_scan_converges_and_is_not_believed(star: Path) -> None:
    scan = load_scan(star / "siemens128.npz", quantity="counts")
    options = SolvingOptions(passes=20, refine_probe=True, num_modes=3)
    mean = np.fft.ifftshift(np.asarray(scan.patterns[:], np.float64).mean(axis=0))
    wrong = solve(scan, options, probe=defocused(mean, 0.1)).metadata
    assert float(wrong["residual"]) < 0.025  # it fits, although nothing of its object is right
    assert wrong["believable"] is False
    right = solve(scan, options, probe=load_probe(star / "siemens128_analytic_probe.npz")).metadata
    assert float(right["residual"]) < 0.0097
    assert right["believable"] is True
