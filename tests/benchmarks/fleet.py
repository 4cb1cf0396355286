"""Fleets: scans on one core and on all, and one scan split among workers."""

from __future__ import annotations

import os
import shutil
import statistics
from functools import partial
from pathlib import Path

from material import MATERIAL, command, long_scan, run_cold, untrained_model
from performance import BUILD, remake, remember, spread, table, write_section

NUM_TURNS = 2
NUM_SCANS, NUM_PATTERNS = 6, 1_000
DAY_SCANS, DAY_PATTERNS = 1_000, 10_000


def scans() -> list[Path]:
    """Return folders that hold the same scan; a fleet takes them for different ones."""
    folder = long_scan(NUM_PATTERNS)
    copies = [MATERIAL / f"fleet-{number}" for number in range(NUM_SCANS)]
    for copy in copies:
        copy.mkdir(exist_ok=True)
        for file in folder.glob("*.h5"):
            if not (copy / file.name).exists():
                os.link(file, copy / file.name)
    return copies


def core_s(
    given: list[Path], model: Path, *, core: int | None = None, split: int = 20_000
) -> float:
    """Return how long cores worked for the whole command, on one core or on all.

    That, and not the time on the clock, is what a fleet is planned with; and others who use the
    machine at the same time hardly change it.
    """
    output = BUILD / "fleet"
    shutil.rmtree(output, ignore_errors=True)
    words = command(
        "reconstruct-many", *given, "-m", model, "-o", output, "--split-patterns", split
    )
    pinned = [] if core is None else ["taskset", "-c", str(core)]
    return run_cold([*pinned, *words])[2]


def section() -> str:
    model = untrained_model("cnn-f1-n64", filters=1.0)
    one = [long_scan(NUM_SCANS * NUM_PATTERNS)]
    num_cores, total = len(os.sched_getaffinity(0)), NUM_SCANS * NUM_PATTERNS
    on_all = f"{num_cores} cores, {num_cores} workers"
    ways = {
        f"{NUM_SCANS} scans, one core, one worker": partial(core_s, scans(), model, core=0),
        f"{NUM_SCANS} scans, {on_all}": partial(core_s, scans(), model),
        f"one scan in {NUM_SCANS} parts, {on_all}": partial(core_s, one, model, split=NUM_PATTERNS),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(NUM_TURNS):
        for name, run in ways.items():
            times[name].append(1000 * remember(__file__, f"{name}, {turn}", run) / total)
    each_ms = statistics.median(times[f"{NUM_SCANS} scans, {on_all}"])
    hours = DAY_SCANS * DAY_PATTERNS * each_ms / 1000 / 3600
    return "\n".join(
        [
            f"## Fleets\n\n{remake(__file__)}",
            f"`ptychonyx reconstruct-many`, `cnn` F = 1, {total:,} patterns of 64×64 in all: how long cores "
            "worked for a pattern. Everything is counted, from starting Dask and its workers to the "
            "report and their end.\n",
            table(
                ("", "ms of a core for a pattern"),
                [(name, spread(values)) for name, values in times.items()],
            ),
            f"With {each_ms:.2f} ms for a pattern, {DAY_SCANS:,} scans of {DAY_PATTERNS:,} patterns would "
            f"take {hours:.1f} hours of one core: an estimate, see [fleet.md](../guide/fleet.md).\n",
        ]
    )


if __name__ == "__main__":
    write_section(__file__, section())
