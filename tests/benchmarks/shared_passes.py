"""Two workers of one core each solve one large scan: how much sooner than one process, and the same?

    python tests/benchmarks/shared_passes.py
    python tests/benchmarks/shared_passes.py --patterns 2000 --passes 5    # a quick look

Whole commands from a cold start, with the same parallel passes. Two cores that nobody else uses are
needed for the ratio, none for the objects; how long cores worked is printed, too, which others hardly
change. Nothing gates on it.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

import numpy as np
from material import MATERIAL, command, run_cold
from passes.records import verdict
from performance import BUILD

from ptychonyx.runtime import SimulationOptions, load_product, save_scan, simulate_scan

OUT = BUILD / "shared-passes"
RATIO, DIFFERENCE = 1.6, 1e-5
"""How many times as fast two workers should be, and how far their object may be, relative l2."""
ALONE = """
import sys
from ptychonyx.runtime import load_scan, save_product
from ptychonyx.runtime.solving.options import SolvingOptions
from ptychonyx.runtime.solving.shares.local import solve_in_shares
scan, passes, out = sys.argv[1:]
options = SolvingOptions(passes=int(passes))
save_product(solve_in_shares(load_scan(scan), options, num_threads=1), out)
"""


def large_scan(num_patterns: int) -> Path:
    """Return a folder with a simulated scan of 64×64 patterns, made once."""
    folder = MATERIAL / f"shared-{num_patterns}"
    if not (folder / "diffraction.h5").exists():
        spec = SimulationOptions(num_patterns=num_patterns, window_px=64, step_px=6)
        save_scan(simulate_scan(spec, np.random.default_rng(0)), folder)
    return folder


def alone_s(scan: Path, passes: int) -> tuple[float, float]:
    """Solve a scan in one process on one core; return its seconds, and those that cores worked."""
    core = str(max(os.sched_getaffinity(0)))
    words = [sys.executable, "-c", ALONE, str(scan), str(passes), str(OUT / "alone.h5")]
    seconds, _, core_s = run_cold(["taskset", "-c", core, *words])
    return seconds, core_s


def together_s(scan: Path, passes: int, num_patterns: int) -> tuple[float, float]:
    """Solve it with two workers of one thread each; return the same."""
    half = (num_patterns + 1) // 2
    options = ("--passes", passes, "--workers", 2, "--split-patterns", half)
    words = command("reconstruct-many", scan, *options, "-o", OUT / "fleet")
    seconds, _, core_s = run_cold(words)
    return seconds, core_s


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure passes that two workers share.")
    parser.add_argument("--patterns", type=int, default=20_000)
    parser.add_argument("--passes", type=int, default=10)
    given = parser.parse_args()
    scan = large_scan(given.patterns)
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    together = together_s(scan, given.passes, given.patterns)
    alone = alone_s(scan, given.passes)
    one = load_product(OUT / "alone.h5")
    two = load_product(next((OUT / "fleet").glob("*.h5")))
    told = {name: two.metadata[name] for name in ("shares", "workers", "passes", "repeats")}
    print(f"{given.patterns} patterns, {told}")
    for who, (seconds, core_s) in (("one process", alone), ("two workers", together)):
        print(f"{who}: {seconds:.1f} s; cores worked {core_s:.1f} s")
    ratio = alone[0] / together[0]
    verdict("times as fast with two workers of one core", ratio, RATIO, at_least=True)
    difference = float(np.linalg.norm(two.object_ - one.object_) / np.linalg.norm(one.object_))
    verdict("relative l2 of their objects", difference, DIFFERENCE)


if __name__ == "__main__":
    main()
