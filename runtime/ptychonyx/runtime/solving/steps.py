"""Solve a scan step by step, for a host that shows what there is and decides whether to go on."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import Future
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Event, Semaphore, Thread

import numpy as np
from numpy.typing import NDArray

from ..product import Product
from ..scan import Scan
from .network.correction import Network
from .options import DEFAULT_SOLVING, SolvingOptions
from .solve import solve


@dataclass(frozen=True)
class Step:
    """One pass, or the end of all.

    Attributes
    ----------
    product : Product or None
        As it stands; None after a pass of the trial that finds out how many passes a scan bears.
    num_done : int
        Passes done, not counting those of the trial.
    num_passes : int
        How many there may be; of a trial, how many it has made.
    residual : float
        What the pass left unexplained.
    """

    product: Product | None
    num_done: int
    num_passes: int
    residual: float


def solve_in_steps(
    scan: Scan,
    options: SolvingOptions = DEFAULT_SOLVING,
    *,
    start: Product | None = None,
    probe: NDArray[np.complex64] | None = None,
    network: Network | None = None,
) -> Generator[Step, None, None]:
    """Solve a scan as `solve` does, and stop after each pass until more is asked for.

    Arguments and errors are those of `solve`. Closing the generator ends the work at once.

    Yields
    ------
    Step
        After each pass, with a product whose `complete` is false; and a last one, with what `solve`
        returns.

    Examples
    --------
    >>> from ptychonyx.runtime import SimulationOptions, simulate_scan
    >>> spec = SimulationOptions(num_patterns=49, window_px=32)
    >>> scan = simulate_scan(spec, np.random.default_rng(0))
    >>> options = SolvingOptions(passes=2, solver="none")
    >>> steps = list(solve_in_steps(scan, options))
    >>> [(step.num_done, step.product.complete) for step in steps]
    [(1, False), (2, False), (2, True)]
    """
    turns = _Turns()
    solving: Future[Product] = Future()

    def work() -> None:
        try:
            solving.set_result(
                solve(
                    scan,
                    options,
                    start=start,
                    probe=probe,
                    network=network,
                    progress=turns.note,
                    after_pass=turns.hand_over,
                    should_stop=turns.is_stopped,
                )
            )
        except BaseException as error:
            solving.set_exception(error)
        finally:
            turns.steps.put(None)

    # a daemon: a generator that nobody closes must not keep the interpreter from ending
    thread = Thread(target=work, name="steps", daemon=True)
    thread.start()
    try:
        while (step := turns.steps.get()) is not None:
            yield step
            turns.go_on()
    finally:
        turns.stop()
        thread.join()
    product = solving.result()
    assert product.pass_residuals is not None
    num_passes = len(product.pass_residuals)
    yield Step(product, num_passes, num_passes, float(product.pass_residuals[-1]))


class _Turns:
    """Let a thread that solves and one that asks take turns."""

    def __init__(self) -> None:
        self.steps: SimpleQueue[Step | None] = SimpleQueue()
        self._may_go_on = Semaphore(0)
        self._stopped = Event()
        self._last = Step(None, 0, 0, 0.0)

    def note(self, num_done: int, num_passes: int, residual: float) -> None:
        """Take the numbers of a pass; one of a trial has no product, and is a step by itself."""
        self._last = Step(None, num_done, num_passes, residual)
        if num_done == 0:
            self._hand(self._last)

    def hand_over(self, product: Product) -> None:
        """Hand over the product after the pass that was noted last."""
        last = self._last
        self._hand(Step(product, last.num_done, last.num_passes, last.residual))

    def is_stopped(self) -> bool:
        return self._stopped.is_set()

    def go_on(self) -> None:
        self._may_go_on.release()

    def stop(self) -> None:
        self._stopped.set()
        self._may_go_on.release()

    def _hand(self, step: Step) -> None:
        """Hand over a step, and wait until another one is wanted."""
        if not self._stopped.is_set():
            self.steps.put(step)
            self._may_go_on.acquire()
