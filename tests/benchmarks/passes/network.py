"""Simulated scans of all kinds, doses and overlaps, solved with the network that ships and without.

None of these scans was drawn in training: its seeds are others, and these have the kinds of objects and
beams of `simulate`, of which training knows the former only.
"""

from __future__ import annotations

import statistics
from itertools import product

import numpy as np

from ptychonyx.runtime import SimulationOptions, simulate_scan
from ptychonyx.runtime.simulation.objects import OBJECTS
from ptychonyx.runtime.simulation.probes import PROBES
from ptychonyx.runtime.solving.options import SolvingOptions
from ptychonyx.runtime.solving.solve import solve

from .records import Row, is_missing, keep, load, verdict
from .simulated import Judge, beam_diameter_px
from .stepping import start_of

NAME = "network"
SEED = 3000
WINDOW_PX = 64
DOSES = (1e3, 1e4, 1e6)
OVERLAPS = (0.5, 0.7, 0.85)
SCANS_EACH = 1
FIXED_PASSES = 10
WAYS = {
    "network": SolvingOptions(residual_patterns=0),
    "passes": SolvingOptions(residual_patterns=0, solver="none"),
    "poisson": SolvingOptions(residual_patterns=0, solver="none", noise="poisson"),
}


def measure(kind: str, dose: float, overlap: float, number: int) -> Row:
    """Solve one scan in all ways, and return the relative errors."""
    place = list(OBJECTS).index(kind), DOSES.index(dose), OVERLAPS.index(overlap)
    rng = np.random.default_rng([SEED, *place, number])
    probe_name, num_modes = str(rng.choice(list(PROBES))), int(rng.integers(1, 4))
    diameter_px = beam_diameter_px(PROBES[probe_name](WINDOW_PX, num_modes))
    options = SimulationOptions(
        object_name=kind,
        probe_name=probe_name,
        positions_name="raster" if rng.random() < 0.5 else "spiral",
        num_patterns=int(rng.integers(36, 145)),
        window_px=WINDOW_PX,
        step_px=(1 - overlap) * diameter_px,
        counts_per_pattern=dose,
        num_modes=num_modes,
        amplitude_range=(float(rng.uniform(0.3, 0.95)), 1.0),
        phase_range_rad=(-1.0, 1.0),
        is_one_material=bool(rng.random() < 0.3),
    )
    scan = simulate_scan(options, rng)
    assert scan.probe is not None
    problem, first = start_of(scan, scan.probe)
    light = problem.placement.overlaid(first.beam.intensity)
    judge = Judge(scan, light, problem.placement.corner_px)
    row: Row = {"object": kind, "counts": dose, "overlap": overlap, "probe": probe_name}
    for way, solving in WAYS.items():
        for name, passes in (("auto", "auto"), ("fixed", FIXED_PASSES)):
            found = solve(scan, _with_passes(solving, passes))
            row[f"{way} {name}"] = judge.error(found.object_, found.object_corner_px)
            if way == "network":
                row[f"use {name}"] = found.metadata.get("use_of_network")
    return row


def _with_passes(options: SolvingOptions, passes: int | str) -> SolvingOptions:
    return SolvingOptions(
        passes=passes,
        residual_patterns=options.residual_patterns,
        solver=options.solver,
        noise=options.noise,
    )


def run(*, again: bool) -> None:
    """Measure what is not on record, and report."""
    for kind, dose, overlap in product(OBJECTS, DOSES, OVERLAPS):
        for number in range(SCANS_EACH):
            key = f"{kind}, {dose:g} counts, overlap {overlap}, {number}"
            if is_missing(NAME, key, again=again):
                keep(NAME, {"key": key} | measure(kind, dose, overlap, number))
    report()


def report() -> None:
    """Print for each dose and overlap the median ratio of the network's error to the best classical."""
    rows = list(load(NAME).values())
    for name in ("fixed", "auto"):
        for dose, overlap in product(DOSES, OVERLAPS):
            chosen = [r for r in rows if (r["counts"], r["overlap"]) == (dose, overlap)]
            if chosen:
                print_cell(chosen, name, f"{dose:g} counts, overlap {overlap}, {name}")


def print_cell(rows: list[Row], name: str, what: str) -> None:
    """Print the medians of one dose and overlap, and the worst ratio."""
    ours = [row[f"network {name}"] for row in rows]
    best = [min(row[f"passes {name}"], row[f"poisson {name}"]) for row in rows]
    ratios = [a / b for a, b in zip(ours, best, strict=True)]
    used = sum(str(row[f"use {name}"]).startswith("used") for row in rows)
    verdict(f"{what}: error beside classical (used in {used} of {len(rows)})",
            statistics.median(ours), 0.9 * statistics.median(best))  # fmt: skip
    verdict(f"{what}: largest ratio", max(ratios), 1.03)
