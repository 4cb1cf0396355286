"""The tasks of workers that solve one scan together: plain functions, which know nothing of Dask.

Each worker holds a share of the patterns. A pass sums what they ask for, adds up the sums, and writes
where it stands; the next one begins with that file.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from time import perf_counter
from typing import Any

from ..belief import with_verdict
from ..solving.physics.sweep import Problem, Sums
from ..solving.shares.beginning import Beginning, Effort, Rules, begin, finish
from ..solving.shares.share import read_share
from .record import Record
from .states import read_state, remove_states, write_state
from .tasks import Order, finish_scan, load, this_worker


@dataclass(frozen=True)
class Begun:
    """A scan whose first pass can begin, and how long a worker took to decide how."""

    beginning: Beginning
    work_s: float


@dataclass(frozen=True)
class Held:
    """Which workers hold the shares of a scan, in their order."""

    workers: tuple[str, ...]


@dataclass(frozen=True)
class PassPart:
    """What shares ask for in a pass, which workers summed it, by share, and how long it took."""

    sums: Sums
    workers: tuple[str, ...]
    work_s: float


@dataclass(frozen=True)
class PassDone:
    """A pass that is done; where it stands is in its file.

    Attributes
    ----------
    number : int
    residual : float
    workers : tuple of str
        That made the sums of each share.
    work_s : float
        Seconds of all of them.
    """

    number: int
    residual: float
    workers: tuple[str, ...]
    work_s: float


class Share:
    """Hold a part of a scan's patterns in one worker.

    Its patterns are read where they are first needed, and never travel: what is sent to another
    worker, or laid aside when memory is short, is only which part it is.

    Parameters
    ----------
    order : Order
    start, stop : int
        First pattern, and the first that is no longer of the share.
    """

    def __init__(self, order: Order, start: int, stop: int) -> None:
        self._order, self._start, self._stop = order, start, stop
        self._problem: Problem | None = None
        self._reading = Lock()

    def problem(self) -> Problem:
        """Return the patterns and their windows; read once."""
        with self._reading:
            if self._problem is None:
                noise = self._order.recipe.solving.noise
                scan = load(self._order)
                self._problem = read_share(scan, self._start, self._stop, noise=noise)
            return self._problem

    def __reduce__(self) -> tuple[Any, ...]:
        return Share, (self._order, self._start, self._stop)

    def __sizeof__(self) -> int:
        """Return what the patterns take, so that Dask gives work on them to who holds them."""
        own = object.__sizeof__(self)
        return own if self._problem is None else own + self._problem.measured.kept.nbytes


def begin_passes(order: Order) -> Begun:
    """Decide how a scan is solved, and write where its passes start."""
    started_s = perf_counter()
    with _threads(order) as pool:
        beginning, state = begin(load(order), order.recipe.solving, pool)
    write_state(state, order.folder, order.name)
    return Begun(beginning, perf_counter() - started_s)


def hold_share(order: Order, start: int, stop: int) -> Share:
    """Read a part of a scan's patterns into this worker."""
    share = Share(order, start, stop)
    share.problem()
    return share


def holder_of(share: Share) -> Held:
    """Tell which worker holds a share."""
    share.problem()
    return Held((this_worker(),))


def add_holders(a: Held, b: Held) -> Held:
    """Put together which workers hold two shares."""
    return Held(a.workers + b.workers)


def sum_share(order: Order, rules: Rules, share: Share, number: int) -> PassPart:
    """Sum what a share asks for in a pass, which begins where the pass before it stands."""
    started_s = perf_counter()
    state = read_state(order.folder, order.name, number - 1)
    with _threads(order) as pool:
        sums = rules.passer(pool).sums(share.problem(), state)
    return PassPart(sums, (this_worker(),), perf_counter() - started_s)


def add_parts(a: PassPart, b: PassPart) -> PassPart:
    """Add up what two parts of a scan ask for."""
    started_s = perf_counter()
    sums = a.sums + b.sums
    work_s = a.work_s + b.work_s + perf_counter() - started_s
    return PassPart(sums, a.workers + b.workers, work_s)


def end_pass(order: Order, rules: Rules, number: int, whole: PassPart) -> PassDone:
    """Move object and probe by what all shares ask for, and write where the pass stands."""
    started_s = perf_counter()
    state = read_state(order.folder, order.name, number - 1)
    with _threads(order) as pool:
        state = rules.passer(pool).moved(state, whole.sums)
    write_state(state, order.folder, order.name)
    return PassDone(
        number, state.residual, whole.workers, whole.work_s + perf_counter() - started_s
    )


def finish_passes(order: Order, beginning: Beginning, effort: Effort) -> Record:
    """Make the product of a scan from where its last pass stands, and write it with its record."""
    finished = order.finished()
    if finished is not None:  # by a worker that died before it could say so
        return finished
    started_s = perf_counter()
    state = read_state(order.folder, order.name, len(effort.residuals))
    with _threads(order) as pool:
        product = finish(load(order), order.recipe.solving, beginning, state, effort, pool)
    product = with_verdict(product)
    record = finish_scan(
        order, product, num_parts=effort.shares, before_s=effort.work_s, started_s=started_s
    )
    remove_states(order.folder, order.name)
    return record


def _threads(order: Order) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(order.num_threads, "solve")
