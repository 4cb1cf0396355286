"""Energy, distances, pixel sizes and the probe: numbers that must fit each other."""

from __future__ import annotations

import numpy as np

from ..scaling import COUNTS_AGREE, PROBE_RATIO_RANGE
from ..scan import PLANCK_TIMES_LIGHT_EV_M, Scan
from .finding import Finding

ENERGIES_EV = (100.0, 1e6)
DETECTOR_PIXELS_M = (1e-6, 5e-3)
"""Sides of detector pixels, binned ones too; optics in front of a camera give the smallest."""
SAME_PIXEL = 0.05
EQUAL_POWERS = 0.01


def find_in_geometry(scan: Scan) -> list[Finding]:
    """Find an energy in another unit, and a pixel size that does not follow from the geometry.

    Parameters
    ----------
    scan : Scan
        Its patterns are not read.

    Examples
    --------
    >>> scan = Scan(np.ones((1, 8, 8)), "counts", np.zeros((1, 2)), photon_energy_eV=8.8)
    >>> [finding.name for finding in find_in_geometry(scan)]
    ['photon-energy']
    """
    energy = scan.photon_energy_eV
    if energy is not None and not ENERGIES_EV[0] <= energy <= ENERGIES_EV[1]:
        is_keV = ENERGIES_EV[0] <= 1e3 * energy <= ENERGIES_EV[1]
        evidence = f"The photon energy is {energy:.6g} eV, which is no X-ray's"
        cure = "is it in keV? Correct the file" if is_keV else "is it in J? Correct the file"
        return [Finding("photon-energy", evidence, cure, is_wrong=False)]
    distance = scan.detector_distance_m
    if energy is None or distance is None or scan.pixel_size_m is None:
        return []
    wavelength_m = PLANCK_TIMES_LIGHT_EV_M / energy
    implied_m = wavelength_m * distance / (scan.window_px * scan.pixel_size_m)
    known_m = scan.detector_pixel_m
    cure = "check energy, distance and pixel size; whole numbers in nm or mm are a usual cause"
    if known_m is not None:
        if abs(implied_m / known_m - 1) <= SAME_PIXEL:
            return []
        expected_m = wavelength_m * distance / (scan.window_px * known_m)
        evidence = (
            f"The object's pixel is {scan.pixel_size_m:.4g} m, but λz/(N·detector pixel) is "
            f"{expected_m:.4g} m"
        )
        return [Finding("pixel-size", evidence, cure, is_wrong=False)]
    if DETECTOR_PIXELS_M[0] <= implied_m <= DETECTOR_PIXELS_M[1]:
        return []
    evidence = (
        f"Energy, distance and object pixel need detector pixels of {implied_m:.3g} m, which no "
        "detector has"
    )
    return [Finding("pixel-size", evidence, cure, is_wrong=False)]


def find_in_probe(scan: Scan, counts_per_pattern: float) -> list[Finding]:
    """Find a probe whose power is not that of the counts, or whose modes have lost their powers.

    Parameters
    ----------
    scan : Scan
    counts_per_pattern : float
        Mean of the scan.
    """
    if scan.probe is None or counts_per_pattern <= 0:
        return []
    findings = []
    powers = np.square(np.abs(scan.probe.astype(np.complex128))).sum(axis=(1, 2))
    low, high = PROBE_RATIO_RANGE
    ratio = float(powers.sum()) / counts_per_pattern
    if not low <= ratio <= high:
        evidence = f"The probe's power is {ratio:.3g} times the counts of a pattern"
        cure = "scaled to the counts, so absorption can no longer be told"
        findings.append(Finding("probe-power", evidence, cure, is_wrong=False))
    if len(powers) > 1 and np.ptp(powers) <= EQUAL_POWERS * powers.max():
        evidence = f"All {len(powers)} modes of the probe have the same power"
        cure = "they may have been normalised one by one; give them as they were reconstructed"
        findings.append(Finding("equal-modes", evidence, cure, is_wrong=False))
    return findings


def absorption_text(ratio: float) -> str | None:
    """Return what a probe of more power than the counts means, or None where they agree.

    Parameters
    ----------
    ratio : float
        q, power of the probe over mean counts of a pattern.

    Examples
    --------
    >>> absorption_text(4.96)
    'taken as absorption, mean |O| 0.45'
    """
    if ratio <= COUNTS_AGREE[1] or ratio > PROBE_RATIO_RANGE[1]:
        return None
    return f"taken as absorption, mean |O| {ratio**-0.5:.2f}"
