"""Passes that several workers make over one scan, as who gives out the work sees them.

Each worker holds its share from the first pass to the last. When one dies, Dask lets another read its
share again and repeat its part of the pass under way; passes that are done are in their files.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from ..solving.shares.beginning import Effort
from ..solving.shares.share import even_parts, in_a_tree
from .share_tasks import (
    Begun,
    Held,
    PassDone,
    add_holders,
    add_parts,
    end_pass,
    finish_passes,
    hold_share,
    holder_of,
    sum_share,
)
from .tasks import Order, num_parts_of

if TYPE_CHECKING:
    from distributed import Client, Future


class SharedPasses:
    """Give out the passes over one scan, one after the other.

    Parameters
    ----------
    client : Dask client
    order : Order
    begun : Begun
    """

    def __init__(self, client: Client, order: Order, begun: Begun) -> None:
        self._client, self._order, self._begun = client, order, begun
        # scans that were begun come before others: until they are done, they take memory
        self._submit: Callable[..., Future] = partial(
            client.submit, pure=False, priority=1, retries=1
        )
        self._shares: list[Future] = []
        self._done: list[PassDone] = []
        self._holders: tuple[str, ...] = ()
        self._workers: set[str] = set()
        self._repeats = 0

    def hold(self) -> Future:
        """Let workers read the shares; return the future of who holds them."""
        workers = sorted(self._client.scheduler_info()["workers"])
        num_patterns = len(self._begun.beginning.counts)
        parts = even_parts(num_patterns, num_parts_of(self._order, num_patterns))
        self._shares = [
            self._submit(
                hold_share,
                self._order,
                *ends,
                workers=[workers[number % len(workers)]] if workers else None,
                allow_other_workers=bool(workers),
            )
            for number, ends in enumerate(parts)
        ]
        return self._in_a_tree(
            [self._submit(holder_of, share) for share in self._shares], add_holders
        )

    def go_on(self, done: Held | PassDone) -> Future:
        """Give out what follows: a pass, or the product; return the future of its outcome."""
        if isinstance(done, PassDone):
            self._done.append(done)
            self._repeats += done.workers != self._holders
        self._holders = done.workers
        self._workers |= set(done.workers)
        if len(self._done) < self._begun.beginning.passes:
            return self._submit_pass(len(self._done) + 1)
        effort = Effort(
            residuals=tuple(done.residual for done in self._done),
            shares=len(self._shares),
            workers=len(self._workers),
            repeats=self._repeats,
            work_s=self._begun.work_s + sum(done.work_s for done in self._done),
        )
        self._shares.clear()  # lets go of the patterns
        return self._submit(finish_passes, self._order, self._begun.beginning, effort)

    def _submit_pass(self, number: int) -> Future:
        rules = self._begun.beginning.rules
        parts = [
            self._submit(sum_share, self._order, rules, share, number) for share in self._shares
        ]
        whole = self._in_a_tree(parts, add_parts)
        return self._submit(end_pass, self._order, rules, number, whole)

    def _in_a_tree(self, parts: list[Future], add: Callable[[Any, Any], Any]) -> Future:
        return in_a_tree(parts, partial(self._submit, add))
