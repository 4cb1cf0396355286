"""The epochs of a run, driven without any framework."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ptychonyx.runtime.errors import TrainingInterruptedError
from ptychonyx.training import TrainingConfig, Watcher
from ptychonyx.training.distributed.workers import Workers
from ptychonyx.training.loop import Epochs
from ptychonyx.training.run import Best, EpochRow, Run, start_run

PROBE = np.ones((1, 4, 4), np.complex64)


class Told:
    """Everything a watcher was told."""

    def __init__(self) -> None:
        self.starts: list[tuple[int, int, int]] = []
        self.batches: list[tuple[int, float]] = []
        self.rows: list[EpochRow] = []

    def watcher(self) -> Watcher:
        return Watcher(
            on_start=lambda *numbers: self.starts.append(numbers),
            on_batch=lambda *numbers: self.batches.append(numbers),
            on_epoch=self.rows.append,
        )


def best_of(epoch: int) -> Callable[[], Best]:
    return lambda: Best({"weight": np.full(1, epoch, np.float32)}, PROBE)


def begin(epochs: Epochs, *, sum_of_epochs: float | None = None) -> Path | None:
    return epochs.begin(
        sum_over_workers=lambda epoch: epoch if sum_of_epochs is None else sum_of_epochs,
        validate=lambda: 4.0,
        best=best_of(0),
    )


def end(epochs: Epochs, validation_loss: float | None) -> None:
    epochs.end_epoch(
        validation_loss,
        best=best_of(epochs.progress.epoch + 1),
        save_checkpoint=lambda path: path.touch(),
        suffix=".native",
    )


@pytest.fixture
def run(tmp_path: Path) -> Run:
    config = TrainingConfig(epochs=3, batch_size=8)
    return start_run(tmp_path / "run", config, inputs=[], probe=PROBE, overwrite=False)


def test_an_epoch_is_recorded_and_told_of(run: Run) -> None:
    told = Told()
    epochs = Epochs(run, told.watcher(), Workers(), num_samples=12)
    assert begin(epochs) is None
    assert told.starts == [(0, 3, 12)]
    assert epochs.begin_epoch() == run.config.learning_rate
    epochs.add_batch(2.0, 8, is_stopped=False)
    epochs.add_batch(5.0, 4, is_stopped=False)
    assert told.batches == [(8, 2.0), (12, 3.0)]
    end(epochs, 1.5)
    assert [(row.epoch, row.training_loss, row.validation_loss) for row in told.rows] == [
        (0, None, 4.0),
        (1, 3.0, 1.5),
    ]
    assert [row["num_samples"] for row in run.history()] == ["0", "12"]
    assert run.best_weights()["weight"] == 1


def test_a_run_goes_on_where_it_stands(run: Run) -> None:
    epochs = Epochs(run, Watcher(), Workers(), num_samples=8)
    begin(epochs)
    for loss in (1.0, 2.0):
        epochs.begin_epoch()
        epochs.add_batch(loss, 8, is_stopped=False)
        end(epochs, loss)
    assert run.best_weights()["weight"] == 1  # the second epoch was worse
    told = Told()
    again = Epochs(run, told.watcher(), Workers(), num_samples=8)
    assert begin(again) == run.checkpoints / "epoch-00002.native"
    assert again.progress == epochs.progress
    assert told.starts == [(2, 3, 8)]
    assert told.rows == []
    again.begin_epoch()
    again.add_batch(0.5, 8, is_stopped=False)
    end(again, 0.5)
    assert again.progress.is_finished
    assert [path.name for path in run.checkpoints.glob("*.native")] == ["epoch-00003.native"]


def test_a_wish_to_stop_ends_the_run_between_two_batches(run: Run) -> None:
    epochs = Epochs(run, Watcher(), Workers(), num_samples=16)
    begin(epochs)
    epochs.begin_epoch()
    epochs.add_batch(1.0, 8, is_stopped=False)
    with pytest.raises(TrainingInterruptedError, match=r"stopped in epoch 1.*keeps 0 whole epochs"):
        epochs.add_batch(1.0, 8, is_stopped=True)


def test_processes_that_see_different_folders_are_told_so(run: Run) -> None:
    epochs = Epochs(run, Watcher(), Workers(devices=2, rank=1), num_samples=8)
    with pytest.raises(
        ValueError, match="do not see the same run folder: process 2 finds 0 epochs"
    ):
        begin(epochs, sum_of_epochs=3.0)


def test_a_loss_that_is_no_number_ends_the_run(run: Run) -> None:
    epochs = Epochs(run, Watcher(), Workers(), num_samples=8)
    begin(epochs)
    epochs.begin_epoch()
    epochs.add_batch(1.0, 8, is_stopped=False)
    with pytest.raises(RuntimeError, match="the training has diverged"):
        end(epochs, float("nan"))
    assert len(run.history()) == 1
