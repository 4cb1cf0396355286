"""Batches made in processes of their own, ahead of the training step, so that it need not wait."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

import numpy as np
from numpy.typing import NDArray

from ..distributed.launch import FORWARDED
from .pool import Batch, Pool
from .poorer import GoodScan

GONE = (EOFError, ConnectionError)
ENDED = (
    "A process that simulates scans has ended; its error stands above. If the memory was short, train "
    "with fewer processes."
)


class Supply:
    """Take turns among processes, each of which owns a pool of scans.

    The batches depend on the seed, the number of processes and the corrections, and on nothing else:
    neither on how fast the processes are nor on the framework that trains.

    Parameters
    ----------
    seed : sequence of int
    num_processes : int
    first_process : int
        Number of the first of these processes among those of all supplies that serve one training.
    num_groups : int
        Groups of scans in each process; 2 or more, so that one is made while another is learned from.
    batch_size : int
        Scans of a batch.
    good_scans : sequence of GoodScan
        Measured scans that some of the scans are made of.

    Examples
    --------
    >>> with Supply((0,), num_processes=1, num_groups=2, batch_size=1) as supply:
    ...     batch = supply.next_batch()
    ...     supply.correct(np.zeros_like(batch.objects))
    >>> batch.features.shape
    (1, 16, 144, 144)
    """

    def __init__(
        self,
        seed: Sequence[int],
        *,
        num_processes: int,
        first_process: int = 0,
        num_groups: int,
        batch_size: int,
        good_scans: Sequence[GoodScan] = (),
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self._number = 0
        self._processes: list[BaseProcess] = []
        self._ends: list[Connection] = []
        for index in range(first_process, first_process + num_processes):
            here, there = context.Pipe()
            process = context.Process(
                target=_serve,
                args=(there, (*seed, index), num_groups, batch_size, good_scans),
                daemon=True,
                name=f"scans-{index}",
            )
            process.start()
            there.close()
            self._processes.append(process)
            self._ends.append(here)
        # what is sent is taken at once, so that two that send to each other never wait for ever
        self._takers = ThreadPoolExecutor(num_processes)
        self._waiting: list[Future[Batch]] = [self._takers.submit(end.recv) for end in self._ends]

    def __enter__(self) -> Supply:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the processes."""
        self.close()

    def next_batch(self) -> Batch:
        """Return the next batch, as soon as it is there.

        Raises
        ------
        RuntimeError
            If the process that makes it has ended.
        """
        place = self._number % len(self._ends)
        try:
            batch = self._waiting[place].result()
        except GONE:
            raise RuntimeError(ENDED) from None
        self._waiting[place] = self._takers.submit(self._ends[place].recv)
        return batch

    def correct(self, corrections: NDArray[np.float32]) -> None:
        """Send what the network changes in the batch that was taken last, shape (B, 2, S, S).

        Raises
        ------
        RuntimeError
            If the process that wants it has ended.
        """
        try:
            self._ends[self._number % len(self._ends)].send(corrections)
        except GONE:
            raise RuntimeError(ENDED) from None
        self._number += 1

    def close(self) -> None:
        """End the processes."""
        for process in self._processes:
            process.kill()  # it holds nothing that would be lost
            process.join()
        self._takers.shutdown()  # their last receipts end with the processes
        for end in self._ends:
            end.close()


def _serve(
    end: Connection,
    seed: Sequence[int],
    num_groups: int,
    batch_size: int,
    good_scans: Sequence[GoodScan],
) -> None:
    """Send batches, one ahead of the corrections."""
    for (
        number
    ) in FORWARDED:  # terminals and SLURM signal all processes; the one that trains decides
        signal.signal(number, signal.SIG_IGN)
    pool = Pool(seed, num_groups, batch_size, good_scans)
    number = 0
    with suppress(*GONE):  # once the process that trains has ended
        end.send(pool.batch(number))
        while True:
            number += 1
            end.send(pool.batch(number))
            pool.advance(number - 1, end.recv())
