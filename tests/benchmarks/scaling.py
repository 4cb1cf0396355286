"""Training throughput of two processes of one thread each against one, on this machine.

The same training: `unet`, F = 1, N = 64, 32 samples in a step, float32. One and two processes take
turns; medians. Give it two cores of its own.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from ptychonyx.runtime.formats import save_scan
from ptychonyx.runtime.simulation.scan import SimulationOptions, simulate_scan
from ptychonyx.training.run import open_run

NUM_RUNS, NUM_PATTERNS, EPOCHS = 2, 256, 3
OPTIONS = ("--quantity", "counts", "--batch-size", "32", "--epochs", str(EPOCHS))
ONE_THREAD = {"OMP_NUM_THREADS": "1", "TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}


def measure(scan: Path, backend: str, devices: int) -> float:
    """Return samples/s of the epochs after the first, in which graphs are traced."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        command = [sys.executable, "-P", "-m", "ptychonyx.cli", "train", str(scan), *OPTIONS]
        options = ["--backend", backend, "--devices", str(devices), "-o", str(run)]
        subprocess.run(
            [*command, *options], env=os.environ | ONE_THREAD, check=True, capture_output=True
        )
        rows = open_run(run).history()[2:]
        samples = sum(int(row["num_samples"]) for row in rows)
        return samples / sum(float(row["seconds"]) for row in rows)


def main(backends: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        scan = Path(folder) / "scan.npz"
        spec = SimulationOptions(num_patterns=NUM_PATTERNS, step_px=5)
        save_scan(simulate_scan(spec, np.random.default_rng(0)), scan)
        for backend in backends or ["tensorflow", "pytorch"]:
            pairs = [
                (measure(scan, backend, 1), measure(scan, backend, 2)) for _ in range(NUM_RUNS)
            ]
            one, two = (statistics.median(values) for values in zip(*pairs, strict=True))
            ratio = statistics.median(second / first for first, second in pairs)
            print(
                f"{backend}: one process {one:.1f} samples/s, two {two:.1f}, ratio {ratio:.2f} "
                f"(median of {NUM_RUNS} turns)"
            )


if __name__ == "__main__":
    main(sys.argv[1:])
