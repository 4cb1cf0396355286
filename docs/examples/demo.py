# /// script
# dependencies = ["ptychonyx[all]"]
# ///
"""The whole way in a few minutes: simulate, train twice, export, verify, reconstruct, compare.

Both networks learn without the truth, from the patterns of the scan that they then reconstruct.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

FOLDER = Path("demo")
CONFIG = Path(__file__).with_suffix(".yaml")
BACKENDS = ("tensorflow", "pytorch")
METRICS = (
    "phase_pearson",
    "amplitude_pearson",
    "complex_nrmse",
    "frc_half_bit_px",
    "residual",
)


def ptychonyx(*arguments: object) -> str:
    words = [str(word) for word in arguments]
    print("$ ptychonyx", *words, flush=True)
    command = [sys.executable, "-c", "from ptychonyx.cli import main; main()", *words]
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    started = time.monotonic()
    scan, counts = FOLDER / "scan.npz", ("--quantity", "counts")
    specimen = ("--object", "lines", "--num-patterns", 500, "--seed", 1)
    ptychonyx("simulate", "-o", scan, *specimen, "--overwrite")
    scores: dict[str, dict[str, float]] = {}
    for backend in BACKENDS:
        run, model = FOLDER / f"run-{backend}", FOLDER / f"{backend}.onnx"
        product = FOLDER / f"{backend}.h5"
        options = ("--backend", backend, "--config", CONFIG, "--overwrite")
        ptychonyx("train", scan, *options, "-o", run)
        ptychonyx("export", run, "-o", model)
        ptychonyx("verify", model)
        ptychonyx("reconstruct", scan, *counts, "-m", model, "-o", product)
        picture = ("--plot", FOLDER / "demo.png") if backend == BACKENDS[-1] else ()
        scores[backend] = json.loads(ptychonyx("compare", product, scan, "--json", *picture))
    table = Table("metric", *BACKENDS, title="Two reconstructions of one scan, against its truth")
    for name in METRICS:
        table.add_row(name, *(f"{scores[backend][name]:.4f}" for backend in BACKENDS))
    console = Console()
    console.print(table)
    with (FOLDER / "demo.txt").open("w") as file:
        Console(file=file, width=100).print(table)
    console.print(f"Picture: {FOLDER / 'demo.png'}. {time.monotonic() - started:.0f} s in all.")


if __name__ == "__main__":
    main()
