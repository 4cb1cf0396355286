"""Read | infer | stitch, at the same time, in bounded memory, and with the result of one by one."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from time import perf_counter
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import NotFiniteError
from ..product import name_patterns
from ..scaling import read_amplitudes_of
from ..scan import Scan
from ..stitching.mosaic import Mosaic
from .plan import Plan

BATCHES_AHEAD = 3
"""Read or predicted before they are stitched: enough to hide a slow disk, and all that is in memory."""

_Ahead = deque[tuple[Future[NDArray[np.float32]], Future[NDArray[np.complex64]]]]


class Predictor(Protocol):
    """What patches are asked of: a model, or a network that is still in its framework."""

    @property
    def predictions_at_once(self) -> int:
        """Number of threads that may call `predict` at the same time."""

    def predict(self, amplitude: NDArray[np.float32], scale: float) -> NDArray[np.complex64]:
        """Return object patches (B, C, M, M) of amplitudes (B, C, N, N)."""


class Pipeline:
    """One pass over a scan: batches are read, predicted and stitched by threads of their own.

    Batches are stitched in their order, so the result does not depend on which was faster.

    Parameters
    ----------
    scan : Scan
    model : Predictor
    plan : Plan
    mosaic : Mosaic
        Gets the patches.
    part : slice
        Which of the plan's groups to go through; by default all.
    """

    def __init__(
        self, scan: Scan, model: Predictor, plan: Plan, mosaic: Mosaic, *, part: slice = slice(None)
    ) -> None:
        self._scan, self._model, self._plan, self._mosaic = scan, model, plan, mosaic
        self._batches = plan.batches(part)
        self._predictions_s: list[float] = []

    @property
    def infer_s(self) -> float:
        """Time that the model took."""
        return sum(self._predictions_s) / self._model.predictions_at_once

    def run(
        self,
        num_steps: int,
        progress: Callable[[int, int], None] | None,
        should_stop: Callable[[], bool] | None,
    ) -> Iterator[tuple[int, bool]]:
        """Go through the scan; `num_steps` times, yield once everything so far is stitched.

        Leaving by an error or Ctrl-C, or being closed, waits for what is being read and predicted,
        no more.

        Yields
        ------
        (int, bool)
            The number of patterns used, and whether the work was stopped after them.
        """
        num_used, num_batches = 0, len(self._batches)
        ends_step = {-(-num_batches * step // num_steps) for step in range(1, num_steps + 1)}
        at_once = self._model.predictions_at_once
        waiting = iter(self._batches)
        ahead: _Ahead = deque()
        with (
            ThreadPoolExecutor(1, "read") as reader,
            ThreadPoolExecutor(at_once, "infer") as network,
        ):

            def start_next() -> None:
                for groups in waiting:
                    reading = reader.submit(read_amplitudes_of, self._scan, groups)
                    ahead.append((reading, network.submit(self._infer, reading)))
                    return

            try:
                for _ in range(BATCHES_AHEAD):
                    start_next()
                for number, groups in enumerate(self._batches, 1):
                    patches = ahead[0][1].result()
                    ahead.popleft()
                    start_next()
                    self._stitch(patches, groups)
                    num_used += len(groups)
                    if progress is not None:
                        progress(num_used, self._scan.num_patterns)
                    is_stopped = should_stop is not None and should_stop()
                    if is_stopped or number in ends_step:
                        yield num_used, is_stopped
                    if is_stopped:
                        break
            finally:
                for reading, prediction in ahead:
                    prediction.cancel()
                    reading.cancel()

    def _infer(self, reading: Future[NDArray[np.float32]]) -> NDArray[np.complex64]:
        amplitude = reading.result()
        started_s = perf_counter()
        patches = self._model.predict(amplitude, self._plan.scale)
        self._predictions_s.append(perf_counter() - started_s)
        return patches

    def _stitch(self, patches: NDArray[np.complex64], groups: NDArray[np.int64]) -> None:
        corners_px = self._plan.corners_px[groups.ravel()]
        try:
            self._mosaic.add(patches.reshape(-1, *patches.shape[2:]), corners_px)
        except NotFiniteError as error:
            patterns = tuple(groups.ravel()[list(error.indexes)].tolist())
            raise NotFiniteError(
                f"The network's patches of {name_patterns(patterns)} of {self._scan.name!r} are not "
                "finite, so there is no object; check these patterns, `ptychonyx verify` the model, or "
                "take one of more bits.",
                patterns,
            ) from None
