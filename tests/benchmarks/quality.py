"""How good is a trained network? A fixed table of trainings in both backends; run by `make quality`.

Each training is a process of its own and leaves one JSON file and its pictures in build/quality; those
that are there already are not run again, so the table can be made in parts. `report` makes rows of record
of all that is there, and docs/measurements/quality.md of the rows (`quality_page.py`); what was not run
again keeps its row.

    python tests/benchmarks/quality.py list
    python tests/benchmarks/quality.py run star64 pytorch 0
    python tests/benchmarks/quality.py score star64 pytorch 0    # its model again, after a metric changed
    python tests/benchmarks/quality.py all
    python tests/benchmarks/quality.py report
"""

from __future__ import annotations

import dataclasses
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import quality_page
import yaml
from numpy.typing import NDArray

from ptychonyx.export import export_run
from ptychonyx.runtime import (
    Model,
    compare_objects,
    load_object,
    load_probe,
    load_scan,
    reconstruct,
)
from ptychonyx.runtime.formats.placed_object import PlacedObject
from ptychonyx.runtime.plot import plot_comparison
from ptychonyx.runtime.scan import Scan
from ptychonyx.runtime.simulation.scan import SimulationOptions, simulate_scan
from ptychonyx.training import BACKENDS, TrainingConfig, train
from ptychonyx.training.run import open_run

ROOT = Path(__file__).parents[2]
STAR = ROOT.parent / "shared" / "data" / "velociprobe_siemens_star"
RESULTS = ROOT / "build" / "quality"
SETTINGS: dict[str, Any] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())
SEEDS = (0, 1, 2)
SHORT_SEEDS = (0, 1, 2, 3, 4)
"""Of the short trainings at N = 128, which only ask whether a training collapses."""


@dataclass(frozen=True)
class Data:
    """What to train on, what to reconstruct, and what to hold it against."""

    training: list[Scan]
    unseen: Scan
    truth: PlacedObject
    region: str | None = None
    probe: NDArray[np.complex64] | None = None


@dataclass(frozen=True)
class Case:
    """One row of the table: data, and which settings to train with."""

    load: Callable[[], Data]
    settings: str
    seeds: tuple[int, ...] = SEEDS


def star(window_px: int, *, half: bool) -> Data:
    """Load the real star; if `half`, train on the lower half in y and score on the upper one."""
    if not STAR.is_dir():
        sys.exit(f"The real scan is not here ({STAR}); leave out the cases of the star.")
    scan = load_scan(STAR / f"siemens{window_px}.npz", quantity="counts")
    reference = STAR / f"siemens{window_px}_reference_3modes.npz"
    truth, probe = load_object(reference), load_probe(reference)
    y0, y1, x0, x1 = (50, 195, 50, 195) if window_px == 64 else (100, 380, 100, 380)
    if not half:
        return Data([scan], scan, truth, f"{y0}:{y1},{x0}:{x1}", probe)
    middle = float(np.median(scan.corners_px[:, 0]))
    upper = int(np.ceil(middle + window_px / 2))
    lower = part_of(scan, scan.corners_px[:, 0] < middle)
    return Data([lower], scan, truth, f"{upper}:{y1},{x0}:{x1}", probe)


def part_of(scan: Scan, chosen: NDArray[np.bool_]) -> Scan:
    indexes = np.flatnonzero(chosen)
    patterns = np.asarray(scan.patterns[0 : scan.num_patterns])[indexes]
    return dataclasses.replace(
        scan, patterns=patterns, corners_px=scan.corners_px[indexes], position_indexes=None
    )


