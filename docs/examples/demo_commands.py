"""What both stages of `make demo` share: commands, a table and a picture."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from ptychonyx.runtime import load_object
from ptychonyx.runtime.comparison.align import Aligned, align
from ptychonyx.runtime.comparison.region import clipped_limits

FOLDER = Path("demo")
Scores = dict[str, float]
ROWS = {
    "phase_pearson": "phase: correlation with the truth",
    "amplitude_pearson": "amplitude: correlation with the truth",
    "complex_nrmse": "error of the complex object, relative",
    "frc_half_bit_px": "smallest period that agrees (pixels)",
    "residual": "unexplained of the measured amplitude",
    "seconds": "seconds",
}


def ptychonyx(*arguments: object) -> str:
    """Run one command; its progress is seen, and what it prints is returned."""
    words = [str(word) for word in arguments]
    print("$ ptychonyx", *words, flush=True)
    command = [sys.executable, "-c", "from ptychonyx.cli import main; main()", *words]
    return subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE).stdout


def compare(product: Path, scan: Path, region: str) -> Scores:
    """Return the scores of a product against the truth that its scan holds."""
    found = json.loads(ptychonyx("compare", product, scan, "--region", region, "--json"))
    return {name: found[name] for name in ROWS if name in found}


def show_table(title: str, scores: Mapping[str, Scores], path: Path) -> None:
    """Print a table with one column for each result, and write it to a file."""
    table = Table("", *scores, title=title)
    for name, words in ROWS.items():
        digits = 0 if name == "seconds" else 3
        table.add_row(words, *(f"{each[name]:.{digits}f}" for each in scores.values()))
    Console().print(table)
    with path.open("w") as file:
        Console(file=file, width=100).print(table)


def draw(products: Mapping[str, Path], scan: Path, region: str, path: Path) -> None:
    """Draw amplitude and phase of the truth and of each product, side by side in equal colours."""
    aligned = {title: _aligned(product, scan, region) for title, product in products.items()}
    truth = next(iter(aligned.values())).b
    shown = {"truth": truth} | {title: each.a for title, each in aligned.items()}
    figure = Figure(figsize=(3.2 * len(shown), 6.2), layout="constrained")
    axes = figure.subplots(2, len(shown), squeeze=False)
    parts: list[tuple[str, Callable[[NDArray[Any]], NDArray[Any]], str]] = [
        ("amplitude", np.abs, "gray"),
        ("phase (rad)", np.angle, "viridis"),
    ]
    for row, (name, part, cmap) in enumerate(parts):
        low, high = clipped_limits(part(truth))
        for column, (title, object_) in enumerate(shown.items()):
            image = axes[row, column].imshow(part(object_), cmap=cmap, vmin=low, vmax=high)
            axes[row, column].set_xticks([])
            axes[row, column].set_yticks([])
            if row == 0:
                axes[row, column].set_title(title, fontsize=12)
        figure.colorbar(image, ax=axes[row, :].tolist(), label=name, fraction=0.03, pad=0.01)
    figure.savefig(path, dpi=90)


def _aligned(product: Path, scan: Path, region: str) -> Aligned:
    found, truth = load_object(product), load_object(scan)
    return align(
        *(found.object_, truth.object_),
        corner_a=found.corner_px,
        corner_b=truth.corner_px,
        region=region,
    )


def until_stopped(main: Callable[[], None]) -> int:
    """Run a stage; return the exit code that Ctrl-C or a failed command asks for."""
    try:
        main()
    except KeyboardInterrupt:
        print("\nStopped. The same command starts again, and installs nothing twice.", flush=True)
        return 130
    except subprocess.CalledProcessError as error:
        print(f"The command above ended with exit code {error.returncode}; what it said is above.")
        return 1
    return 0
