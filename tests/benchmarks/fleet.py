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


def took(
    given: list[Path], model: Path, *, core: int | None = None, split: int = 20_000
) -> tuple[float, float]:
    """Return wall time and cores' time of the whole command, on one core or on all.

    A fleet that fails raises: `run_cold` sees its exit code.
    """
    output = BUILD / "fleet"
    shutil.rmtree(output, ignore_errors=True)
    words = command(
        "reconstruct-many", *given, "-m", model, "-o", output, "--split-patterns", split
    )
    pinned = [] if core is None else ["taskset", "-c", str(core)]
    wall_s, _, core_s = run_cold([*pinned, *words])
    return wall_s, core_s


def section() -> str:
    model = untrained_model("cnn-f1-n64", filters=1.0)
    one = [long_scan(NUM_SCANS * NUM_PATTERNS)]
    num_cores, total = len(os.sched_getaffinity(0)), NUM_SCANS * NUM_PATTERNS
    on_all = f"{num_cores} cores, {num_cores} workers"
    ways = {
        f"{NUM_SCANS} scans, one core, one worker": partial(took, scans(), model, core=0),
        f"{NUM_SCANS} scans, {on_all}": partial(took, scans(), model),
        f"one scan in {NUM_SCANS} parts, {on_all}": partial(took, one, model, split=NUM_PATTERNS),
    }
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for turn in range(NUM_TURNS):
        for name, run in ways.items():
            times[name].append(remember(__file__, f"{name}, {turn}", run))
    core_ms = {name: [1000 * core_s / total for _, core_s in each] for name, each in times.items()}
    each_ms = statistics.median(core_ms[f"{NUM_SCANS} scans, {on_all}"])
    hours = DAY_SCANS * DAY_PATTERNS * each_ms / 1000 / 3600
    return "\n".join(
        [
            f"## Fleets\n\n{remake(__file__)}",
            f"`ptychonyx reconstruct-many` from a cold process to the report, `cnn` F = 1, {total:,} "
            "patterns of 64×64 in all. Everything is counted, from starting Dask and its workers to their "
            "end: the time on the clock, and how long cores worked for a pattern.\n",
            table(
                ("", "seconds on the clock", "ms of a core for a pattern"),
                [
                    (name, spread([wall_s for wall_s, _ in times[name]], 1), spread(core_ms[name]))
                    for name in ways
                ],
            ),
            f"With {each_ms:.2f} ms for a pattern, {DAY_SCANS:,} scans of {DAY_PATTERNS:,} patterns would "
            f"take {hours:.1f} hours of one core: an estimate, see [fleet.md](fleet.md).\n",
        ]
    )


if __name__ == "__main__":
    write_section(__file__, section())
