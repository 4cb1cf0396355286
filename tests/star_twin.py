"""The star's twin: patterns as the real scan's, simulated from its reference, so that truth is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ptychonyx.runtime import Scan, load_object, load_probe, load_scan
from ptychonyx.runtime.simulation.scan import MARGIN_PX, diffract

REGIONS = {64: "50:195,50:195", 128: "100:380,100:380"}
"""Well-lit part of the reference, and of the twin's truth, by the side N of the patterns."""


def make_twin(
    star_folder: Path, window_px: int, rng: np.random.Generator, *, dose: float = 1.0
) -> Scan:
    """Simulate the scan that the reference of the star would give.

    What is solved from the real star can only be held against another reconstruction. The twin has the
    same corners, beam and counts, and its object is known exactly.

    Parameters
    ----------
    star_folder : Path
        Where siemens64.npz, siemens64_reference_3modes.npz and those of 128 lie.
    window_px : int
        64 or 128.
    rng : numpy.random.Generator
        Decides the photon noise.
    dose : float
        Counts as a multiple of the star's.

    Returns
    -------
    Scan
        Counts with Poisson noise. `object_` is the truth, with the pixels of the reference, and
        `probe` the reference's three modes, scaled with the dose. Around the reference the patterns
        see its outermost pixels repeated, for the few pixels that windows between pixels read
        beyond it.
    """
    star = load_scan(star_folder / f"siemens{window_px}.npz", quantity="counts")
    reference = star_folder / f"siemens{window_px}_reference_3modes.npz"
    truth, modes = load_object(reference), load_probe(reference)
    probe = modes * np.float32(np.sqrt(dose))
    padded = np.pad(truth.object_, MARGIN_PX, mode="edge").astype(np.complex128)
    corners_px = star.corners_px - np.array(truth.corner_px) + MARGIN_PX
    return Scan(
        patterns=diffract(padded, probe.astype(np.complex128), corners_px, rng),
        quantity="counts",
        corners_px=star.corners_px,
        probe=probe,
        object_=truth.object_,
        object_corner_px=truth.corner_px,
        name=f"twin of siemens{window_px}",
    )
