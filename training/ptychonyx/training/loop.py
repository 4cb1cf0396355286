"""The epochs of a run, alike in both backends: progress, policy, history, weights and watcher."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

from ptychonyx.runtime.errors import TrainingInterruptedError

from . import policy
from .distributed.workers import Workers
from .run import Best, Config, EpochRow, Run


@dataclass(frozen=True)
class Watcher:
    """How a caller follows and stops a run.

    Attributes
    ----------
    on_start, on_batch, on_epoch : callable
        Called with (epochs done, epochs in all, samples in an epoch); with (samples done in this
        epoch, running mean loss); with the finished epoch's row.
    should_stop : callable
        Asked after each batch; True ends the run, keeping its whole epochs.
    """

    on_start: Callable[[int, int, int], None] = lambda done, total, samples: None
    on_batch: Callable[[int, float], None] = lambda samples, loss: None
    on_epoch: Callable[[EpochRow], None] = lambda row: None
    should_stop: Callable[[], bool] = lambda: False


class Epochs(Generic[Config]):
    """The epochs of one run: a backend says when one begins, has a batch, and ends.

    Attributes
    ----------
    run : Run
    watcher : Watcher
    workers : Workers
    num_samples : int
        Samples of an epoch.
    progress : Progress
        Where the run stands.

    Examples
    --------
    The calls of a backend, in their order; the losses, weights and sums are its own.

    >>> def train(epochs, backend):
    ...     checkpoint = epochs.begin(
    ...         sum_over_workers=backend.sum, validate=backend.validate, best=backend.best
    ...     )
    ...     if checkpoint is not None:
    ...         backend.load(checkpoint)
    ...     while not epochs.progress.is_finished:
    ...         backend.set_learning_rate(epochs.begin_epoch())
    ...         for batch in backend.batches():
    ...             loss, is_stopped = backend.step(batch, epochs.watcher.should_stop())
    ...             epochs.add_batch(loss, len(batch), is_stopped=is_stopped)
    ...         epochs.end_epoch(
    ...             backend.validate(), best=backend.best, save_checkpoint=backend.save, suffix=".h5"
    ...         )
    """

    def __init__(
        self, run: Run[Config], watcher: Watcher, workers: Workers, num_samples: int
    ) -> None:
        self.run, self.watcher, self.workers = run, watcher, workers
        self.num_samples = num_samples
        self.progress = policy.start(run.config, None)
        self._clock = time.perf_counter()
        self._sum, self._seen = 0.0, 0

    def begin(
        self,
        *,
        sum_over_workers: Callable[[float], float],
        validate: Callable[[], float | None],
        best: Callable[[], Best],
    ) -> Path | None:
        """Find out where the run stands; of a new run, record the losses before the first epoch.

        Call it when all processes are connected: only then does the run folder stand still.

        Parameters
        ----------
        sum_over_workers : callable
            Returns the sum of a number over all processes.
        validate : callable
            Returns the validation loss, or None if nothing validates.
        best : callable
            Returns weights and probe as they are.

        Returns
        -------
        Path or None
            The native checkpoint to go on from, if epochs are done already.

        Raises
        ------
        ValueError
            If the processes found the run in different epochs: they do not see the same files.
        """
        saved = self.run.saved_progress()
        if saved is not None:
            self.progress = saved[0]
        epoch = self.progress.epoch
        check_agreement(self.run, self.workers, epoch, sum_over_workers(float(epoch)))
        if saved is None:
            loss = validate()
            self.progress = policy.start(self.run.config, loss)
            row = EpochRow(0, None, loss, self.progress.learning_rate, 0.0, 0)
            self.run.record_epoch(self.progress, row, best, None)
            self.watcher.on_epoch(row)
        self.watcher.on_start(self.progress.epoch, self.run.config.epochs, self.num_samples)
        return None if saved is None else saved[1]

    def begin_epoch(self) -> float:
        """Start the clock and the mean of the losses, and return the learning rate of the epoch."""
        self._clock = time.perf_counter()
        self._sum, self._seen = 0.0, 0
        return self.progress.learning_rate

    def add_batch(self, loss: float, num: int, *, is_stopped: bool) -> None:
        """Take one batch into account: its mean loss, over all processes, and its groups.

        Raises
        ------
        TrainingInterruptedError
            If `is_stopped`: some process wants to stop.
        """
        self._sum += loss * num
        self._seen += num
        self.watcher.on_batch(self._seen, self._sum / self._seen)
        if is_stopped:
            raise interrupted(self.run, self.progress)

    def end_epoch(
        self,
        validation_loss: float | None,
        *,
        best: Callable[[], Best],
        save_checkpoint: Callable[[Path], None],
        suffix: str,
    ) -> None:
        """Ask the policy about the epoch, and keep it: history, weights if best, checkpoint.

        Parameters
        ----------
        validation_loss : float or None
            None if nothing validates.
        best : callable
            As in `begin`; called only if the epoch is the best so far.
        save_checkpoint : callable
            Writes the native checkpoint to a path.
        suffix : str
            Ending of the native checkpoint's name.

        Raises
        ------
        RuntimeError
            If the loss is not finite: the training has diverged.
        """
        row = EpochRow(
            epoch=self.progress.epoch + 1,
            training_loss=self._sum / self._seen,
            validation_loss=validation_loss,
            learning_rate=self.progress.learning_rate,
            seconds=time.perf_counter() - self._clock,
            num_samples=self._seen,
        )
        self.progress = policy.after_epoch(self.progress, self.run.config, row.deciding_loss)
        self.run.record_epoch(self.progress, row, best, save_checkpoint, suffix)
        self.watcher.on_epoch(row)


def interrupted(run: Run[Any], progress: policy.Progress) -> TrainingInterruptedError:
    """Return the error that ends a run between two batches: what is kept and how to go on."""
    return TrainingInterruptedError(
        f"Training stopped in epoch {progress.epoch + 1}; {run.path} keeps {progress.epoch} whole "
        "epochs. The same command resumes it."
    )


def check_agreement(run: Run[Any], workers: Workers, epoch: int, sum_of_epochs: float) -> None:
    """Make sure that all processes found the run in the same epoch.

    Raises
    ------
    ValueError
        If they did not: they do not see the same files.
    """
    if sum_of_epochs != workers.num * epoch:
        raise ValueError(
            f"The {workers.num} processes do not see the same run folder: process {workers.rank + 1} "
            f"finds {epoch} epochs in {run.path.absolute()}, others find another number; put the run "
            "folder on a file system that all of them share."
        )
