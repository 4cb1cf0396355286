"""What a pass costs: time of one core a pattern, and memory that should not grow with the scan."""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from time import perf_counter

from material import STEP_PX, long_scan, run_cold, small_scan

from .records import is_missing, keep, load, verdict
from .stepping import start_of, states

NAME = "cost"
NUM_TIMED = 500
TIMED_PASSES = 7
LENGTHS = (5_000, 50_000)
PASSES = 2
SOLVE = """
import sys
from ptychonyx.runtime import load_scan
from ptychonyx.runtime.solving.options import SolvingOptions
from ptychonyx.runtime.solving.solve import solve
solve(load_scan(sys.argv[1]), SolvingOptions(passes=int(sys.argv[2])))
"""


def run(*, again: bool) -> None:
    """Measure time and memory, and report."""
    if is_missing(NAME, "time", again=again):
        row = {"key": "time", "patterns": NUM_TIMED, "seconds_per_pass": seconds_per_pass()}
        keep(NAME, row)
    for num in LENGTHS:
        if is_missing(NAME, f"memory-{num}", again=again):
            seconds, peak = solved_elsewhere(num)
            keep(NAME, {"key": f"memory-{num}", "peak_mb": peak / 1e6, "seconds": seconds})
    report()


def seconds_per_pass() -> list[float]:
    """Return the time of each pass but the first over simulated patterns with three modes."""
    scan = small_scan(64, NUM_TIMED)
    assert scan.probe is not None
    assert len(scan.probe) == 3
    seconds = []
    with one_core():
        steps = states(*start_of(scan, scan.probe))
        next(steps)
        started_s = perf_counter()
        for _ in islice(steps, TIMED_PASSES - 1):
            seconds.append(perf_counter() - started_s)
            started_s = perf_counter()
    return seconds


@contextmanager
def one_core() -> Iterator[None]:
    """Keep this process, and the threads that it starts, on one core."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def solved_elsewhere(num: int) -> tuple[float, int]:
    """Return time and peak memory in bytes of solving patterns from files, in a process of its own.

    The denser the more patterns there are, so that the canvas is the same.
    """
    step_px = STEP_PX * (NUM_TIMED / num) ** 0.5
    with tempfile.TemporaryDirectory() as folder:
        scan = long_scan(num, step_px=step_px, within=Path(folder))
        seconds, peak, _ = run_cold([sys.executable, "-c", SOLVE, str(scan), str(PASSES)])
    return seconds, peak


def report() -> None:
    """Print the figures of record beside their bounds."""
    rows = load(NAME)
    if "time" in rows:
        one_ms = 1e3 * statistics.median(rows["time"]["seconds_per_pass"]) / NUM_TIMED
        verdict("ms of one core a pattern and pass, N = 64, three modes", one_ms, 0.5)
    peaks = [rows[key]["peak_mb"] for num in LENGTHS if (key := f"memory-{num}") in rows]
    if len(peaks) == len(LENGTHS):
        verdict(
            "peak memory of ten times the patterns on the same canvas", peaks[1] / peaks[0], 1.1
        )
        print(f"({peaks[0]:.0f} and {peaks[1]:.0f} MB)")
