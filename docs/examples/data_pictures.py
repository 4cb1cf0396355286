# /// script
# requires-python = ">=3.11"
# dependencies = ["ptychonyx[cpu,plot]"]
# ///
"""Draw the pictures of docs/guide/data.md: a simulated scan as it is, and with what beamlines do to scans.

python docs/examples/data_pictures.py docs/pictures
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from ptychonyx.runtime import Scan, SimulationOptions, Turn, check_scan, simulate_scan
from ptychonyx.runtime.orientation import check_orientation, orientation_finding
from ptychonyx.runtime.plot import plot_scan


def simulated() -> Scan:
    options = SimulationOptions(
        object_name="lines", num_patterns=400, window_px=64, step_px=5, counts_per_pattern=2e5
    )
    return replace(simulate_scan(options, np.random.default_rng(1)), name="scan")


def spoilt(scan: Scan) -> Scan:
    """Return the scan with a gap, bad pixels, clipped counts, lost frames and a far position."""
    patterns = np.array(scan.patterns)
    largest = np.percentile(patterns.max(axis=(1, 2)), 30).astype(np.uint32)
    patterns[250] *= 5000
    patterns[100:104] = 0
    patterns[:, 5, 6] += 20_000
    patterns = np.minimum(patterns, largest)
    patterns[:, 40:42] = 2**32 - 1
    bad = np.zeros((64, 64), np.bool_)
    bad[50:53] = True
    corners_px = scan.corners_px.copy()
    corners_px[7] = 2e4
    return replace(scan, patterns=patterns, bad_pixels=bad, corners_px=corners_px, frame=None)


def pack(path: Path) -> None:
    """Keep a picture in few colours and pixels: it comes with every clone."""
    with Image.open(path) as picture:
        small = picture.convert("RGB").resize((1800, 1800 * picture.height // picture.width))
    small.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)


def main(folder: Path) -> None:
    scan = simulated()
    flipped = Turn(flip="x").apply(scan)
    found = orientation_finding(check_orientation(flipped))
    assert found is not None
    plot_scan(scan, folder / "data-right.png")
    plot_scan(spoilt(scan), folder / "data-spoilt.png")
    plot_scan(flipped, folder / "data-flipped.png", findings=[*check_scan(flipped), found])
    for name in ("right", "spoilt", "flipped"):
        pack(folder / f"data-{name}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
