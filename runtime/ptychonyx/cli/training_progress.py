"""The progress bar of a training run."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from ptychonyx.training import Watcher
from ptychonyx.training.distributed.workers import Workers, is_orphaned
from ptychonyx.training.loggers import Log
from ptychonyx.training.run import EpochRow

from .console.terminal import error_console

COLUMNS = (
    TextColumn("Epoch {task.completed:.0f}/{task.total:.0f}"),
    BarColumn(),
    TextColumn("{task.description}"),
    TimeRemainingColumn(),
)


@contextmanager
def show_training(
    stopped: Sequence[int], workers: Workers, logs: Sequence[Log] = ()
) -> Iterator[Watcher]:
    """Show epochs, loss and samples/s on stderr; stop once `stopped` is no longer empty.

    With several processes, only the first one shows anything. Every epoch also goes to each of `logs`.
    """
    with Progress(*COLUMNS, console=error_console(), disable=not workers.is_first) as bar:
        shown = _Shown(bar)

        def on_epoch(row: EpochRow) -> None:
            shown.end_epoch(row)
            for log in logs:
                log(row)

        yield Watcher(
            on_start=shown.start,
            on_batch=shown.add_batch,
            on_epoch=on_epoch,
            should_stop=lambda: bool(stopped) or is_orphaned(),
        )


class _Shown:
    """The bar, and what its next line needs to know."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task: TaskID = bar.add_task("starting", total=1)
        self._num_done, self._num_samples = 0, 1
        self._clock = time.perf_counter()
        self._validation = ""

    def start(self, num_done: int, num_epochs: int, num_samples: int) -> None:
        """Begin with epochs that are done already."""
        self._num_done, self._num_samples = num_done, num_samples
        self._clock = time.perf_counter()
        self._bar.update(self._task, total=num_epochs, completed=num_done)

    def add_batch(self, num_samples: int, loss: float) -> None:
        """Show the mean loss of the epoch so far, and how fast it goes."""
        rate = num_samples / max(time.perf_counter() - self._clock, 1e-9)
        self._bar.update(
            self._task,
            completed=self._num_done + num_samples / self._num_samples,
            description=f"loss {loss:.5g}{self._validation}, {rate:.0f} samples/s",
        )

    def end_epoch(self, row: EpochRow) -> None:
        """Remember the validation loss, and begin the next epoch."""
        self._num_done, self._clock = row.epoch, time.perf_counter()
        self._bar.update(self._task, completed=row.epoch)
        if row.validation_loss is not None:
            self._validation = f", validation {row.validation_loss:.5g}"
