"""Energy, pixel size and probe must fit each other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ptychonyx.runtime.plausibility.physics import find_in_geometry, find_in_probe
from ptychonyx.runtime.scan import PLANCK_TIMES_LIGHT_EV_M, Scan


@pytest.mark.parametrize(
    ("energy", "words"), [(8.8, "keV"), (12.4, "keV"), (1.41e-15, "in J"), (8.8e6, "in J")]
)
def test_an_energy_in_another_unit(energy: float, words: str, small_scan: Scan) -> None:
    (finding,) = find_in_geometry(replace(small_scan, photon_energy_eV=energy))
    assert (finding.name, finding.is_wrong) == ("photon-energy", False)
    assert words in finding.cure


def test_a_pixel_size_that_does_not_follow_from_the_geometry(small_scan: Scan) -> None:
    assert small_scan.photon_energy_eV is not None
    assert small_scan.detector_distance_m is not None
    assert small_scan.pixel_size_m is not None
    wavelength_m = PLANCK_TIMES_LIGHT_EV_M / small_scan.photon_energy_eV
    detector_m = wavelength_m * small_scan.detector_distance_m / (32 * small_scan.pixel_size_m)
    right = replace(small_scan, detector_pixel_m=detector_m)
    assert find_in_geometry(right) == []
    wrong = (
        replace(right, pixel_size_m=2 * small_scan.pixel_size_m),
        replace(right, detector_distance_m=1e-3 * small_scan.detector_distance_m),
    )
    for scan in wrong:
        (finding,) = find_in_geometry(scan)
        assert finding.name == "pixel-size"
    unknown = replace(small_scan, detector_distance_m=1e3 * small_scan.detector_distance_m)
    (finding,) = find_in_geometry(unknown)
    assert "no detector has" in finding.evidence


def test_a_probe_in_another_unit_and_one_whose_modes_lost_their_powers(small_scan: Scan) -> None:
    assert small_scan.probe is not None
    counts = float(np.square(np.abs(small_scan.probe)).sum())
    assert find_in_probe(small_scan, counts) == []
    assert find_in_probe(small_scan, counts / 5) == []  # absorption
    for factor in (0.01, 100):
        (finding,) = find_in_probe(
            replace(small_scan, probe=np.asarray(small_scan.probe * np.float32(factor))), counts
        )
        assert finding.name == "probe-power"
    norms = np.linalg.norm(small_scan.probe, axis=(1, 2), keepdims=True)
    equal = replace(small_scan, probe=small_scan.probe / norms)
    assert "equal-modes" in [finding.name for finding in find_in_probe(equal, 3.0)]
