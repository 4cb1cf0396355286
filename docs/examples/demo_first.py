# /// script
# dependencies = ["ptychonyx[cpu,compare,plot]"]
# ///
"""The first minute: simulate a scan, and solve it with the small runtime alone.

There are few photons, so the network that the runtime carries helps; once without it shows how much.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from pathlib import Path

from demo_commands import FOLDER, Scores, compare, draw, ptychonyx, show_table, until_stopped

SPECIMEN: tuple[object, ...] = (
    *("--object", "dead_leaves", "--num-patterns", 256, "--step-px", 5),
    *("--counts-per-pattern", 5000, "--num-modes", 1, "--seed", 3),
)
REGION = "24:132,24:132"
"""Where the beam has been often enough; pixels at the border of a scan hold little."""


@dataclass(frozen=True)
class Way:
    """One way to solve the scan: its file name, its title, and what `--solver` is told."""

    name: str
    title: str
    solver: str


WAYS = (
    Way("with-network", "with the shipped network", "shipped"),
    Way("passes-alone", "passes alone", "none"),
)


def solve_both(
    folder: Path,
    specimen: tuple[object, ...] = SPECIMEN,
    region: str = REGION,
    more: tuple[object, ...] = (),
) -> dict[str, Scores]:
    """Simulate and solve in a folder; return the scores of each way by its title."""
    folder.mkdir(parents=True, exist_ok=True)
    scan = folder / "first.npz"
    ptychonyx("simulate", *specimen, "--overwrite", "-o", scan)
    scores = {}
    for way in WAYS:
        product, began = folder / f"{way.name}.h5", time.monotonic()
        words = ("--quantity", "counts", "--solver", way.solver, *more, "-o", product)
        print(ptychonyx("reconstruct", scan, *words), end="")
        seconds = time.monotonic() - began
        scores[way.title] = compare(product, scan, region) | {"seconds": seconds}
    products = {way.title: folder / f"{way.name}.h5" for way in WAYS}
    draw(products, scan, region, folder / "first.png")
    return scores


def main() -> None:
    began = time.monotonic()
    print(
        "A specimen of overlapping disks, and 256 patterns of some 5000 photons each.", flush=True
    )
    scores = solve_both(FOLDER)
    show_table("Solved twice, against the truth", scores, FOLDER / "first.txt")
    seconds = time.monotonic() - began
    print(f"Picture: {FOLDER / 'first.png'}. {seconds:.0f} s, without any framework.")


if __name__ == "__main__":
    sys.exit(until_stopped(main))
