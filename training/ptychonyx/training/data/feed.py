"""Batches on their way to the devices: each device's part of every batch, made ahead of time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..config.config import TrainingConfig
from ..distributed.workers import Workers
from ..physics.losses import Batch
from .samples import Samples

BATCHES_AHEAD = 2
"""Made while the network is busy; more would only use memory."""

_Item = TypeVar("_Item")
_Made = TypeVar("_Made")


class Part(NamedTuple):
    """The groups of a batch that one of several devices takes.

    Attributes
    ----------
    groups : int64 array, shape (b, G)
        Never empty: a device that a small batch leaves without groups takes its first, with share 0.
    share : float
        Share of the batch's groups that these are; the shares of a batch sum to 1.
    num : int
        Groups of the whole batch.
    """

    groups: NDArray[np.int64]
    share: float
    num: int


def part_of(groups: NDArray[np.int64], index: int, num_parts: int) -> Part:
    """Return the part of a batch that one of several devices takes.

    The mean over the batch is the sum over its parts of share · mean over the part.

    Examples
    --------
    >>> part_of(np.arange(5)[:, None], 1, 2)
    Part(groups=array([[3],
           [4]]), share=0.4, num=5)
    >>> part_of(np.arange(1)[:, None], 1, 2).share
    0.0
    """
    own = np.array_split(groups, num_parts)[index]
    return Part(own if len(own) else groups[:1], len(own) / len(groups), len(groups))


class BatchPart(NamedTuple):
    """The arrays of one device's part of a batch.

    Attributes
    ----------
    batch : Batch
        Tensors of the groups.
    share : float
        Share of the batch's groups that these are.
    num : int
        Groups of the whole batch.
    """

    batch: Batch
    share: float
    num: int


@dataclass(frozen=True)
class Feed:
    """The batches of one epoch after another, as parts for the devices of this process.

    Each iteration is one epoch, and yields a tuple of `BatchPart` for each batch: one for each device
    that this process feeds. Later batches are made by a thread while the caller is busy.

    Attributes
    ----------
    samples : Samples
    workers : Workers
        Decide which parts of each batch this process takes.
    to_tensors : callable
        Turns a batch of NumPy arrays into one of the framework's tensors.
    order : callable
        Returns the groups (B, G) of each batch; called whenever an epoch begins.
    num_batches : int
        Batches of an epoch.
    """

    samples: Samples
    workers: Workers
    to_tensors: Callable[[Batch], Batch]
    order: Callable[[], Iterator[NDArray[np.int64]]]
    num_batches: int

    def __iter__(self) -> Iterator[tuple[BatchPart, ...]]:
        return made_ahead(self._make, self.order())

    def __len__(self) -> int:
        return self.num_batches

    def _make(self, groups: NDArray[np.int64]) -> tuple[BatchPart, ...]:
        return tuple(
            self._read(part_of(groups, device, self.workers.num_devices))
            for device in self.workers.own_devices
        )

    def _read(self, part: Part) -> BatchPart:
        return BatchPart(self.to_tensors(self.samples.batch(part.groups)), part.share, part.num)


def make_feeds(
    samples: Samples,
    config: TrainingConfig,
    workers: Workers,
    to_tensors: Callable[[Batch], Batch],
    *,
    epoch: Callable[[], int],
) -> tuple[Feed, Feed]:
    """Make the training and the validation feed of one process.

    Parameters
    ----------
    samples : Samples
    config : TrainingConfig
        Decides the size and the order of batches.
    workers : Workers
    to_tensors : callable
        As in `Feed`.
    epoch : callable
        Returns the number of finished epochs, which the order of the training depends on.

    Returns
    -------
    (training, validation) : Feed
        The latter has no batches if nothing validates.
    """

    def training_order() -> Iterator[NDArray[np.int64]]:
        return samples.training_batches(
            batch_size=config.batch_size, seed=config.seed, epoch=epoch()
        )

    def validation_order() -> Iterator[NDArray[np.int64]]:
        return samples.validation_batches(batch_size=config.batch_size)

    num_training, num_validation = (
        -(-len(patterns) // config.batch_size)
        for patterns in (samples.training, samples.validation)
    )
    return (
        Feed(samples, workers, to_tensors, training_order, num_training),
        Feed(samples, workers, to_tensors, validation_order, num_validation),
    )


def made_ahead(make: Callable[[_Item], _Made], items: Iterable[_Item]) -> Iterator[_Made]:
    """Yield `make(item)` of each item, in order, made by a thread while the caller is busy.

    An error of `make` is raised here, in the turn of its item.

    Examples
    --------
    >>> list(made_ahead(lambda number: number**2, range(4)))
    [0, 1, 4, 9]
    """
    waiting: deque[Future[_Made]] = deque()
    pool = ThreadPoolExecutor(1, thread_name_prefix="batches")
    try:
        for item in items:
            waiting.append(pool.submit(make, item))
            if len(waiting) > BATCHES_AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
