"""Two processes train the solver network that one process with the same scans trains."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cluster.conftest import COMMAND, Start, finish, losses_of, slurm, wait_for_epoch
from numpy.typing import NDArray

from ptychonyx.training.config.solver import SolverConfig
from ptychonyx.training.run import Run
from ptychonyx.training.simulated.pool import Batch
from ptychonyx.training.simulated.supply import Supply
from ptychonyx.training.solver import train as training
from ptychonyx.training.solver.learner import LearnerState, load_state

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(600)]

BACKENDS = [
    pytest.param(name, marks=getattr(pytest.mark, name)) for name in ("tensorflow", "pytorch")
]
SAME_LOSS = 1e-4
"""Relative: the gradients of two halves of a batch are rounded in another order."""
SAME_WEIGHTS = 1e-4
"""Absolute, of weights of about 0.1, after steps of Adam that move them by 1e-3 each."""
WITHIN_S = 500


def small(**changes: Any) -> SolverConfig:
    values: dict[str, Any] = {
        "widths": (4, 6),
        "epochs": 1,
        "steps_per_epoch": 6,
        "batch_size": 2,
        "num_groups": 2,
        "validation_scans": 2,
        "validation_passes": 2,
        "schedule": "constant",
    }
    return SolverConfig(**values | changes)


def begin(
    start: Start,
    config: SolverConfig,
    run: Path,
    devices: int,
    *options: str,
    variables: dict[str, str] | None = None,
) -> subprocess.Popen[str]:
    file = run.with_suffix(".yaml")
    config.save(file)
    words = [*COMMAND, "train-solver", "--config", file, "-o", run, "--devices", devices]
    return start([*words, *options], **(variables or {}))


def state_of(run: Path) -> LearnerState:
    """Return the state after the last epoch."""
    saved = Run(run, SolverConfig()).saved_progress()
    assert saved is not None
    return load_state(saved[1])


def check_same(run: Path, other: Path) -> None:
    np.testing.assert_allclose(losses_of(run), losses_of(other), rtol=SAME_LOSS)
    one, two = state_of(run), state_of(other)
    assert one.num_steps == two.num_steps > 0
    for name, weights in one.weights.items():
        np.testing.assert_allclose(two.weights[name], weights, rtol=0, atol=SAME_WEIGHTS)


class BothSupplies:
    """The batches of two processes, one after the other as one batch."""

    def __init__(self, seed: Sequence[int], *, num_processes: int, batch_size: int, **rest: Any):
        assert (num_processes, rest.pop("first_process")) == (1, 0)
        self._parts = [
            Supply(seed, num_processes=1, first_process=rank, batch_size=batch_size // 2, **rest)
            for rank in (0, 1)
        ]

    def __enter__(self) -> BothSupplies:
        return self

    def __exit__(self, *_: object) -> None:
        for part in self._parts:
            part.close()

    def next_batch(self) -> Batch:
        batches = [part.next_batch() for part in self._parts]
        names = [field.name for field in dataclasses.fields(Batch)]
        return Batch(*(np.concatenate([getattr(each, name) for each in batches]) for name in names))

    def correct(self, corrections: NDArray[np.float32]) -> None:
        for part, own in zip(self._parts, np.split(corrections, 2), strict=True):
            part.correct(own)


@pytest.mark.parametrize("name", BACKENDS)
def test_two_processes_train_as_one(
    name: str, tmp_path: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small(backend=name)
    process = begin(start, config, tmp_path / "two", 2)
    monkeypatch.setattr(training, "Supply", BothSupplies)
    training.train_solver(config, tmp_path / "one")
    assert f"Trained with {name}" in finish(process, within_s=WITHIN_S)
    check_same(tmp_path / "two", tmp_path / "one")


@pytest.mark.tensorflow
def test_one_process_with_two_devices_trains_as_with_one(tmp_path: Path, start: Start) -> None:
    config = small(backend="tensorflow")
    process = begin(start, config, tmp_path / "two", 2, "--strategy", "mirrored")
    training.train_solver(config, tmp_path / "one")
    finish(process, within_s=WITHIN_S)
    check_same(tmp_path / "two", tmp_path / "one")


@pytest.mark.parametrize("name", BACKENDS)
def test_a_killed_process_and_ctrl_c_change_nothing(
    name: str, tmp_path: Path, start: Start
) -> None:
    run, whole, config = tmp_path / "run", tmp_path / "whole", small(backend=name, epochs=3)
    finish(begin(start, config, whole, 2), within_s=WITHIN_S)

    # as srun starts them: nobody else ends the one that is left
    tasks = [begin(start, config, run, 2, variables=slurm(rank, 2, 4712)) for rank in (0, 1)]
    wait_for_epoch(run, 1, tasks[0])
    tasks[1].kill()
    text = finish(tasks[0], within_s=WITHIN_S, code=1)
    assert "Process 1 of 2 stops, because it cannot go on without the others" in text
    assert len(losses_of(run)) < config.epochs

    again = begin(start, config, run, 2)
    wait_for_epoch(run, 2, again)
    again.send_signal(signal.SIGINT)
    assert "The same command resumes it" in finish(again, within_s=WITHIN_S, code=130)
    assert len(losses_of(run)) < config.epochs

    finish(begin(start, config, run, 2), within_s=WITHIN_S)
    check_same(run, whole)
