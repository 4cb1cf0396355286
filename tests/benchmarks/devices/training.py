"""Training on a GPU, in either backend: the device really computes, and the loss falls as on a CPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

LOSSES_DIFFER = 1e-2
"""Relative difference between the losses of a GPU and of a CPU after a few steps; frameworks may round
convolutions to TF32 there."""
EPOCHS, NUM_PATTERNS = 3, 256
TRAIN = "import sys; from devices.training import train_and_tell; train_and_tell(sys.argv[1])"


def trains_on_the_gpu(backend: str) -> str:
    """Train a small network on the GPU, and another process on the CPU; compare."""
    on_gpu, on_cpu = (_told(backend, variables) for variables in ({}, {"CUDA_VISIBLE_DEVICES": ""}))
    assert on_gpu["megabytes"] > 0, f"{backend} used no memory of a GPU"
    losses = [np.array(told["losses"]) for told in (on_gpu, on_cpu)]
    difference = float(np.abs(losses[0] / losses[1] - 1).max())
    assert difference <= LOSSES_DIFFER, f"losses differ by {difference:.1e}: {on_gpu['losses']}"
    return (
        f"{on_gpu['samples_per_s']:.0f} samples/s, {on_gpu['megabytes']:.0f} MB of the GPU, losses "
        f"as on the CPU to {difference:.1e}"
    )


def _told(backend: str, variables: dict[str, str]) -> dict[str, Any]:
    command = [sys.executable, "-c", TRAIN, backend]
    done = subprocess.run(
        command, env=os.environ | variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (done.stderr.strip().splitlines() or ["it ended"])[-1]
    told: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return told


def train_and_tell(backend: str) -> None:
    """Train for a few epochs and print losses, speed and the memory of the GPU as JSON."""
    from ptychonyx.runtime.simulation.scan import SimulationOptions, simulate_scan
    from ptychonyx.training import TrainingConfig, train
    from ptychonyx.training.run import open_run

    scan = simulate_scan(SimulationOptions(num_patterns=NUM_PATTERNS), np.random.default_rng(0))
    config = TrainingConfig(backend=backend, architecture="cnn", filters=0.5, epochs=EPOCHS)
    with tempfile.TemporaryDirectory() as folder:
        train([scan], config, Path(folder) / "run")
        *_, last = history = open_run(Path(folder) / "run").history()
    told = {
        # before the first epoch nothing has been trained
        "losses": [float(row["training_loss"]) for row in history if row["training_loss"]],
        "samples_per_s": int(last["num_samples"]) / float(last["seconds"]),
        "megabytes": MEGABYTES[backend](),
    }
    print(json.dumps(told))


def _of_pytorch() -> float:
    import torch

    return float(torch.cuda.max_memory_allocated()) / 1e6 if torch.cuda.is_available() else 0.0


def _of_tensorflow() -> float:
    import tensorflow as tf

    if not tf.config.list_physical_devices("GPU"):
        return 0.0
    return float(tf.config.experimental.get_memory_info("GPU:0")["peak"]) / 1e6


MEGABYTES = {"pytorch": _of_pytorch, "tensorflow": _of_tensorflow}
"""Backend -> what tells the most memory of the GPU that it used."""
