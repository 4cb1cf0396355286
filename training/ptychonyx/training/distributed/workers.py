"""The processes that train one model together, and the place of this one among them.

A scheduler starts all of them: srun, or another one that sets TF_CONFIG, or LOCAL_RANK and
MASTER_ADDR. Without one, `launch` starts those of its own machine.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from ..config.any import RunConfig
from .slurm import find_task

LOST_CONNECTION = re.compile("connect|Connect|abort|Abort|gloo|NCCL")
"""Matches the errors that gloo, NCCL and TensorFlow raise when another process has died."""

STRATEGIES: dict[str, tuple[str, ...]] = {
    "tensorflow": ("auto", "mirrored", "multi_worker_mirrored"),
    "pytorch": ("auto", "ddp", "fsdp"),
}
"""Backend -> how several devices can train one model; "auto" takes a process for each device."""
LAUNCHER = "PTYCHONYX_LAUNCHER"
"""Set for processes that `launch` started: the id of the one that started them."""


@dataclass(frozen=True)
class Workers:
    """The processes that train one model, and which of them this one is.

    Attributes
    ----------
    devices, num_nodes : int
        Devices of a node, and nodes.
    strategy : str
        One of the backend's `STRATEGIES`.
    rank, local_rank : int
        Number of this process among all, and among those of its node.
    has_slurm : bool
        Whether srun started it.

    Examples
    --------
    >>> Workers().num, Workers(devices=4, num_nodes=2, rank=5, local_rank=1).num
    (1, 8)
    >>> Workers(devices=4, strategy="mirrored").num  # one process feeds all devices
    1
    """

    devices: int = 1
    num_nodes: int = 1
    strategy: str = "auto"
    rank: int = 0
    local_rank: int = 0
    has_slurm: bool = False

    @property
    def num(self) -> int:
        """Number of processes."""
        return self.num_nodes * (1 if self.strategy == "mirrored" else self.devices)

    @property
    def num_devices(self) -> int:
        """Number of devices, each of which takes its part of every batch."""
        return self.devices * self.num_nodes

    @property
    def own_devices(self) -> range:
        """Numbers of the devices that this process feeds, among all devices."""
        num = self.num_devices // self.num
        return range(self.rank * num, (self.rank + 1) * num)

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0


class WorkerLostError(RuntimeError):
    """Another process that trains the same model has ended or cannot be reached."""

    def __init__(self, workers: Workers, error: Exception) -> None:
        lines = [line.strip() for line in str(error).splitlines()]
        telling = [line for line in lines if LOST_CONNECTION.search(line)] or [*lines, "?"]
        reason = telling[0].split(". ", 1)[0]
        super().__init__(
            f"Process {workers.rank + 1} of {workers.num} stops, because it cannot go on without the "
            f"others: one of them has ended or is not reachable ({type(error).__name__}: {reason}). "
            "Whole epochs are kept; the same command resumes the run."
        )


def find_workers(
    backend: str,
    *,
    devices: int = 1,
    num_nodes: int = 1,
    strategy: str = "auto",
    environment: Mapping[str, str],
) -> Workers | None:
    """Find out which of the processes of a training this one is.

    Parameters
    ----------
    backend : "tensorflow" or "pytorch"
    devices, num_nodes : int
        Devices of a node, and nodes.
    strategy : str
    environment : mapping of str to str
        Variables of the process: SLURM's, TF_CONFIG (TensorFlow), or LOCAL_RANK, NODE_RANK,
        MASTER_ADDR and MASTER_PORT (PyTorch).

    Returns
    -------
    Workers or None
        None if there must be several processes, but they have not been started yet.

    Raises
    ------
    ValueError
        If the numbers, the strategy and the environment do not fit together.

    Examples
    --------
    >>> slurm = {"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "3", "SLURM_LOCALID": "1"}
    >>> find_workers("pytorch", devices=2, num_nodes=2, environment=slurm).rank
    3
    >>> find_workers("pytorch", devices=2, environment={}) is None
    True
    """
    for name, value in (("devices", devices), ("num_nodes", num_nodes)):
        if value < 1:
            raise ValueError(f"`{name}` is {value}, expected at least 1.")
    if strategy not in STRATEGIES[backend]:
        named = ", ".join(f'"{name}"' for name in STRATEGIES[backend])
        raise ValueError(f"`strategy` is {strategy!r}, expected of {backend} one of: {named}.")
    if strategy == "mirrored" and num_nodes > 1:
        raise ValueError(
            f'`strategy` is "mirrored", one process on one machine, but `num_nodes` is {num_nodes}; '
            'use "multi_worker_mirrored".'
        )
    alone = Workers(devices, num_nodes, strategy)
    task = find_task(environment)
    if task is not None:
        _check_number(alone, task.num_tasks, "srun started")
        return Workers(devices, num_nodes, strategy, task.rank, task.local_rank, has_slurm=True)
    if alone.num == 1:
        return alone
    if backend == "tensorflow" and "TF_CONFIG" in environment:
        found = json.loads(environment["TF_CONFIG"])
        _check_number(alone, len(found["cluster"]["worker"]), "TF_CONFIG names")
        rank = int(found["task"]["index"])
        return Workers(devices, num_nodes, strategy, rank, rank % devices)
    if backend == "pytorch" and "LOCAL_RANK" in environment:
        node = int(environment.get("NODE_RANK", environment.get("GROUP_RANK", 0)))
        local_rank = int(environment["LOCAL_RANK"])
        return Workers(devices, num_nodes, strategy, node * devices + local_rank, local_rank)
    if num_nodes > 1:
        how = {
            "tensorflow": "TF_CONFIG for each process",
            "pytorch": "LOCAL_RANK, NODE_RANK, MASTER_ADDR and MASTER_PORT for each process",
        }[backend]
        raise ValueError(
            f"`num_nodes` is {num_nodes}, but nothing says where the other nodes are; start the "
            f"command with srun, or set {how}."
        )
    return None


def check_shares(workers: Workers, config: RunConfig) -> None:
    """Make sure that every device gets an equal part of a batch.

    Raises
    ------
    ValueError
        Naming the batch sizes that would do.
    """
    num, size = workers.num_devices, config.batch_size
    if size % num:
        fitting = f"{size // num * num} or " if size > num else ""
        raise ValueError(
            f"`batch_size` is {size}, which {num} devices cannot share evenly; it counts the samples "
            f"of a step over all devices: use {fitting}{-(-size // num) * num}."
        )


def is_orphaned() -> bool:
    """Tell whether the process that started this one is gone, so that it must end too."""
    launcher = os.environ.get(LAUNCHER)
    return launcher is not None and os.getppid() != int(launcher)


def _check_number(workers: Workers, found: int, how: str) -> None:
    if workers.num != found:
        raise ValueError(
            f"`devices` is {workers.devices} and `num_nodes` {workers.num_nodes}, which needs "
            f"{workers.num} processes, but {how} {found}; make them equal."
        )
