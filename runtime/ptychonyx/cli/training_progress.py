"""The progress bar of a training run."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from ptychonyx.training import Watcher
from ptychonyx.training.distributed.workers import Workers, is_orphaned
from ptychonyx.training.loggers import Log
from ptychonyx.training.run import EpochRow


@contextmanager
def show_training(
    stopped: Sequence[int], workers: Workers, logs: Sequence[Log] = ()
) -> Iterator[Watcher]:
    """Show epochs, loss and samples/s on stderr; stop once `stopped` is no longer empty.

    With several processes, only the first one shows anything. Every epoch also goes to each of `logs`.
    """
    columns = (
        TextColumn("Epoch {task.completed:.0f}/{task.total:.0f}"),
        BarColumn(),
        TextColumn("{task.description}"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not workers.is_first) as bar:
        task = bar.add_task("starting", total=1)
        state: dict[str, Any] = {
            "done": 0,
            "samples": 1,
            "clock": time.perf_counter(),
            "validation": "",
        }

        def on_start(done: int, total: int, samples: int) -> None:
            state.update(done=done, samples=samples, clock=time.perf_counter())
            bar.update(task, total=total, completed=done)

        def on_batch(samples: int, loss: float) -> None:
            rate = samples / max(time.perf_counter() - state["clock"], 1e-9)
            bar.update(
                task,
                completed=state["done"] + samples / state["samples"],
                description=f"loss {loss:.5g}{state['validation']}, {rate:.0f} samples/s",
            )

        def on_epoch(row: EpochRow) -> None:
            validated = row.validation_loss is not None
            state.update(
                done=row.epoch,
                clock=time.perf_counter(),
                validation=f", validation {row.validation_loss:.5g}" if validated else "",
            )
            bar.update(task, completed=row.epoch)
            for log in logs:
                log(row)

        yield Watcher(on_start, on_batch, on_epoch, lambda: bool(stopped) or is_orphaned())
