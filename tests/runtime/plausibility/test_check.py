"""What is wrong with a scan is named, and what is right is not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ptychonyx.runtime import check_scan, load_scan
from ptychonyx.runtime.errors import ImplausibleError, ScanError
from ptychonyx.runtime.plausibility import SCAN_FINDINGS, make_plausible
from ptychonyx.runtime.scan import Frame, Scan
from ptychonyx.runtime.simulation.scan import (
    OBJECTS,
    POSITIONS,
    PROBES,
    SimulationOptions,
    simulate_scan,
)


def names_of(scan: Scan) -> list[str]:
    return [finding.name for finding in check_scan(scan)]


@pytest.mark.parametrize("side", [64, 128])
def test_the_untouched_star_raises_no_alarm(side: int, star: Path) -> None:
    assert check_scan(load_scan(star / f"siemens{side}.npz", quantity="counts")) == []


@pytest.mark.parametrize("number", range(12))
def test_simulated_scans_of_all_kinds_raise_no_alarm(number: int) -> None:
    spec = SimulationOptions(
        object_name=[name for name in OBJECTS if name != "natural"][number % 4],
        probe_name=list(PROBES)[number % 2],
        positions_name=list(POSITIONS)[number % 3],
        num_patterns=(9, 36, 100)[number // 4],
        window_px=(32, 64)[number // 6],
        step_px=(2.0, 4.0, 8.0)[number % 3],
        counts_per_pattern=(5.0, 1e3, 1e5, 1e7)[number % 4],
        num_modes=1 + number % 5,
        amplitude_range=((0.6, 1.0), (0.2, 1.0), (0.3, 0.4))[number % 3],
    )
    assert check_scan(simulate_scan(spec, np.random.default_rng(number))) == []


def test_a_scan_without_light_is_refused() -> None:
    scan = Scan(np.zeros((9, 8, 8)), "counts", np.indices((3, 3)).reshape(2, -1).T * np.float64(4))
    with pytest.raises(ScanError, match="All diffraction patterns are zero"):
        check_scan(scan)


def test_what_is_wrong_is_refused_until_it_is_accepted(small_scan: Scan) -> None:
    corners_px = small_scan.corners_px.copy()
    corners_px[7, 0] = 2e4
    scan = replace(small_scan, corners_px=corners_px, frame=None, source="far.npz")
    with pytest.raises(ImplausibleError, match=r"far\.npz: Pattern 7 lies far.*20000") as error:
        make_plausible(scan)
    assert error.value.names == ("position-outliers",)
    accepted = make_plausible(scan, ["position-outliers"])
    assert accepted.scan.num_patterns == scan.num_patterns


class Unreadable:
    """Patterns that fail the test when they are read."""

    def __init__(self, scan: Scan) -> None:
        self.shape, self.dtype = scan.patterns.shape, scan.patterns.dtype

    def __getitem__(self, key: slice | NDArray[np.int64], /) -> NDArray[Any]:
        raise AssertionError("a pattern was read")


def test_wrong_positions_are_refused_before_a_pattern_is_read(small_scan: Scan) -> None:
    scan = replace(
        small_scan,
        patterns=Unreadable(small_scan),
        corners_px=1000 * small_scan.corners_px,
        frame=Frame((60, 70), (0.0, 0.0), (28e-9, 28e-9)),
    )
    with pytest.raises(ImplausibleError, match=r"\d+ of 40 windows lie outside the 60×70 canvas"):
        make_plausible(scan)


def test_repairs_are_undone_by_accepting(small_scan: Scan) -> None:
    patterns = np.array(small_scan.patterns)
    patterns[5] = 0
    patterns[9] *= 100
    patterns[:, 20:22] = 2**32 - 1
    scan = replace(small_scan, patterns=patterns)
    checked = make_plausible(scan)
    assert [each.name for each in checked.findings] == [
        "gap-pixels",
        "empty-patterns",
        "outlier-patterns",
    ]
    assert checked.scan.bad_pixels is not None
    assert checked.scan.bad_pixels.sum() == 64
    assert checked.scan.num_patterns == 38
    kept = make_plausible(scan, ["empty-patterns", "outlier-patterns"]).scan
    assert kept.num_patterns == 40
    usual = np.delete(patterns, [5, 9], axis=0)[:, np.r_[0:20, 22:32]].sum(axis=(1, 2)).mean()
    assert checked.counts_per_pattern == pytest.approx(usual)


def test_every_finding_has_a_name_that_can_be_accepted(small_scan: Scan) -> None:
    scan = replace(small_scan, photon_energy_eV=8.8)
    assert set(names_of(scan)) <= set(SCAN_FINDINGS)
    assert names_of(scan) == ["photon-energy"]
