"""The scheduler of a fleet: one that runs elsewhere, or one of our own with local workers."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from distributed import Client
    from distributed.deploy import Cluster

LOCAL = "local"
_ENVIRONMENT = {"OMP_NUM_THREADS": 1, "MKL_NUM_THREADS": 1, "OPENBLAS_NUM_THREADS": 1}
"""What local workers start with. Dask's own choice also sets MALLOC_TRIM_THRESHOLD_, with which glibc
gives each array back to the kernel when it is freed: passes then take 1.5 times as long."""


@contextmanager
def connected(dask: str | Cluster, num_workers: int | None, connect_s: float) -> Iterator[Client]:
    """Connect to a scheduler; local workers are started first, and stopped in the end.

    Local ones take work over TLS from this process alone, and listen on this machine alone.

    Parameters
    ----------
    dask : str or Dask cluster
        Address of a scheduler, a cluster that was started, or "local".
    num_workers : int or None
        Local workers to start.
    connect_s : float
        Seconds to wait for the scheduler's first answer.

    Raises
    ------
    RuntimeError
        If none answers.
    """
    from dask import config
    from distributed import Client, LocalCluster

    with ExitStack() as stack:
        stack.enter_context(_only_warnings())
        where: Any = dask
        if dask == LOCAL:
            stack.enter_context(config.set({"distributed.nanny.pre-spawn-environ": _ENVIRONMENT}))
            where = stack.enter_context(
                LocalCluster(
                    n_workers=num_workers,
                    threads_per_worker=1,
                    processes=True,
                    preload="ptychonyx.runtime.fleet.preload",
                    security=True,  # a certificate of this fleet: no other user can give it work
                    dashboard_address="127.0.0.1:0",  # not the network; any port that is free
                    silence_logs=logging.CRITICAL,  # of the workers; what fails is in the report
                )
            )
        try:
            client = Client(where, timeout=connect_s, set_as_default=False)
        except (OSError, ValueError) as error:
            raise RuntimeError(
                f"No Dask scheduler answers at {dask} ({error}); start one with `dask scheduler` "
                "and workers with `dask worker ADDRESS`, with the same certificates if its address is "
                "tls://, or take the local ones."
            ) from error
        yield stack.enter_context(client)


@contextmanager
def _only_warnings() -> Iterator[None]:
    """Let Dask tell of workers that died, but not of every step it takes."""
    logger = logging.getLogger("distributed")
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)
