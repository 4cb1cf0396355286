"""Train, export and describe the small models of this folder, which tests use; run it by hand."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
BACKENDS = ("tensorflow", "pytorch")
LICENSE = "BSD-3-Clause"
COUNTS = ("--quantity", "counts")
TRAINING = ("lines", "lines", "dead_leaves", "dead_leaves")
HELD_OUT = "dead_leaves"

CARD = """# small-{backend}

A small network for 64×64 patterns, trained with {backend} by `make_models.py`. License: {license}.

- **Trained on** four simulated scans (two of random lines, two of dead leaves; 600 patterns each, step
  5 px, a curved three-mode probe about 32 px wide, 4.4e5 counts through vacuum), self-supervised, with
  the settings of `../small.yaml`: 289,106 parameters.
- **On a held-out simulated scan** (dead leaves, another seed): phase Pearson
  {phase_pearson:.3f}, amplitude Pearson {amplitude_pearson:.3f}, complex NRMSE {complex_nrmse:.3f};
  {residual:.1%} of the measured amplitude unexplained.
- **Must not be used for** real measurements or any other probe: a network of this kind learns its
  own beam. Train on your scan. This file is for trying the commands and for tests.
"""


def ptychonyx(*arguments: object) -> str:
    program = [sys.executable, "-c", "from ptychonyx.cli import main; main()"]
    words = [str(word) for word in arguments]
    return subprocess.run([*program, *words], check=True, text=True, stdout=subprocess.PIPE).stdout


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scans = []
        for seed, kind in enumerate((*TRAINING, HELD_OUT), start=1):
            scans.append(folder / f"{seed}.npz")
            shape = ("--num-patterns", 600, "--step-px", 5)
            ptychonyx("simulate", "-o", scans[-1], "--object", kind, "--seed", seed, *shape)
        *training, unseen = scans
        for backend in BACKENDS:
            home, run = HERE / f"small-{backend}", folder / backend
            home.mkdir(exist_ok=True)
            settings = ("--backend", backend, "--config", HERE / "small.yaml")
            ptychonyx("train", *training, *settings, "-o", run)
            model = home / "model.onnx"
            naming = ("--name", f"small-{backend}", "--license", LICENSE)
            ptychonyx("export", run, "-o", model, *naming)
            product = folder / f"{backend}.h5"
            ptychonyx("reconstruct", unseen, *COUNTS, "-m", model, "-o", product)
            scores = json.loads(ptychonyx("compare", product, unseen, "--json"))
            card = CARD.format(backend=backend, license=LICENSE, **scores)
            (home / "README.md").write_text(card)
            print(home, {key: scores[key] for key in ("phase_pearson", "amplitude_pearson")})


if __name__ == "__main__":
    main()
