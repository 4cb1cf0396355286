"""How good is a trained network? A fixed table of trainings in both backends; run by `make quality`.

Each training is a process of its own and leaves one JSON file and its pictures in build/quality; those
that are there already are not run again, so the table can be made in parts. `report` writes
docs/quality.md of all that is there, and of what `performance.py throughput` measured; what was not run
again keeps its lines.

    python tests/benchmarks/quality.py list
    python tests/benchmarks/quality.py run star64 pytorch 0
    python tests/benchmarks/quality.py score star64 pytorch 0    # its model again, after a metric changed
    python tests/benchmarks/quality.py all
    python tests/benchmarks/quality.py report
"""

from __future__ import annotations

import dataclasses
import json
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image

from ptychonyx.export import export_run
from ptychonyx.runtime import Model, load_object, load_probe, load_scan
from ptychonyx.runtime.comparison.metrics import compare_objects
from ptychonyx.runtime.formats.placed_object import PlacedObject
from ptychonyx.runtime.plot import plot_comparison
from ptychonyx.runtime.reconstruction import reconstruct
from ptychonyx.runtime.scan import Scan
from ptychonyx.runtime.simulation.scan import SimulationOptions, simulate_scan
from ptychonyx.training import BACKENDS, TrainingConfig, train
from ptychonyx.training.run import open_run

ROOT = Path(__file__).parents[2]
STAR = ROOT.parent / "shared" / "data" / "velociprobe_siemens_star"
RESULTS = ROOT / "build" / "quality"
THROUGHPUT = ROOT / "build" / "performance" / "throughput.md"
PAGE, PICTURES = ROOT / "docs" / "quality.md", ROOT / "docs" / "quality"
SETTINGS: dict[str, Any] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())
SEEDS = (0, 1, 2)
SHORT_SEEDS = (0, 1, 2, 3, 4)
"""Of the short trainings at N = 128, which only ask whether a training collapses."""
PICTURE_PX = 900
"""Largest side of a picture on the page."""
COLLAPSED = 0.2
"""Pearson of amplitude and of phase below which a training has collapsed; an error never tells."""


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
            found[name] = Case(lambda n=window_px, h=half: star(n, half=h), f"star{window_px}")
        for kind in SETTINGS["simulated"]:
            for num_channels in (1, 4):
                found[f"{kind}{window_px}-C{num_channels}"] = Case(
                    lambda k=kind, n=window_px: simulated(k, n), f"simulated-C{num_channels}"
                )
    found["star128-short"] = Case(lambda: star(128, half=False), "star128-short", SHORT_SEEDS)
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


HEAD = """# Quality

Made by `make quality` (`tests/benchmarks/quality.py`, settings in `quality.yaml` beside it). The star is the
real Velociprobe scan against a three-mode iterative reconstruction, inside 50:195,50:195 (N = 64) or
100:380,100:380 (N = 128); `-half` was trained on the lower half in y and is scored on the upper one. All
others are simulated, and scored on an object that was not trained on, between the outermost centers of the
beam. Figures are medians over the seeds named. A training
has collapsed if amplitude and phase both correlate by less than {collapsed}. Cases without a row were not
run yet; a phase SSIM left out was taken by an older rule.

| case | backend | seeds | phase Pearson | amplitude Pearson | phase SSIM | amplitude SSIM | complex NRMSE | \
unexplained | collapsed | core minutes | samples/s | memory, MB |
|---|---|---|---|---|---|---|---|---|---|---|---|---|
"""
COLUMNS = (
    ("phase_pearson", "{:.3f}"),
    ("amplitude_pearson", "{:.3f}"),
    ("phase_ssim", "{:.3f}"),
    ("amplitude_ssim", "{:.3f}"),
    ("complex_nrmse", "{:.3f}"),
    ("residual", "{:.2%}"),
)


def report() -> None:
    """Write docs/quality.md of the rows that are there."""
    rows = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    known = known_lines()
    lines, pictures = [], []
    for name in cases():
        for backend in BACKENDS:
            found = [row for row in rows if (row["case"], row["backend"]) == (name, backend)]
            if found:
                known[name, backend] = line_of(name, backend, found)
                source = RESULTS / f"{name}-{backend}-{found[0]['seed']}" / "picture.png"
                PICTURES.mkdir(exist_ok=True)
                small_copy(source, PICTURES / f"{name}-{backend}.png")
            if (name, backend) in known:
                lines.append(known[name, backend])
                pictures.append(f"![{name}, {backend}](quality/{name}-{backend}.png)")
    table = HEAD.format(collapsed=COLLAPSED) + "\n".join(lines)
    PAGE.write_text("\n\n".join([table, *throughput_sections(), *pictures]) + "\n")


def known_lines() -> dict[tuple[str, str], str]:
    """Return the page's lines by case and backend: what was not run again keeps its own."""
    names = cases()
    found = {}
    for line in PAGE.read_text().splitlines() if PAGE.exists() else ():
        words = [word.strip() for word in line.split("|")]
        if len(words) > 2 and words[1] in names:
            found[words[1], words[2]] = line
    return found


def throughput_sections() -> list[str]:
    """Return the section on training throughput as `performance.py throughput` left it, if it did."""
    if THROUGHPUT.exists():
        return [THROUGHPUT.read_text().strip()]
    known = PAGE.read_text() if PAGE.exists() else ""
    return [match[0].strip() for match in re.finditer(r"^## [^!]*", known, re.MULTILINE)]


def small_copy(source: Path, target: Path) -> None:
    with Image.open(source) as picture:
        small = picture.convert("RGB")
        small.thumbnail((PICTURE_PX, PICTURE_PX))
        small.quantize(128).save(target, optimize=True)


def line_of(name: str, backend: str, rows: list[dict[str, Any]]) -> str:
    def median(key: str) -> float:
        return float(np.median([row[key] for row in rows]))

    figures = [form.format(median(key)) for key, form in COLUMNS]
    collapsed = sum(max(row["phase_pearson"], row["amplitude_pearson"]) < COLLAPSED for row in rows)
    seeds = ", ".join(str(row["seed"]) for row in rows)
    rest = [
        f"{collapsed} of {len(rows)}",
        f"{median('core_s') / 60:.0f}",
        f"{median('samples_per_s'):.0f}",
        f"{median('peak_memory_mb'):.0f}",
    ]
    return "| " + " | ".join([name, backend, seeds, *figures, *rest]) + " |"


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
