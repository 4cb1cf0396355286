"""The residual is small for the object that made the patterns, and nowhere else."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ptychonyx.runtime import load_object, load_probe, load_scan
from ptychonyx.runtime.residual import Residual, measure_residual
from ptychonyx.runtime.scaling import counts_per_pattern
from ptychonyx.runtime.scan import Scan


def truth_of(scan: Scan) -> NDArray[np.complex64]:
    assert scan.object_ is not None
    return scan.object_


def residual_of(scan: Scan, object_: NDArray[np.complex64], **changes: Any) -> Residual:
    options: dict[str, Any] = {
        "object_corner_px": scan.object_corner_px,
        "probe": scan.probe,
        "counts_per_pattern": counts_per_pattern(scan),
    }
    return measure_residual(scan, object_, **(options | changes))


def test_the_truth_leaves_only_photon_noise(small_scan: Scan) -> None:
    residual = residual_of(small_scan, truth_of(small_scan))
    # the root of a Poisson count has variance 1/4, less where counts are few
    noise = 0.25 * small_scan.window_px**2 / counts_per_pattern(small_scan)
    assert 0.3 * noise < residual.total < 1.1 * noise
    assert residual.num_patterns == small_scan.num_patterns
    assert np.isfinite(residual.per_pattern).all()


def test_a_wrong_a_shifted_and_a_flat_object_leave_much_more(small_scan: Scan) -> None:
    right = residual_of(small_scan, truth_of(small_scan)).total
    assert residual_of(small_scan, np.roll(truth_of(small_scan), 2, axis=1)).total > 1.5 * right
    assert residual_of(small_scan, truth_of(small_scan).conj()).total > 3 * right
    assert residual_of(small_scan, np.ones_like(truth_of(small_scan))).total > 3 * right


def test_only_the_patterns_looked_at_have_a_value(small_scan: Scan) -> None:
    residual = residual_of(small_scan, truth_of(small_scan), num_patterns=7)
    assert residual.num_patterns == np.isfinite(residual.per_pattern).sum() == 7
    assert np.isfinite(residual.per_pattern[[0, -1]]).all()


def test_bad_pixels_holes_and_windows_beyond_the_object_count_for_nothing(small_scan: Scan) -> None:
    bad_pixels = np.zeros((32, 32), dtype=np.bool_)
    bad_pixels[16, 16] = True
    patterns = np.array(small_scan.patterns)
    patterns[:, 16, 16] = 10**6
    scan = dataclasses.replace(small_scan, patterns=patterns, bad_pixels=bad_pixels)
    right = residual_of(scan, truth_of(scan)).total
    assert right < 0.1
    coverage = np.ones(truth_of(scan).shape, dtype=np.int32)
    coverage[:4] = 0
    holed = np.where(coverage > 0, truth_of(scan), 0)
    assert residual_of(scan, holed, coverage=coverage).total < 2 * right
    cut = truth_of(scan)[10:, 10:]
    assert np.isfinite(residual_of(scan, cut, object_corner_px=(10, 10)).total)


def test_the_unit_of_a_probe_does_not_matter(small_scan: Scan) -> None:
    assert small_scan.probe is not None
    small, large = (
        residual_of(small_scan, truth_of(small_scan), probe=(small_scan.probe * factor)).total
        for factor in (np.float32(1e-3), np.float32(1e3))
    )
    assert small == pytest.approx(large, rel=1e-4)


def test_what_does_not_fit_is_refused(small_scan: Scan) -> None:
    with pytest.raises(ValueError, match=r"`probe` has shape.*32×32"):
        residual_of(small_scan, truth_of(small_scan), probe=np.ones((1, 64, 64), np.complex64))
    with pytest.raises(ValueError, match="`num_patterns` is 0"):
        residual_of(small_scan, truth_of(small_scan), num_patterns=0)


@pytest.mark.parametrize(("name", "expected"), [("reference_3modes", 0.0058), ("", 0.0125)])
def test_the_real_star_is_explained_better_by_three_modes(
    star: Path, name: str, expected: float
) -> None:
    scan = load_scan(star / "siemens64.npz", quantity="counts")
    path = star / ("siemens64" + (f"_{name}" if name else "") + ".npz")
    found = load_object(path)
    residual = measure_residual(
        scan,
        found.object_,
        object_corner_px=found.corner_px,
        probe=load_probe(path),
        counts_per_pattern=counts_per_pattern(scan),
    )
    assert residual.total == pytest.approx(expected, rel=0.05)
