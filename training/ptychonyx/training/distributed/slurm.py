"""SLURM: the place of a process among the tasks of srun, and putting a job back into the queue."""

from __future__ import annotations

import logging
import signal
import subprocess
import time
from collections.abc import Mapping
from typing import NamedTuple

logger = logging.getLogger(__name__)

REQUEUE = (signal.SIGUSR1,) if hasattr(signal, "SIGUSR1") else ()
"""Signals by which SLURM says that the job will end soon (`#SBATCH --signal`); Windows has none."""
REQUEUE_S = 20.0
"""Time that the other processes leave the first one to put the job back into the queue."""


class Task(NamedTuple):
    """One of several tasks that srun started.

    Attributes
    ----------
    num_tasks : int
        Number of tasks.
    rank, local_rank : int
        Number of this one among all, and among those of its node.
    """

    num_tasks: int
    rank: int
    local_rank: int


def find_task(environment: Mapping[str, str]) -> Task | None:
    """Return which of several tasks of srun this process is, or None if srun did not start several.

    Parameters
    ----------
    environment : mapping of str to str
        Variables of the process.

    Examples
    --------
    >>> find_task({"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "3", "SLURM_LOCALID": "1"})
    Task(num_tasks=4, rank=3, local_rank=1)
    >>> find_task({"SLURM_JOB_ID": "4711"}) is None
    True
    """
    num_tasks = int(environment.get("SLURM_STEP_NUM_TASKS", 1))
    if num_tasks <= 1:
        return None
    return Task(num_tasks, int(environment["SLURM_PROCID"]), int(environment["SLURM_LOCALID"]))


def requeue(environment: Mapping[str, str], *, is_first: bool) -> None:
    """Put the SLURM job of this process back into the queue, if it has one.

    Only the first of several processes does so. Other tasks of srun wait until they are ended with the
    job: if one ended earlier, srun might end the first one before it is done.

    Parameters
    ----------
    environment : mapping of str to str
        Variables of the process.
    is_first : bool
        Whether this is the first of the processes that train together.

    Raises
    ------
    RuntimeError
        If SLURM refuses.
    """
    job = environment.get("SLURM_JOB_ID")
    if not is_first and find_task(environment) is not None:
        time.sleep(REQUEUE_S)
    if job is None or not is_first:
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