def simulated(kind: str, window_px: int) -> Data:
    """Simulate the training scans and one of another object."""
    values = SETTINGS["simulated"][kind]
    ranges = {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
    numbers = {key: float(values[key]) for key in ("step_px", "counts_per_pattern")}
    factor = window_px / 64
    spec = SimulationOptions(**(values | ranges | numbers | {"window_px": window_px}))
    spec = dataclasses.replace(spec, step_px=spec.step_px * factor)
    *training, unseen = (
        simulate_scan(spec, np.random.default_rng(seed))
        for seed in (*range(1, SETTINGS["num_training_scans"] + 1), SETTINGS["held_out_seed"])
    )
    assert unseen.object_ is not None
    truth = PlacedObject(unseen.object_, unseen.object_corner_px)
    return Data(training, unseen, truth, scanned_region(unseen))


def scanned_region(scan: Scan) -> str:
    """Return the rows and columns between the outermost centers of the beam.

    Beyond them only the beam's faint rim fell, and from one side.
    """
    centers = scan.corners_px + scan.window_px / 2 - np.array(scan.object_corner_px)
    y0, x0 = np.ceil(centers.min(axis=0)).astype(int)
    y1, x1 = np.floor(centers.max(axis=0)).astype(int)
    return f"{y0}:{y1},{x0}:{x1}"


def cases() -> dict[str, Case]:
    found: dict[str, Case] = {}
    for window_px in (64, 128):
        for half in (False, True):
            name = f"star{window_px}" + ("-half" if half else "")
            found[name] = Case(partial(star, window_px, half=half), f"star{window_px}")
        for kind in SETTINGS["simulated"]:
            for num_channels in (1, 4):
                found[f"{kind}{window_px}-C{num_channels}"] = Case(
                    partial(simulated, kind, window_px), f"simulated-C{num_channels}"
                )
    found["star128-short"] = Case(partial(star, 128, half=False), "star128-short", SHORT_SEEDS)
    return found


def run(name: str, backend: str, seed: int) -> dict[str, Any]:
    """Train and export; return what it cost."""
    case = cases()[name]
    data = case.load()
    config = TrainingConfig(backend=backend, seed=seed, **SETTINGS["training"][case.settings])
    folder = RESULTS / f"{name}-{backend}-{seed}"
    started = time.process_time()  # cores may be shared with other work
    train(data.training, config, folder / "run", probe=data.probe, overwrite=True)
    core_s = time.process_time() - started
    export_run(folder / "run", folder / "model.onnx")
    rates = [float(row["samples_per_s"]) for row in open_run(folder / "run").history()[2:]]
    return {
        "case": name,
        "backend": backend,
        "seed": seed,
        "core_s": core_s,
        "samples_per_s": float(np.median(rates)) if rates else None,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def score(name: str, backend: str, seed: int) -> dict[str, Any]:
    """Reconstruct with the exported model, compare, and draw; return the metrics."""
    data = cases()[name].load()
    folder = RESULTS / f"{name}-{backend}-{seed}"
    model = Model(folder / "model.onnx", provider="cpu")
    product = reconstruct(data.unseen, model)
    result = compare_objects(
        product.object_,
        data.truth.object_,
        corner_a=product.object_corner_px,
        corner_b=data.truth.corner_px,
        mask_a=None if product.coverage is None else product.coverage > 0,
        region=data.region,
    )
    plot_comparison(result, folder / "picture.png", names=(backend, "reference"))
    return result.metrics() | {"residual": product.metadata.get("residual")}


def write_row(name: str, backend: str, seed: int, *, only_score: bool = False) -> None:
    path = RESULTS / f"{name}-{backend}-{seed}.json"
    row = json.loads(path.read_text()) if only_score else run(name, backend, seed)
    row |= score(name, backend, seed)
    path.write_text(json.dumps(row, indent=1) + "\n")
    print(json.dumps(row))


def missing() -> Iterator[tuple[str, str, int]]:
    for seed in SHORT_SEEDS:
        for name, case in cases().items():
            for backend in BACKENDS:
                if seed in case.seeds and not (RESULTS / f"{name}-{backend}-{seed}.json").exists():
                    yield name, backend, seed


def run_all() -> None:
    """Run what is missing, each in a process of its own, so that its memory can be told."""
    for name, backend, seed in missing():
        print(name, backend, seed, flush=True)
        command = [sys.executable, __file__, "run", name, backend, str(seed)]
        subprocess.run(command, check=True)


def report() -> None:
    """Make rows of record of the results that are there, and the page of all rows of record."""
    results = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    for name, backend in places():
        found = [one for one in results if (one["case"], one["backend"]) == (name, backend)]
        if found:
            row = quality_page.merged(found)
            quality_page.keep(row)
            folder = RESULTS / f"{name}-{backend}-{row.seeds[0]}"
            quality_page.keep_picture(folder / "picture.png", row)
    quality_page.PAGE.write_text(quality_page.page(places()))


def places() -> list[tuple[str, str]]:
    """Return all cases with their backends, in the order of the page."""
    return [(name, backend) for name in cases() for backend in BACKENDS]


def main(words: list[str]) -> None:
    RESULTS.mkdir(parents=True, exist_ok=True)
    match words:
        case ["list"]:
            print(*cases(), sep="\n")
        case ["run", name, backend, seed]:
            write_row(name, backend, int(seed))
        case ["score", name, backend, seed]:
            write_row(name, backend, int(seed), only_score=True)
        case ["all"]:
            run_all()
            report()
        case ["report"]:
            report()
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
