"""What each of several processes does in a solver's training, without the others."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ptychonyx.runtime.errors import TrainingInterruptedError
from ptychonyx.training import Watcher
from ptychonyx.training.config.solver import SolverConfig
from ptychonyx.training.distributed.workers import Workers
from ptychonyx.training.simulated.pool import Batch, Pool
from ptychonyx.training.solver import train as training
from ptychonyx.training.solver.learner import LearnerState, Lesson
from ptychonyx.training.solver.validation import validation_loss

SECOND = Workers(devices=2, rank=1, local_rank=1)


def small(**changes: Any) -> SolverConfig:
    values: dict[str, Any] = {
        "backend": "pytorch",
        "widths": (4, 6),
        "epochs": 1,
        "steps_per_epoch": 2,
        "batch_size": 2,
        "num_groups": 2,
        "validation_scans": 2,
        "validation_passes": 1,
    }
    return SolverConfig(**values | changes)


class Idle:
    """A learner that changes nothing; the other process tells the same as this one, or wants to stop."""

    def __init__(self, state: LearnerState, *, is_other_stopped: bool = False) -> None:
        self.batches: list[Batch] = []
        self.told: list[tuple[float, ...]] = []
        self._state, self._is_other_stopped = state, is_other_stopped

    def load(self, state: LearnerState) -> None:
        self._state = state

    def learn(self, batch: Batch, learning_rate: float) -> Lesson:
        self.batches.append(batch)
        num = len(batch.objects)
        return Lesson(np.zeros_like(batch.objects), np.full(num, 0.5, np.float32))

    def change(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.zeros((len(features), 2, *features.shape[2:]), np.float32)

    def state(self) -> LearnerState:
        return self._state

    def sum_over_workers(self, *values: float) -> tuple[float, ...]:
        self.told.append(values)
        if self.batches and len(values) == 2:
            return 2 * values[0], values[1] + self._is_other_stopped
        return tuple(2 * value for value in values)


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> Idle:
    learner = Idle(LearnerState({}, {}, {}, 0))
    backend = SimpleNamespace(
        SolverLearner=lambda config, state, workers: learner,
        watched_workers=lambda workers: nullcontext(),
    )
    monkeypatch.setattr(training, "require_backend", lambda name: None)
    monkeypatch.setattr(training, "load_backend", lambda name, module: backend)
    return learner


def test_the_second_process_draws_its_own_share_and_writes_nothing(
    idle: Idle, tmp_path: Path
) -> None:
    losses: list[tuple[int, float]] = []
    watcher = Watcher(on_batch=lambda seen, mean: losses.append((seen, mean)))
    config = small(validation_scans=0)
    training.train_solver(config, tmp_path / "run", watcher=watcher, workers=SECOND)
    assert not (tmp_path / "run").exists()
    expected = Pool([config.seed, 0, 1], 2, 1)  # of the second process that simulates
    for number, batch in enumerate(idle.batches):
        np.testing.assert_array_equal(batch.features, expected.batch(number).features)
    assert losses == [(2, 0.5), (4, 0.5)]  # samples and mean over both processes


def test_a_process_stops_because_another_one_wants_to(idle: Idle, tmp_path: Path) -> None:
    idle._is_other_stopped = True
    config = small(validation_scans=0)
    with pytest.raises(TrainingInterruptedError, match="Training stopped in epoch 1"):
        training.train_solver(config, tmp_path / "run", workers=SECOND)
    assert len(idle.batches) == 1


def test_processes_share_the_scans_that_validate() -> None:
    def told(workers: Workers) -> tuple[float, ...]:
        learner = Idle(LearnerState({}, {}, {}, 0))
        validation_loss(learner, small(validation_scans=3), workers=workers)
        [values] = learner.told
        return values

    alone, first, second = told(Workers()), told(Workers(devices=2)), told(SECOND)
    assert [values[1] for values in (alone, first, second)] == [3, 2, 1]
    assert first[0] + second[0] == pytest.approx(alone[0], rel=1e-12)


def test_a_batch_that_devices_cannot_share_is_refused_first(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"`batch_size` is 3, which 2 devices .* use 2 or 4"):
        training.train_solver(small(batch_size=3), tmp_path / "run", workers=Workers(devices=2))
    assert not (tmp_path / "run").exists()


@pytest.mark.pytorch
def test_fsdp_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("lightning")
    workers = Workers(strategy="fsdp")
    with pytest.raises(ValueError, match="no process sees the whole gradient; use ddp"):
        training.train_solver(small(), tmp_path / "run", workers=workers)
