"""Gaps, dead, hot and saturated pixels, and counts that cannot be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ptychonyx.runtime.plausibility import Finding, look_at
from ptychonyx.runtime.scan import Scan


def found_in(scan: Scan, patterns: NDArray[Any], **changes: Any) -> list[Finding]:
    return list(look_at(replace(scan, patterns=patterns, **changes)).findings)


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        ("uint16", 65535),
        ("uint32", 65535),  # of a detector of 16 bits
        ("uint32", 2**32 - 1),
        ("uint32", 2**32 - 2),
        ("int32", -1),
        ("int64", -2),
        ("float32", np.nan),
        ("float64", np.inf),
        ("float32", -1.0),
        ("int16", 32767),
    ],
)
def test_gaps_of_any_kind_are_masked(dtype: str, value: float, small_scan: Scan) -> None:
    patterns = np.minimum(np.array(small_scan.patterns), 30000).astype(dtype)
    patterns[:, 20:22] = value
    checked = look_at(replace(small_scan, patterns=patterns))
    (finding,) = checked.findings
    assert finding.name == "gap-pixels"
    assert "64 pixels" in finding.evidence
    assert "(20, 0)" in finding.evidence
    assert checked.scan.bad_pixels is not None
    assert checked.scan.bad_pixels[20:22].all()
    assert checked.scan.bad_pixels.sum() == 64


@pytest.mark.parametrize(
    ("dtype", "value"), [("uint16", 65535), ("uint32", 2**32 - 1), ("int32", -1)]
)
@pytest.mark.parametrize("lost", [[0], [7, 30]])
def test_gaps_are_gaps_although_patterns_are_lost(
    lost: list[int], dtype: str, value: int, small_scan: Scan
) -> None:
    patterns = np.minimum(np.array(small_scan.patterns), 30000).astype(dtype)
    patterns[:, 20:22] = value
    patterns[lost] = 0
    checked = look_at(replace(small_scan, patterns=patterns))
    assert [each.name for each in checked.findings] == ["gap-pixels", "empty-patterns"]
    assert f"in all patterns but {len(lost)} (first (20, 0)" in checked.findings[0].evidence
    assert checked.scan.bad_pixels is not None
    assert checked.scan.bad_pixels.sum() == 64
    assert checked.scan.num_patterns == 40 - len(lost)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [(3e38, "float32"), (np.nan, "float32"), (-5.0, "float64"), (2**32 - 1, "uint32")],
)
def test_a_value_that_cannot_be_is_named_with_its_place(
    value: float, dtype: str, small_scan: Scan
) -> None:
    patterns = np.array(small_scan.patterns).astype(dtype)
    patterns[5, 12, 17] = value
    (finding,) = found_in(small_scan, patterns)
    assert (finding.name, finding.is_wrong) == ("impossible-counts", True)
    assert "pattern 5 at pixel (12, 17)" in finding.evidence


@pytest.mark.parametrize(
    ("rows", "columns", "num"),
    [
        (slice(14, 17), slice(None), 96),
        (slice(None), slice(18, 19), 32),
        (slice(13, 14), slice(15, 16), 1),
    ],
)
def test_dead_rows_columns_and_pixels(
    rows: slice, columns: slice, num: int, small_scan: Scan
) -> None:
    patterns = np.array(small_scan.patterns)
    patterns[:, rows, columns] = 0
    (finding,) = found_in(small_scan, patterns)
    assert finding.name == "dead-pixels"
    assert f"{num} pixel" in finding.evidence


def test_weak_pixels_are_not_dead(small_scan: Scan) -> None:
    patterns = np.array(small_scan.patterns)
    patterns[:, :4] = 0  # at the rim, where no light is
    assert found_in(small_scan, patterns) == []


@pytest.mark.parametrize("pixel", [(5, 6), (0, 31), (20, 3)])
def test_hot_pixels(pixel: tuple[int, int], small_scan: Scan) -> None:
    patterns = np.array(small_scan.patterns)
    patterns[:, pixel[0], pixel[1]] += 20000
    (finding,) = found_in(small_scan, patterns)
    assert finding.name == "hot-pixels"
    assert f"({pixel[0]}, {pixel[1]})" in finding.evidence


def test_saturation_is_a_value_that_many_reach(small_scan: Scan) -> None:
    patterns = np.array(small_scan.patterns)
    clip = int(np.percentile(patterns.max(axis=(1, 2)), 20))
    (finding,) = found_in(small_scan, np.minimum(patterns, clip))
    assert finding.name == "saturated-pixels"
    assert f"are {clip}" in finding.evidence
    amplitudes = np.sqrt(np.minimum(patterns, clip))
    (finding,) = found_in(small_scan, amplitudes, quantity="amplitude")
    assert finding.name == "saturated-pixels"


def test_marked_pixels_say_nothing(small_scan: Scan) -> None:
    patterns = np.array(small_scan.patterns)
    patterns[:, 20:22] = 2**32 - 1
    patterns[:, 5, 6] += 20000
    bad = np.zeros((32, 32), np.bool_)
    bad[20:22] = bad[5, 6] = True
    assert found_in(small_scan, patterns, bad_pixels=bad) == []
