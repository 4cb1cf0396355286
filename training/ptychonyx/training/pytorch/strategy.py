"""How PyTorch's processes work together: Lightning's strategies, and sums over workers."""

from __future__ import annotations

import inspect
import signal
import threading
from collections.abc import Callable
from typing import Any

import lightning
import torch
from lightning.pytorch.plugins.environments import LightningEnvironment, SLURMEnvironment
from lightning.pytorch.strategies import DDPStrategy, FSDPStrategy, Strategy
from torch.nn.parallel import DistributedDataParallel

from ptychonyx.runtime.errors import TrainingInterruptedError

from ..config.config import TrainingConfig
from ..distributed.workers import LOST_CONNECTION, Workers


def make_strategy(workers: Workers, config: TrainingConfig) -> dict[str, Any]:
    """Return the strategy and the environment for Lightning's Trainer.

    Raises
    ------
    ValueError
        If the strategy cannot do what the configuration wants.
    """
    if workers.strategy == "fsdp" and config.gradient_clip_norm is not None:
        raise ValueError(
            f"`gradient_clip_norm` is {config.gradient_clip_norm}, but `strategy` is "
            f"{workers.strategy!r}, with which no process sees the whole gradient; use ddp, or leave "
            "it out."
        )
    # not Lightning's own requeueing, which saves in mid-epoch: whole epochs are kept
    environment = SLURMEnvironment(auto_requeue=False) if workers.has_slurm else None
    strategy: str | Strategy = "auto"
    if workers.strategy == "fsdp":
        strategy = FSDPStrategy()
    elif workers.num > 1:
        strategy = DDPStrategy(**{_sync_buffers_option(): False})  # they are constants
    return {"strategy": strategy, "plugins": [environment or LightningEnvironment()]}


def sum_over_workers(strategy: Strategy, workers: Workers, *values: float) -> tuple[float, ...]:
    """Return the sums of some numbers over all processes."""
    if workers.num == 1:
        return values
    own = torch.tensor(values, dtype=torch.float64, device=strategy.root_device)
    return tuple(strategy.reduce(own, reduce_op="sum").tolist())


def join(trainer: lightning.Trainer, workers: Workers) -> None:
    """Wait until all processes are there, and connect them."""
    if workers.num > 1:
        trainer.strategy.setup_environment()


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


def _sync_buffers_option() -> str:
    """Return the name of the option, which torch 2.13 renamed."""
    options = inspect.signature(DistributedDataParallel.__init__).parameters
    return "forward_sync_buffers" if "forward_sync_buffers" in options else "broadcast_buffers"
