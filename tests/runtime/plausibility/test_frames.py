"""Patterns that do not belong, and a beam in the wrong place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ptychonyx.runtime.plausibility import frames, look_at
from ptychonyx.runtime.scan import Scan
from ptychonyx.runtime.simulation.scan import SimulationOptions, diffract, simulate_scan


@pytest.mark.parametrize(
    ("numbers", "factor", "name"),
    [
        ([25], 10_000, "outlier-patterns"),
        ([3, 30], 50, "outlier-patterns"),
        ([17], 10, "outlier-patterns"),
        ([10, 11, 12, 13, 14], 0, "empty-patterns"),
        ([39], 0, "empty-patterns"),
    ],
)
def test_strange_patterns_are_listed_and_left_out(
    numbers: list[int], factor: int, name: str, small_scan: Scan
) -> None:
    patterns = np.array(small_scan.patterns)
    patterns[numbers] *= factor
    checked = look_at(replace(small_scan, patterns=patterns))
    (finding,) = checked.findings
    assert (finding.name, finding.is_wrong) == (name, False)
    assert ", ".join(map(str, numbers)) in finding.evidence
    kept = np.delete(np.arange(40), numbers)
    np.testing.assert_array_equal(checked.scan.position_indexes, kept)


def test_neighbours_do_not_depend_on_how_many_patterns_are_looked_up_at_once(
    monkeypatch: pytest.MonkeyPatch, small_scan: Scan
) -> None:
    patterns = np.array(small_scan.patterns)
    patterns[[3, 30]] *= 50
    scan = replace(small_scan, patterns=patterns)
    whole = look_at(scan).findings
    monkeypatch.setattr(frames, "PATTERNS_AT_ONCE", 7)
    assert look_at(scan).findings == whole != ()


@pytest.mark.parametrize(("inside", "outside"), [(0.05, 1.0), (1.0, 0.1)])
def test_an_opaque_specimen_and_a_hole_are_no_outliers(inside: float, outside: float) -> None:
    rng = np.random.default_rng(0)
    spec = SimulationOptions(num_patterns=144, window_px=32, step_px=4)
    scan = simulate_scan(spec, rng)
    assert scan.object_ is not None
    assert scan.probe is not None
    y, x = np.indices(scan.object_.shape)
    middle = np.array(scan.object_.shape) / 2
    is_inside = np.hypot(y - middle[0], x - middle[1]) < 16
    object_ = np.where(is_inside, inside, outside) + 0j
    patterns = diffract(object_, scan.probe.astype(np.complex128), scan.corners_px, rng)
    assert look_at(replace(scan, patterns=patterns, object_=None)).findings == ()


@pytest.mark.parametrize(
    ("axes", "cure"), [((1, 2), "--dc 0,0"), ((1,), "--dc 0,16"), ((2,), "--dc 16,0")]
)
@pytest.mark.parametrize("has_probe", [True, False])
def test_a_beam_in_the_corner(
    axes: tuple[int, ...], cure: str, has_probe: bool, small_scan: Scan
) -> None:
    patterns = np.fft.ifftshift(np.array(small_scan.patterns), axes=axes)
    scan = replace(small_scan, patterns=patterns, probe=small_scan.probe if has_probe else None)
    (finding,) = look_at(scan).findings
    assert (finding.name, finding.is_wrong) == ("dc-off-center", True)
    assert cure in finding.cure


def test_a_beam_slightly_beside_the_center_is_only_odd(small_scan: Scan) -> None:
    patterns = np.roll(np.array(small_scan.patterns), 5, axis=2)
    (finding,) = look_at(replace(small_scan, patterns=patterns)).findings
    assert (finding.name, finding.is_wrong) == ("dc-off-center", False)
    assert "--dc 16,21" in finding.cure
