"""What every yardstick needs to be at its best; a helper of benchmarks, not one itself."""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping

from performance import processor

SETTINGS = {
    # the C library gives large arrays back to the system after each call, and PyTorch pays for it
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "4294967296",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
SECONDS = 0.15
"""Each turn of a variant repeats its call for so long."""


def start_again_fairly() -> None:
    """Start this script again with `SETTINGS`, which are read when a process starts."""
    settings = dict(SETTINGS)
    if "avx512f" in processor():
        settings["OPENBLAS_CORETYPE"] = "SkylakeX"  # NumPy's products may be held to older cores
    if any(os.environ.get(key) != value for key, value in settings.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | settings)


def take_turns(
    calls: Mapping[str, Callable[[], object]], *, num_turns: int
) -> dict[str, list[float]]:
    """Return seconds of one call, one value a turn; variants take turns, after one call of each."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(num_turns):
        for name, call in calls.items():
            seconds[name].append(_seconds(call))
    return seconds


def _seconds(call: Callable[[], object]) -> float:
    """Return the median of calls that take `SECONDS` together, at least one."""
    times: list[float] = []
    while not times or sum(times) < SECONDS:
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return statistics.median(times)
