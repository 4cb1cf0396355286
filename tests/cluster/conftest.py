"""Several processes on this machine: how they are started, watched and ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from ptychonyx.runtime.formats import save_scan
from ptychonyx.runtime.simulation.scan import SimulationOptions, simulate_scan
from ptychonyx.training import TrainingConfig
from ptychonyx.training.run import Run, open_run

ROOT = Path(__file__).parents[2]
PATHS = os.pathsep.join(str(ROOT / part) for part in ("runtime", "export", "training"))
COMMAND = [sys.executable, "-P", "-m", "ptychonyx.cli"]
ENVIRONMENT = os.environ | {
    "PYTHONPATH": PATHS,
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "COLUMNS": "200",
    "CUDA_VISIBLE_DEVICES": "",  # the same on a machine with a GPU
    "OMP_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
}
EPOCH_S = 600
"""For a first epoch on a machine that is busy; the time-out of the test ends most waits earlier."""
MID_EPOCH_S = 0.3
"""After an epoch has ended; the next one takes more than a second."""

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Return a function that starts a command; whatever still runs at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def begin(command: Sequence[object], **variables: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [str(word) for word in command],
            env=ENVIRONMENT | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        for pid in [*children_of(process.pid), process.pid]:
            try:
                os.killpg(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def children_of(pid: int) -> list[int]:
    """Return the children of a process, the first worker first."""
    file = Path(f"/proc/{pid}/task/{pid}/children")
    return sorted(int(word) for word in file.read_text().split()) if file.exists() else []


def finish(process: subprocess.Popen[str], *, within_s: float, code: int = 0) -> str:
    """Wait for a process, check its exit code and return what it printed."""
    text, _ = process.communicate(timeout=within_s)
    assert process.returncode == code, text
    return text


def wait_for(file: Path, process: subprocess.Popen[str], *, within_s: float = 120) -> None:
    """Wait until a file is there."""
    deadline = time.monotonic() + within_s
    while not file.exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, f"{file} did not come within {within_s:.0f} s"
        time.sleep(0.05)


def wait_for_epoch(run: Path, epoch: int, process: subprocess.Popen[str]) -> None:
    """Wait until an epoch has ended and the next one has begun."""
    file = Run(run, TrainingConfig()).progress_file
    wait_for(file, process, within_s=EPOCH_S)
    while json.loads(file.read_text())["progress"]["epoch"] < epoch:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    time.sleep(MID_EPOCH_S)


def losses_of(run: Path) -> list[list[float]]:
    """Return the losses after each epoch."""
    columns = ("training_loss", "validation_loss")
    return [[float(row[name]) for name in columns] for row in open_run(run).history()[1:]]


def slurm(rank: int, num: int, job: int) -> dict[str, str]:
    """Return what srun sets for a task of a job on this machine."""
    return {
        "SLURM_JOB_ID": str(job),
        "SLURM_JOB_NAME": "train",
        "SLURM_NTASKS": str(num),
        "SLURM_NTASKS_PER_NODE": str(num),
        "SLURM_NNODES": "1",
        "SLURM_NODEID": "0",
        "SLURM_NODELIST": "localhost",
        "SLURM_STEP_NUM_TASKS": str(num),
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_STEP_TASKS_PER_NODE": str(num),
        "SLURM_PROCID": str(rank),
        "SLURM_LOCALID": str(rank),
    }


@pytest.fixture(scope="session")
def scan_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with 300 patterns of 32×32: an epoch of a second or two."""
    spec = SimulationOptions(num_patterns=300, window_px=32, step_px=4, counts_per_pattern=1e5)
    path = tmp_path_factory.mktemp("scan") / "scan.npz"
    save_scan(simulate_scan(spec, np.random.default_rng(0)), path)
    return path
