"""Train the solver that ships further, and describe it; `make models` goes on where it was stopped.

The run's files are kept in `solver/`, so that a training of one's own can start from them. The model
file is part of the runtime, and the card's figures are those of `docs/solving`.
"""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent
KEPT, RUN = HERE / "solver", ROOT / "build" / "solver"
MODEL = ROOT / "runtime/ptychonyx/runtime/solving/network/solver.onnx"
RECORDS = ROOT / "docs" / "solving"
NAME, LICENSE = "ptychonyx solver", "BSD-3-Clause"
FILES = ("config.yaml", "weights.safetensors", "history.csv", "provenance.json")
WAYS = ("network", "passes", "poisson", "smoothed", "tv")

CARD = """# {name}

The network that `ptychonyx reconstruct` uses between passes where photons or positions are few.
License: {license}.

- **Trained on** simulated scans, {batch} in each step, at random stages of being solved. First 24 epochs
  of {steps} steps, the rate falling from 1e-3; then 2 with unbiased passes where photons are few, 8 with
  objects of finer detail, and {epochs} more, the rate falling from {rate:g} in each stage; the weights are
  those of the epoch with the best validation (`config.yaml`, `history.csv` and `provenance.json` are of
  the last stage).
  Seven kinds of objects, lenses, Gaussians and pinholes of 1 to 4
  modes, 5e2 to 6e6 photons a pattern, overlaps of 0.4 to 0.93, windows of 32 to 64 px; half of them with
  wrong positions (up to 0.4 px) or a wrong probe (up to a sixth of its amplitude). No measured scan, and
  no Siemens star.
- **405,674 weights**, {megabytes:.1f} MB. It sees images on the canvas, never patterns: one file serves every
  window, beam and number of modes.
- **The star and its twin made poor** (N = 64, its probe given, automatic stop; medians of three
  choices of positions or photons). In brackets the best classical way: amplitudes, Poisson weighting,
  either smoothed afterwards or with less total variation, the strength chosen in hindsight.

{table}

- **One training.** What it does elsewhere is decided scan by scan: pixels that are held back
  compare both ways, and where passes alone explain them as well, the network is not used.
- **Go on from it:** `ptychonyx train-solver good.npz --init-from models/solver -o run` learns from your own
  good scans.

Its model file is `runtime/ptychonyx/runtime/solving/network/solver.onnx`.
"""


def ptychonyx(*words: object) -> None:
    program = [sys.executable, "-c", "from ptychonyx.cli import main; main()"]
    subprocess.run([*program, *map(str, words)], check=True)


def table() -> str:
    """Return the medians of `tests/benchmarks/solving.py poor`."""
    rows: list[dict[str, Any]] = json.loads((RECORDS / "poor.json").read_text())
    lines = ["| scan | phase | amplitude | error |", "|---|---|---|---|"]
    for kind, case in dict.fromkeys((row["kind"], row["case"]) for row in rows):
        chosen = [row for row in rows if (row["kind"], row["case"]) == (kind, case)]
        cells = [f"{kind}, {case}"]
        for figure in ("phase", "amplitude", "error"):
            ours, *others = (
                statistics.median(float(row[way][figure]) for row in chosen) for way in WAYS
            )
            best = min(others) if figure == "error" else max(others)
            cells.append(f"{ours:.3f} ({best:.3f})")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def describe() -> None:
    """Write the card."""
    from ptychonyx.training.config.solver import load_solver_config

    config = load_solver_config(KEPT / "config.yaml")
    card = CARD.format(
        name=NAME,
        license=LICENSE,
        epochs=config.epochs,
        steps=config.steps_per_epoch,
        batch=config.batch_size,
        rate=config.learning_rate,
        megabytes=MODEL.stat().st_size / 1e6,
        table=table(),
    )
    (KEPT / "README.md").write_text(card)


def main() -> None:
    if "--card" not in sys.argv:
        further = ("--config", KEPT / "config.yaml", "--init-from", KEPT)
        ptychonyx("train-solver", *further, "-o", RUN)
        for name in FILES:
            shutil.copy(RUN / name, KEPT / name)
        ptychonyx("export", RUN, "-o", MODEL, "--name", NAME, "--license", LICENSE)
    describe()


if __name__ == "__main__":
    main()
