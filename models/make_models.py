"""Train, export and describe the small models of this folder; run by `make models`."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
BACKENDS = ("tensorflow", "pytorch")
EPOCHS, FILTERS, LICENCE = 60, 0.5, "BSD-3-Clause"
COUNTS = ("--quantity", "counts")

CARD = """# small-{backend}

A small network for 64×64 patterns, trained with {backend} by `make models`. Licence: {licence}.

- **Trained on** two simulated scans (random lines, dead leaves; 600 patterns each, step 5 px, a
  curved three-mode probe about 32 px wide, 4.4e5 counts through vacuum), {epochs} epochs,
  self-supervised `amplitude` loss, F = {filters}.
- **On a held-out simulated scan** (dead leaves, another seed): phase Pearson
  {phase_pearson:.3f}, amplitude Pearson {amplitude_pearson:.3f}, complex NRMSE {complex_nrmse:.3f}.
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
        for seed, kind in ((1, "lines"), (2, "dead_leaves"), (3, "dead_leaves")):
            scans.append(folder / f"{seed}.npz")
            shape = ("--num-patterns", 600, "--step-px", 5)
            ptychonyx("simulate", "-o", scans[-1], "--object", kind, "--seed", seed, *shape)
        *training, unseen = scans
        for backend in BACKENDS:
            home, run = HERE / f"small-{backend}", folder / backend
            home.mkdir(exist_ok=True)
            options = ("--epochs", EPOCHS, "--filters", FILTERS, "--loss", "amplitude")
            ptychonyx("train", *training, *COUNTS, "--backend", backend, *options, "-o", run)
            model = home / "model.onnx"
            naming = ("--name", f"small-{backend}", "--licence", LICENCE)
            ptychonyx("export", run, "-o", model, *naming)
            product = folder / f"{backend}.h5"
            ptychonyx("reconstruct", unseen, *COUNTS, "-m", model, "-o", product)
            scores = json.loads(ptychonyx("compare", product, unseen, "--json"))
            settings = {"licence": LICENCE, "epochs": EPOCHS, "filters": FILTERS}
            (home / "README.md").write_text(CARD.format(backend=backend, **settings, **scores))
            print(home, {key: scores[key] for key in ("phase_pearson", "amplitude_pearson")})


if __name__ == "__main__":
    main()
