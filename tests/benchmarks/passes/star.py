"""The real star and its twin after some passes, and whole commands from a cold start."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
from material import command, run_cold
from star_twin import REGIONS, make_twin

from ptychonyx.runtime import Product, Scan, compare_objects, load_object, load_probe, load_scan
from ptychonyx.runtime.comparison.metrics import Comparison
from ptychonyx.runtime.formats.placed_object import PlacedObject
from ptychonyx.runtime.model.cores import num_cores
from ptychonyx.runtime.solving.options import SolvingOptions
from ptychonyx.runtime.solving.solve import solve

from .records import STAR, Row, is_missing, keep, load, verdict

NAME, COLD_NAME = "star", "cold"
WINDOWS_PX = (64, 128)
PASSES = (1, 2, 3, 5, 8, 10, 15, 20, 30)
COLD_PASSES = {64: (5, 8, 10, 15, 20), 128: (5, 8, 10, 15)}
COLD_TURNS = 3
BOUNDS = ((64, 0.992, 0.86, 2.0), (64, 0.995, 0.90, 4.0), (128, 0.994, 0.90, 15.0))
"""Side N, phase and amplitude Pearson, and the seconds within which a command should reach both."""
CALL = """
import sys
from ptychonyx.runtime import load_probe, load_scan, save_product
from ptychonyx.runtime.solving.options import SolvingOptions
from ptychonyx.runtime.solving.solve import solve
scan, probe, passes, out = sys.argv[1:]
options = SolvingOptions(passes=int(passes))
save_product(solve(load_scan(scan, quantity="counts"), options, probe=load_probe(probe)), out)
"""
"""What the command does, for as long as it needs a model."""


def scan_of(window_px: int) -> Path:
    """Return the file of the star's patterns."""
    if not STAR.is_dir():
        sys.exit(f"The real scan is not here ({STAR}); only `simulated` and `cost` do without it.")
    return STAR / f"siemens{window_px}.npz"


def reference_of(window_px: int) -> Path:
    """Return the file of the star's reference: an object and three modes."""
    return scan_of(window_px).with_name(f"siemens{window_px}_reference_3modes.npz")


def against_reference(result: Product | PlacedObject, window_px: int) -> Comparison:
    """Compare an object with the reference; the twin's truth is the same."""
    corner_px = result.object_corner_px if isinstance(result, Product) else result.corner_px
    reference = load_object(reference_of(window_px))
    return compare_objects(
        result.object_,
        reference.object_,
        corner_a=corner_px,
        corner_b=reference.corner_px,
        region=REGIONS[window_px],
    )


@cache
def scan_named(kind: str, window_px: int) -> Scan:
    """Return the star or its twin."""
    if kind == "twin":
        return make_twin(scan_of(window_px).parent, window_px, np.random.default_rng(0))
    return load_scan(scan_of(window_px), quantity="counts")


def run(*, again: bool) -> None:
    """Solve star and twin with rising numbers of passes, run the commands, and report."""
    for window_px in WINDOWS_PX:
        for passes in PASSES:
            for kind in ("star", "twin"):
                key = f"{kind}{window_px}-{passes:02}"
                if is_missing(NAME, key, again=again):
                    keep(NAME, {"key": key} | solved(kind, window_px, passes))
        for passes in COLD_PASSES[window_px]:
            key = f"cold{window_px}-{passes:02}"
            if is_missing(COLD_NAME, key, again=again):
                keep(COLD_NAME, {"key": key} | cold(window_px, passes))
    report()


def solved(kind: str, window_px: int, passes: int) -> Row:
    """Solve a scan with the reference's probe."""
    probe = load_probe(reference_of(window_px))
    product = solve(scan_named(kind, window_px), SolvingOptions(passes=passes), probe=probe)
    return scores(product, window_px) | {
        "residual": product.metadata["residual"],
        "seconds": product.metadata["total_s"],
        "cores": num_cores(),
    }


def scores(result: Product | PlacedObject, window_px: int) -> Row:
    """Return how alike a result and the reference are."""
    score = against_reference(result, window_px)
    return {
        "phase": score.phase_pearson,
        "amplitude": score.amplitude_pearson,
        "error": score.complex_nrmse,
    }


def cold(window_px: int, passes: int) -> Row:
    """Time a whole command, and look at what it wrote."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.h5"
        words = command_words(window_px, passes, out)
        seconds = []
        for _ in range(COLD_TURNS):
            out.unlink(missing_ok=True)
            seconds.append(run_cold(words)[0])
        result = load_object(out)
    return scores(result, window_px) | {
        "window_px": window_px,
        "passes": passes,
        "command": "ptychonyx" if can_solve() else "python",
        "seconds": statistics.median(seconds),
        "all_seconds": seconds,
        "cores": num_cores(),
    }


def command_words(window_px: int, passes: int, out: Path) -> list[str]:
    """Return the command line that solves the star without a model."""
    scan, probe = scan_of(window_px), reference_of(window_px)
    if not can_solve():
        return [sys.executable, "-c", CALL, *map(str, (scan, probe, passes, out))]
    options = ("--quantity", "counts", "--probe", probe, "--passes", passes)
    return command("reconstruct", scan, *options, "-o", out)


@cache
def can_solve() -> bool:
    """Tell whether `ptychonyx reconstruct` knows passes."""
    words = command("reconstruct", "--help")
    return "--passes" in subprocess.run(words, capture_output=True, text=True, check=True).stdout


def report() -> None:
    """Print the rows of record, and how soon commands reach what they should."""
    rows = load(NAME)
    for key, row in rows.items():
        print(
            f"{key:10} phase {row['phase']:.4f} amplitude {row['amplitude']:.4f} error "
            f"{row['error']:.4f} residual {100 * row['residual']:.3f} % {row['seconds']:.2f} s"
        )
    commands = load(COLD_NAME).values()
    for window_px, phase, amplitude, bound_s in BOUNDS:
        reached = [
            row["seconds"]
            for row in commands
            if row["window_px"] == window_px
            and row["phase"] >= phase
            and row["amplitude"] >= amplitude
        ]
        what = f"N = {window_px}: seconds of a cold command to {phase}/{amplitude}"
        verdict(what, min(reached, default=float("inf")), bound_s)
