"""Measure what the house promises about speed and memory, each figure beside its bound.

    python tests/benchmarks/bounds.py

Nothing gates on this: time and memory of a shared machine say little about one change. A bound that
is crossed on a quiet machine, time after time, is a regression. `make bench` ends with this table.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import end_to_end
import material
import numpy as np
import plain_stitching
import stitching
from numpy.typing import NDArray

from ptychonyx.runtime.stitching.patches import patch_weights

MODEL = Path(__file__).parents[2] / "tests" / "models" / "small-pytorch" / "model.onnx"
HELP = "from ptychonyx.cli import main; main()"
TURNS = 5


@dataclass(frozen=True)
class Figure:
    """What was measured, and what it should not exceed."""

    name: str
    value: float
    bound: float
    unit: str

    def __str__(self) -> str:
        verdict = "holds" if self.value <= self.bound else "CROSSED"
        return f"{self.name:64} {self.value:9.3g} {self.bound:9.3g} {self.unit:6} {verdict}"


def seconds_of(words: list[str]) -> float:
    """Return the median time of a command."""
    times = []
    for _ in range(TURNS):
        started_s = time.perf_counter()
        subprocess.run(words, check=True, capture_output=True)
        times.append(time.perf_counter() - started_s)
    return statistics.median(times)


def start_up() -> Iterator[Figure]:
    words = [sys.executable, "-c", HELP, "--help"]
    yield Figure("ptychonyx --help", seconds_of(words), 0.3, "s")
    ours = seconds_of([sys.executable, "-c", "import ptychonyx.runtime"])
    numpy = seconds_of([sys.executable, "-c", "import numpy, h5py"])
    yield Figure("import ptychonyx.runtime, over numpy and h5py", ours - numpy, 0.15, "s")


def end_to_end_time(folder: Path) -> Iterator[Figure]:
    scan, product = material.long_scan(2_000, within=folder), folder / "out.h5"
    turns = [end_to_end.turn(scan, MODEL, product) for _ in range(2)]
    one = min(turns, key=lambda turn: turn["command"])
    yield Figure(
        "reconstruct 2,000 patterns, over 1.5 times the network alone",
        one["command"] - 1.5 * one["network"],
        3,
        "s",
    )


def memory(folder: Path) -> Iterator[Figure]:
    peaks = []
    for num in (500, 5_000):
        step_px = material.STEP_PX * (500 / num) ** 0.5
        scan = material.long_scan(num, step_px=step_px, name=f"dense-{num}", within=folder)
        words = material.command("reconstruct", scan, "-m", MODEL, "-o", folder / "out.h5")
        peaks.append(material.run_cold(words)[1])
    yield Figure("memory of ten times the patterns", peaks[1] / peaks[0], 1.25, "times")
    yield Figure("memory of reconstructing 5,000 patterns", peaks[1] / 1e6, 700, "MB")
    bare = material.run_cold([sys.executable, "-c", "print(1)"])[1]
    yield Figure("memory of a Python that does nothing (the yardstick)", bare / 1e6, 100, "MB")


def stitching_time() -> Iterator[Figure]:
    def median_us(make: Callable[[], object], corners_px: NDArray[np.float64]) -> float:
        return statistics.median(stitching.speed(make, corners_px) for _ in range(TURNS))

    small, large = (
        median_us(partial(stitching.mosaic_of, side), stitching.raster(side, 512))
        for side in (512, 4096)
    )
    yield Figure("stitching on a canvas of 4096² against 512²", large / small, 2.5, "times")
    weights = patch_weights(None, stitching.PATCH_PX)
    corners_px = stitching.corners("random", 28, np.random.default_rng(0))[:128]
    plain = median_us(partial(stitching.Plain, plain_stitching.bilinear, weights), corners_px)
    ours = median_us(partial(stitching.mosaic_of, stitching.SIDE_PX), corners_px)
    yield Figure("stitching against a plain bilinear scatter", ours / plain, 1, "times")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(f"{'':64} {'measured':>9} {'bound':>9}")
        for figures in (start_up(), stitching_time(), memory(folder), end_to_end_time(folder)):
            for figure in figures:
                print(figure, flush=True)


if __name__ == "__main__":
    main()
