# /// script
# dependencies = ["ptychonyx[all]"]
# ///
"""The second stage: train in both frameworks, export, verify, reconstruct, compare.

Both networks learn without the truth, from the patterns of the scan that they then reconstruct.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from demo_commands import FOLDER, Scores, compare, draw, ptychonyx, show_table, until_stopped

CONFIG = Path(__file__).with_suffix(".yaml")
BACKENDS = ("tensorflow", "pytorch")
SPECIMEN: tuple[object, ...] = (*("--object", "lines", "--num-patterns", 500, "--seed", 1),)
REGION = "36:168,36:168"
"""Where the beam has been often enough; pixels at the border of a scan hold little."""


def train_both(
    folder: Path,
    specimen: tuple[object, ...] = SPECIMEN,
    region: str = REGION,
    more: tuple[object, ...] = (),
) -> dict[str, Scores]:
    """Go the whole way once in each framework; return the scores by its name.

    Parameters
    ----------
    folder : Path
        Where everything is written.
    specimen : tuple
        Words of `ptychonyx simulate`.
    region : str
        What is compared and drawn.
    more : tuple
        Further words of `ptychonyx train`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    scan = folder / "scan.npz"
    ptychonyx("simulate", *specimen, "--overwrite", "-o", scan)
    scores = {}
    for backend in BACKENDS:
        run, model = folder / f"run-{backend}", folder / f"{backend}.onnx"
        product, began = folder / f"{backend}.h5", time.monotonic()
        options = ("--backend", backend, "--config", CONFIG, "--overwrite", *more)
        ptychonyx("train", scan, *options, "-o", run)
        ptychonyx("export", run, "-o", model)
        print(ptychonyx("verify", model), end="")
        ptychonyx("reconstruct", scan, "--quantity", "counts", "-m", model, "-o", product)
        seconds = time.monotonic() - began
        scores[backend] = compare(product, scan, region) | {"seconds": seconds}
    products = {backend: folder / f"{backend}.h5" for backend in BACKENDS}
    draw(products, scan, region, folder / "demo.png")
    return scores


def main() -> None:
    began = time.monotonic()
    print("A specimen of lines, 500 patterns. Each framework trains a network of its own.")
    scores = train_both(FOLDER)
    show_table("Two networks that never saw the truth", scores, FOLDER / "demo.txt")
    print(f"Picture: {FOLDER / 'demo.png'}. {time.monotonic() - began:.0f} s for this stage.")


if __name__ == "__main__":
    sys.exit(until_stopped(main))
