"""A hundred simulated scans of all kinds: does the automatic stop hit, does anything diverge?"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from itertools import islice
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from ptychonyx.runtime import Scan
from ptychonyx.runtime.comparison.align import align
from ptychonyx.runtime.comparison.metrics import nrmse
from ptychonyx.runtime.simulation.scan import (
    OBJECTS,
    POSITIONS,
    PROBES,
    SimulationOptions,
    simulate_scan,
)
from ptychonyx.runtime.solving.options import MAX_PASSES, SolvingOptions
from ptychonyx.runtime.solving.solve import solve

from . import epie
from .records import Row, is_missing, keep, load, verdict
from .stepping import start_of, states

NAME = "simulated"
NUM_SCANS = 100
SEED = 2026
EPIE_PASSES = 50
EPIE_NOTED = (1, 2, 3, 5, 10, 20, 30, 40, 50)
WELL_LIT = 0.1
"""Compared are pixels with at least this share of the median light between the outermost beams."""
CLOSE = 1.02
"""An automatic stop hits if its error is at most this multiple of the best."""


@dataclass(frozen=True)
class Drawn:
    """A simulated scan, and what was drawn for it."""

    options: SimulationOptions
    overlap: float
    scan: Scan


def draw(index: int) -> Drawn:
    """Draw a scan: object kinds and modes in turn, all else at random from its number.

    The overlap is 1 − step / diameter of the beam, where the diameter is that of a flat disk with the
    same Σ I and Σ I²: `beam_diameter_px`.
    """
    rng = np.random.default_rng([SEED, index])
    window_px = int(rng.choice([32, 64, 64]))
    probe_name, num_modes = str(rng.choice(list(PROBES))), 1 + index // len(OBJECTS) % 4
    overlap = float(rng.uniform(0.6, 0.95))
    diameter_px = beam_diameter_px(PROBES[probe_name](window_px, num_modes))
    reach = float(np.exp(rng.uniform(np.log(0.1), np.log(1.5))))
    options = SimulationOptions(
        object_name=list(OBJECTS)[index % len(OBJECTS)],
        probe_name=probe_name,
        positions_name=str(rng.choice(list(POSITIONS))),
        num_patterns=int(rng.integers(64, 201)),
        window_px=window_px,
        step_px=(1 - overlap) * diameter_px,
        counts_per_pattern=float(np.exp(rng.uniform(np.log(5e2), np.log(1e7)))),
        num_modes=num_modes,
        amplitude_range=(float(rng.uniform(0.3, 0.95)), 1.0),
        phase_range_rad=(-reach, reach),
        is_one_material=bool(rng.random() < 0.3),
    )
    return Drawn(options, overlap, simulate_scan(options, rng))


def beam_diameter_px(probe: NDArray[np.complexfloating]) -> float:
    """Return the diameter of a flat disk with the same Σ I and Σ I² as the beam."""
    intensity = np.square(np.abs(probe)).sum(axis=0)
    area = intensity.sum() ** 2 / np.square(intensity).sum()
    return float(2 * np.sqrt(area / np.pi))


class Judge:
    """Tell how far an object on the canvas of a scan is from its truth."""

    def __init__(self, scan: Scan, light: NDArray[np.float32], corner_px: tuple[int, int]) -> None:
        assert scan.object_ is not None
        self._truth, self._scan, self._corner_px = scan.object_, scan, corner_px
        centers = scan.corners_px + scan.window_px / 2 - np.array(corner_px)
        low, high = np.ceil(centers.min(axis=0)), np.floor(centers.max(axis=0)) + 1
        inside = slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))
        self._is_lit: NDArray[np.bool_] = np.zeros_like(light, np.bool_)
        self._is_lit[inside] = light[inside] >= WELL_LIT * np.median(light[inside])

    def error(
        self, object_: NDArray[np.complex64], corner_px: tuple[float, float] | None = None
    ) -> float:
        """Return ‖a − b‖/‖b‖ over well-lit pixels after what `compare_objects` removes."""
        if corner_px is not None:
            corners = zip(self._corner_px, corner_px, strict=True)
            top, left = (round(own - its) for own, its in corners)
            height, width = self._is_lit.shape
            object_ = object_[top : top + height, left : left + width]
        if not np.isfinite(object_[self._is_lit]).all():
            return float("inf")
        aligned = align(
            object_,
            self._truth,
            corner_a=self._corner_px,
            corner_b=self._scan.object_corner_px,
            mask_a=self._is_lit,
        )
        return nrmse(aligned.a, aligned.b, aligned.is_valid)


def measure(index: int) -> Row:
    """Solve one scan in all ways; return what was drawn and how well it went."""
    drawn = draw(index)
    scan, probe = drawn.scan, drawn.scan.probe
    assert probe is not None
    problem, first = start_of(scan, probe)
    placement = problem.placement
    judge = Judge(scan, placement.overlaid(first.beam.intensity), placement.corner_px)
    errors, residuals = [judge.error(first.object_)], []
    started_s = perf_counter()
    for state in islice(states(problem, first), MAX_PASSES):
        errors.append(judge.error(state.object_))
        residuals.append(state.residual)
    steps_s, started_s = perf_counter() - started_s, perf_counter()
    product = solve(scan, SolvingOptions(residual_patterns=0, solver="none"))
    auto_s, started_s = perf_counter() - started_s, perf_counter()
    others = epie.passes(
        epie.Task(problem.measured.kept, probe, placement.whole_px + placement.fractions_px),
        first.object_.copy(),
        np.random.default_rng(index),
    )
    noted = {
        number: judge.error(object_)
        for number, object_ in enumerate(islice(others, EPIE_PASSES), 1)
        if number in EPIE_NOTED
    }
    options = drawn.options
    return {
        "key": f"{index:03}",
        "object": options.object_name,
        "one_material": options.is_one_material,
        "probe": options.probe_name,
        "modes": options.num_modes,
        "positions": options.positions_name,
        "patterns": options.num_patterns,
        "window_px": options.window_px,
        "step_px": options.step_px,
        "overlap": drawn.overlap,
        "counts": options.counts_per_pattern,
        "lowest_amplitude": options.amplitude_range[0],
        "phase_reach_rad": options.phase_range_rad[1],
        "best_pass": int(np.argmin(errors[1:])) + 1,
        "best": min(errors[1:]),
        "auto_pass": int(product.metadata["passes"]),
        "auto": judge.error(product.object_, product.object_corner_px),
        "epie": noted[EPIE_PASSES],
        "diverges": diverges(errors, residuals),
        "errors": errors,
        "residuals": residuals,
        "epie_errors": list(noted.values()),
        "seconds": [steps_s, auto_s, perf_counter() - started_s],
    }


def diverges(errors: list[float], residuals: list[float]) -> bool:
    """Tell whether passes lead away: to no number, or to a larger residual than the first pass met."""
    return not np.isfinite([*errors, *residuals]).all() or max(residuals[1:]) > residuals[0]


def run(first: int, last: int, *, again: bool) -> None:
    """Measure those of some scans that are not on record, and report on all that are."""
    for index in range(first, last):
        if is_missing(NAME, f"{index:03}", again=again):
            keep(NAME, measure(index))
    report()


def report() -> None:
    """Print the figures of all rows of record beside their bounds."""
    rows = list(load(NAME).values())
    ratios = [row["auto"] / row["best"] for row in rows]
    hits = 100 * sum(ratio <= CLOSE for ratio in ratios) / len(rows)
    print(f"{len(rows)} of {NUM_SCANS} scans are on record.")
    verdict("automatic stop at most 2 % worse than the best pass, of 100", hits, 90, at_least=True)
    verdict("scans that diverge", sum(row["diverges"] for row in rows), 0)
    ours, theirs = (statistics.median(row[name] for row in rows) for name in ("auto", "epie"))
    verdict("median error of the automatic stop, beside that of ePIE's 50 passes", ours, theirs)
    best = statistics.median(min(row["epie_errors"]) for row in rows)
    print(f"(ePIE's best of the passes noted, chosen in hindsight: {best:.4g})")
    for row, ratio in sorted(zip(rows, ratios, strict=True), key=lambda pair: -pair[1]):
        if ratio > CLOSE or row["diverges"]:
            print(f"  {describe(row)}: {ratio:.3f} times the best{', diverges' * row['diverges']}")


def describe(row: Row) -> str:
    """Return a row in a line."""
    return (
        f"{row['key']} {row['object']}, {row['probe']} beam, {row['modes']} modes, "
        f"{row['positions']}, {row['patterns']} patterns of {row['window_px']}, overlap "
        f"{row['overlap']:.2f}, {row['counts']:.2g} counts; stop {row['auto_pass']}, best "
        f"{row['best_pass']}"
    )
