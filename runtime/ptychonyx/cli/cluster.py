"""Several devices that train one model: their options, and the place of this process among them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .console.terminal import stop_on_signal
from .options import words

if TYPE_CHECKING:
    from ptychonyx.training import Watcher
    from ptychonyx.training.distributed.workers import Workers
    from ptychonyx.training.loggers import Log


def cluster_options(
    devices: Annotated[int, typer.Option(help="GPUs of a node, or processes on CPUs.")] = 1,
    num_nodes: Annotated[int, typer.Option(help="Nodes; srun must start the processes.")] = 1,
    strategy: Annotated[
        words.Strategy, typer.Option(help="How devices share the work; ddp, fsdp: PyTorch.")
    ] = "auto",
) -> dict[str, Any]:
    """Return which devices train the model, and how they share the work."""
    return {"devices": devices, "num_nodes": num_nodes, "strategy": strategy}


def find_or_launch(backend: str, cluster: dict[str, Any]) -> Workers:
    """Return which of the processes this one is; if they must be started, start them, wait and exit."""
    from ptychonyx.training.distributed.launch import launch
    from ptychonyx.training.distributed.workers import find_workers

    workers = find_workers(backend, environment=os.environ, **cluster)
    if workers is None:
        command = [sys.executable, "-P", "-m", "ptychonyx.cli", *sys.argv[1:]]
        raise typer.Exit(launch(command, cluster["devices"], os.environ))
    return workers


@contextmanager
def watched(workers: Workers, logs: Sequence[Log] = ()) -> Iterator[Watcher]:
    """Show a training, and stop it by a signal; a job of SLURM that must end goes back into the queue."""
    from ptychonyx.runtime.errors import TrainingInterruptedError
    from ptychonyx.training.distributed.slurm import REQUEUE, requeue

    from .training_progress import show_training

    with stop_on_signal(*REQUEUE) as stopped, show_training(stopped, workers, logs) as watcher:
        try:
            yield watcher
        except TrainingInterruptedError:
            if set(stopped) & set(REQUEUE):
                requeue(os.environ, is_first=workers.is_first)
            raise
