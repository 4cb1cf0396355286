"""How PyTorch's processes work together: Lightning's strategies, and sums over workers."""

from __future__ import annotations

import inspect
import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import lightning
import torch
from lightning.fabric.strategies import DDPStrategy as FabricDDPStrategy
from lightning.pytorch.plugins.environments import (
    ClusterEnvironment,
    LightningEnvironment,
    SLURMEnvironment,
)
from lightning.pytorch.strategies import DDPStrategy, FSDPStrategy, Strategy
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch.nn.parallel import DistributedDataParallel

from ptychonyx.runtime.errors import TrainingInterruptedError

from ..config.any import RunConfig
from ..distributed.workers import LOST_CONNECTION, WorkerLostError, Workers

QUIET = (
    "lightning.pytorch.utilities.rank_zero",
    "lightning.pytorch.accelerators.cuda",
    "lightning.fabric.utilities.distributed",
)
"""Lightning loggers whose INFO lines describe only Lightning's own set-up."""


def make_strategy(workers: Workers, config: RunConfig) -> dict[str, Any]:
    """Return the strategy and the environment for Lightning's Trainer.

    Raises
    ------
    ValueError
        If the strategy cannot do what the configuration wants.
    """
    _check_clipping(workers, config)
    strategy: str | Strategy = "auto"
    if workers.strategy == "fsdp":
        strategy = FSDPStrategy()
    elif workers.num > 1:
        strategy = DDPStrategy(**_ddp_options())
    return {"strategy": strategy, "plugins": [_make_environment(workers)]}


def make_fabric(workers: Workers, config: RunConfig) -> lightning.Fabric:
    """Return Lightning's Fabric; with several processes, wait until all are there, and connect them.

    Raises
    ------
    ValueError
        If this machine has no such devices, or the strategy cannot do what the configuration wants.
    """
    _check_clipping(workers, config)
    with checked_devices(workers):
        fabric = lightning.Fabric(
            devices=workers.devices,
            num_nodes=workers.num_nodes,
            strategy=FabricDDPStrategy(**_ddp_options()) if workers.num > 1 else "auto",
            plugins=[_make_environment(workers)],
        )
    if workers.num > 1:
        fabric.launch()
    return fabric


@contextmanager
def checked_devices(workers: Workers) -> Iterator[None]:
    """Let Lightning choose the devices without a word, and say what it cannot do.

    Raises
    ------
    ValueError
        If this machine has no such devices.
    """
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        yield
    except MisconfigurationException as error:
        raise ValueError(
            f"`devices` is {workers.devices} and `strategy` {workers.strategy!r}, which this machine "
            f"cannot do: {error}"
        ) from error


def sum_over_workers(device: torch.device, workers: Workers, *values: float) -> tuple[float, ...]:
    """Return the sums of some numbers over all processes; `device` is this one's."""
    if workers.num == 1:
        return values
    sums = torch.tensor(values, dtype=torch.float64, device=device)
    torch.distributed.all_reduce(sums)
    return tuple(sums.tolist())


def join(trainer: lightning.Trainer, workers: Workers) -> None:
    """Wait until all processes are there, and connect them."""
    if workers.num > 1:
        trainer.strategy.setup_environment()


@contextmanager
def watched_workers(workers: Workers) -> Iterator[None]:
    """Tell the loss of another process from other errors.

    Raises
    ------
    WorkerLostError
        If another process is gone.
    """
    try:
        yield
    except RuntimeError as error:
        if workers.num > 1 and is_lost_worker(error):
            raise WorkerLostError(workers, error) from error
        raise


def is_lost_worker(error: RuntimeError) -> bool:
    """Tell whether an error means that another process is gone."""
    if isinstance(error, TrainingInterruptedError):
        return False  # the folder that it names may be called anything
    is_distributed = isinstance(error, torch.distributed.DistError)
    return is_distributed or LOST_CONNECTION.search(str(error)) is not None  # gloo's have no type


def own_signals() -> Callable[[], None]:
    """Return a function that takes the signals back from Lightning, as they are handled now.

    Lightning's handler talks to the other processes in the middle of whatever they do.
    """
    before = signal.getsignal(signal.SIGTERM)

    def take() -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)

    return take


def _check_clipping(workers: Workers, config: RunConfig) -> None:
    if workers.strategy == "fsdp" and config.gradient_clip_norm is not None:
        raise ValueError(
            f"`gradient_clip_norm` is {config.gradient_clip_norm}, but `strategy` is "
            f"{workers.strategy!r}, with which no process sees the whole gradient; use ddp, or leave "
            "it out if it may be null."
        )


def _make_environment(workers: Workers) -> ClusterEnvironment:
    # not Lightning's own requeueing, which saves in mid-epoch: whole epochs are kept
    return SLURMEnvironment(auto_requeue=False) if workers.has_slurm else LightningEnvironment()


def _ddp_options() -> dict[str, bool]:
    """Leave buffers alone, which are constants; torch 2.13 renamed the option."""
    options = inspect.signature(DistributedDataParallel.__init__).parameters
    new, old = "forward_sync_buffers", "broadcast_buffers"
    return {new if new in options else old: False}
