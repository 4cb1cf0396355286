"""The processes that train one model together: which of them this is, and who starts them.

A scheduler starts all of them (srun; or whoever sets TF_CONFIG, or LOCAL_RANK and MASTER_ADDR); else
`ptychonyx train --devices N` starts those of its own machine itself.
"""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass

from ..config.config import TrainingConfig

logger = logging.getLogger(__name__)

LOST_CONNECTION = re.compile("connect|Connect|abort|Abort|gloo|NCCL")
"""In what the frameworks say when another process is gone."""

STRATEGIES: dict[str, tuple[str, ...]] = {
    "tensorflow": ("auto", "mirrored", "multi_worker_mirrored"),
    "pytorch": ("auto", "ddp", "fsdp"),
}
"""Backend -> how several devices can train one model; "auto" takes a process for each device."""
REQUEUE = (signal.SIGUSR1,) if hasattr(signal, "SIGUSR1") else ()
"""By which SLURM says that the job will end soon (`#SBATCH --signal`); Windows has none."""
REQUEUE_S = 20.0
"""Given to the first process to put the job back into the queue."""
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
        None if there must be several processes, but nobody has started them yet.

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
    for name, value in (("--devices", devices), ("--num-nodes", num_nodes)):
        if value < 1:
            raise ValueError(f"`{name}` is {value}, expected at least 1.")
    if strategy not in STRATEGIES[backend]:
        named = ", ".join(f'"{name}"' for name in STRATEGIES[backend])
        raise ValueError(f"`--strategy` is {strategy!r}, expected of {backend} one of: {named}.")
    if strategy == "mirrored" and num_nodes > 1:
        raise ValueError(
            f'`--strategy` is "mirrored", one process on one machine, but `--num-nodes` is {num_nodes}; '
            'use "multi_worker_mirrored".'
        )
    alone = Workers(devices, num_nodes, strategy)
    num_tasks = int(environment.get("SLURM_STEP_NUM_TASKS", 1))
    if num_tasks > 1:
        _check_number(alone, num_tasks, "srun started")
        rank, local_rank = int(environment["SLURM_PROCID"]), int(environment["SLURM_LOCALID"])
        return Workers(devices, num_nodes, strategy, rank, local_rank, has_slurm=True)
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
            f"`--num-nodes` is {num_nodes}, but nothing says where the other nodes are; start the "
            f"command with srun, or set {how}."
        )
    return None


def check_shares(workers: Workers, config: TrainingConfig) -> None:
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


def requeue(workers: Workers, environment: Mapping[str, str]) -> None:
    """Put the SLURM job of this process back into the queue, if it has one.

    Of several processes the first one does it, and the others wait to be ended with the job: when a
    process ends, srun may end all the others, also the first one before it is done.

    Raises
    ------
    RuntimeError
        If SLURM refuses.
    """
    job = environment.get("SLURM_JOB_ID")
    if not workers.is_first:
        time.sleep(REQUEUE_S if workers.has_slurm else 0.0)
    if job is None or not workers.is_first:
        return
    if "SLURM_ARRAY_JOB_ID" in environment:
        job = f"{environment['SLURM_ARRAY_JOB_ID']}_{environment['SLURM_ARRAY_TASK_ID']}"
    try:
        subprocess.run(["scontrol", "requeue", job], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", None) or error
        raise RuntimeError(
            f"Job {job} could not be put back into the queue ({str(reason).strip()}); submit it again."
        ) from error
    logger.info("Job %s was put back into the queue.", job)


def _check_number(workers: Workers, found: int, how: str) -> None:
    if workers.num != found:
        raise ValueError(
            f"`--devices` is {workers.devices} and `--num-nodes` {workers.num_nodes}, which needs "
            f"{workers.num} processes, but {how} {found}; make them equal."
        )
