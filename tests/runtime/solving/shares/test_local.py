"""A scan solved in shares is the scan solved at once."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ptychonyx.runtime import Product, Scan, SolvingOptions, compare_objects, solve
from ptychonyx.runtime.errors import OverlapError
from ptychonyx.runtime.solving.options import MAX_PASSES, NO_SOLVER
from ptychonyx.runtime.solving.shares.beginning import PASSES_ALONE
from ptychonyx.runtime.solving.shares.local import solve_in_shares

TOLERANCE = 1e-5
"""Relative l2 of two objects that differ by the order of float32 sums."""


def difference(a: NDArray[np.complex64], b: NDArray[np.complex64]) -> float:
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def with_wrong_probe(scan: Scan) -> Scan:
    assert scan.probe is not None
    y, x = np.indices(scan.probe.shape[1:]) - 16
    wrong = scan.probe * np.exp(0.004j * (y**2 + x**2))
    return dataclasses.replace(scan, probe=wrong.astype(np.complex64))


@pytest.mark.parametrize("refine_probe", [False, True])
@pytest.mark.parametrize("num_shares", [2, 3])
def test_the_number_of_shares_does_not_change_the_object(
    small_scan: Scan, num_shares: int, refine_probe: bool
) -> None:
    scan = with_wrong_probe(small_scan) if refine_probe else small_scan
    options = SolvingOptions(passes=15, refine_probe=refine_probe)
    one = solve_in_shares(scan, options)
    many = solve_in_shares(scan, options, num_shares=num_shares)
    assert difference(many.object_, one.object_) < TOLERANCE
    assert difference(many.probe, one.probe) < TOLERANCE
    assert many.pass_residuals == pytest.approx(one.pass_residuals, rel=1e-4)
    told = [many.metadata[name] for name in ("shares", "workers", "passes", "repeats")]
    assert told == [num_shares, 1, 15, 0]
    assert many.metadata["use_of_network"] == PASSES_ALONE
    assert scan.probe is not None
    assert (difference(one.probe, scan.probe) > 0.01) == refine_probe


def test_enough_parallel_passes_explain_as_much_as_others(small_scan: Scan) -> None:
    parallel = solve_in_shares(
        small_scan, SolvingOptions(passes=40, solver=NO_SOLVER), num_shares=2
    )
    batches = solve(small_scan, SolvingOptions(passes=20, solver=NO_SOLVER))
    assert parallel.metadata["residual"] == pytest.approx(batches.metadata["residual"], rel=0.1)
    assert parallel.metadata["believable"]
    assert pearson(parallel, batches) > 0.98
    assert parallel.metadata.keys() - batches.metadata.keys() == {"shares", "workers", "repeats"}


def pearson(a: Product, b: Product) -> float:
    assert a.coverage is not None
    return compare_objects(
        a.object_,
        b.object_,
        corner_a=a.object_corner_px,
        corner_b=b.object_corner_px,
        mask_a=a.coverage > 3,
    ).phase_pearson


def test_the_number_of_passes_is_found_from_the_photons(small_scan: Scan) -> None:
    assert small_scan.probe is not None
    noisy = np.random.default_rng(0).poisson(np.array(small_scan.patterns[:]) * 0.002)
    probe = small_scan.probe * np.float32(0.002**0.5)
    scan = dataclasses.replace(small_scan, patterns=noisy, probe=probe)
    product = solve_in_shares(scan, num_shares=2)
    passes = int(product.metadata["passes"])
    assert 1 <= passes <= MAX_PASSES
    said = f"after {passes} passes, pixels that were held back bear no more"
    assert product.metadata["stopped"] == said


def test_each_pass_is_told(small_scan: Scan) -> None:
    told: list[tuple[int, int, float]] = []
    product = solve_in_shares(
        small_scan, SolvingOptions(passes=3), progress=lambda *values: told.append(values)
    )
    assert product.pass_residuals is not None
    assert told == [(n, 3, r) for n, r in enumerate(product.pass_residuals.tolist(), 1)]


def test_what_cannot_be_solved_is_refused(small_scan: Scan) -> None:
    far: dict[str, Any] = {"corners_px": 40.0 * np.arange(80).reshape(40, 2)}
    with pytest.raises(OverlapError, match="hardly overlap"):
        solve_in_shares(dataclasses.replace(small_scan, **far), SolvingOptions(passes=1))
