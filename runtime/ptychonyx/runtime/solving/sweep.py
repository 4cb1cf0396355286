"""One pass over a scan: random batches of patterns, each correcting the object for the next."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .exit_waves import Beam, Change, Noise, compare_batch, make_beam
from .measured import Measured
from .placement import Placement

MOMENTUM = 0.7
"""Share of the object's last change that each pass begins with."""
NUM_FULL_PASSES = 5
STEP_DECAY = 0.5
"""After the full passes, pass k takes the step 1/(1 + this·(k − full passes)): later batches undo
less of what earlier ones found, so the passes converge instead of circling about the best object."""
DENOMINATOR_FLOOR = 0.5
"""β: weakly lit pixels move as if they had this share of the beam's largest intensity."""
BATCHES_PER_PASS = 16
CHUNK = 8
"""Patterns that one thread takes at a time: enough that Python does not matter, and they fit a cache."""
CHUNKS_AHEAD = 64
"""Chunks that are computed before they are added: all that a pass holds besides canvas and patterns."""

Complex = NDArray[np.complex64]


@dataclass(frozen=True)
class Problem:
    """What is known of a scan.

    Attributes
    ----------
    measured : Measured
    placement : Placement
        Of the same patterns.
    noise : "amplitude" or "poisson"
    """

    measured: Measured
    placement: Placement
    noise: Noise = "amplitude"


@dataclass(frozen=True)
class State:
    """What is believed of object and probe after some passes.

    Attributes
    ----------
    object_ : complex64 array, shape (H, W)
        On the canvas of the placement.
    last_change : complex64 array, shape (H, W)
        What the last pass changed.
    beam : Beam
    num_passes : int
    residual : float
        Σ (A − a)² / Σ a² met during the last pass, of each batch before it was corrected; NaN
        before the first.
    """

    object_: Complex
    last_change: Complex
    beam: Beam
    num_passes: int = 0
    residual: float = float("nan")


def start_state(object_: Complex, probe: Complex) -> State:
    """Return the state before the first pass."""
    return State(object_, np.zeros_like(object_), make_beam(probe))


def sweep(
    problem: Problem,
    state: State,
    *,
    rng: np.random.Generator,
    pool: ThreadPoolExecutor,
    refine_probe: bool = False,
    should_stop: Callable[[], bool] | None = None,
) -> State:
    """Pass once over all patterns.

    Parameters
    ----------
    problem : Problem
    state : State
        Where the passes stand.
    rng : numpy.random.Generator
        Decides the batches.
    pool : ThreadPoolExecutor
        Its threads share the patterns of a batch; how many there are does not change the result.
    refine_probe : bool
        Whether the probe is corrected, too.
    should_stop : callable, optional
        Asked after each batch; if true, the rest of the pass is left out.

    Returns
    -------
    State
        After the pass.
    """
    object_ = state.object_ + np.float32(MOMENTUM) * state.last_change
    beam, misfit, counts = state.beam, 0.0, 0.0
    order = rng.permutation(len(problem.measured.indexes))
    step = np.float32(step_of(state.num_passes + 1))
    for batch in np.array_split(order, num_batches(len(order))):
        sums = _Sums(problem, beam, with_probe=refine_probe)
        for chunk, windows, change in _changes(problem, object_, beam, batch, pool, refine_probe):
            sums.add(chunk, windows, change)
            misfit += change.misfit
        counts += float(problem.measured.counts[batch].sum())
        object_ += step * sums.object_step()
        if refine_probe:
            beam = make_beam(beam.modes + step * sums.probe_step())
        if should_stop is not None and should_stop():
            break
    return State(
        object_,
        object_ - state.object_,
        beam,
        state.num_passes + 1,
        misfit / counts if counts else float("nan"),
    )


def num_batches(num_patterns: int) -> int:
    """Return how many batches a pass has."""
    return min(BATCHES_PER_PASS, num_patterns)


def step_of(number: int) -> float:
    """Return the step of a pass, counted from 1.

    Examples
    --------
    >>> step_of(5), step_of(7)
    (1.0, 0.5)
    """
    return 1 / (1 + STEP_DECAY * max(0, number - NUM_FULL_PASSES))


class _Sums:
    """Sum what the patterns of a batch ask for, and how strongly each pixel was lit."""

    def __init__(self, problem: Problem, beam: Beam, *, with_probe: bool) -> None:
        self._placement, self._beam = problem.placement, beam
        self._object = np.zeros(problem.placement.shape, np.complex64)
        self._light = np.zeros(problem.placement.shape, np.float32)
        self._probe = np.zeros_like(beam.modes)
        self._transmission = np.zeros(beam.modes.shape[1:], np.float32)
        self._with_probe = with_probe

    def add(self, chunk: NDArray[np.int64], windows: Complex, change: Change) -> None:
        self._placement.add(self._object, change.object_, chunk)
        self._placement.add(self._light, self._beam.intensity[None], chunk)
        if change.probe is not None:
            self._probe += change.probe
            self._transmission += np.square(np.abs(windows)).sum(axis=0)

    def object_step(self) -> Complex:
        floor = DENOMINATOR_FLOOR * float(self._beam.intensity.max())
        np.maximum(self._light, floor, out=self._light)
        np.reciprocal(self._light, out=self._light)
        self._object *= self._light
        return self._object

    def probe_step(self) -> Complex:
        floor = DENOMINATOR_FLOOR * float(self._transmission.max())
        self._probe /= np.maximum(self._transmission, floor)
        return self._probe


def _changes(
    problem: Problem,
    object_: Complex,
    beam: Beam,
    batch: NDArray[np.int64],
    pool: ThreadPoolExecutor,
    with_probe: bool,
) -> Iterator[tuple[NDArray[np.int64], Complex, Change]]:
    """Yield what each chunk of a batch asks for, in order; chunks are computed by the pool."""

    def compare(chunk: NDArray[np.int64]) -> tuple[NDArray[np.int64], Complex, Change]:
        windows = problem.placement.cut(object_, chunk)
        change = compare_batch(
            beam,
            windows,
            problem.placement.fractions_px[chunk],
            problem.measured.amplitudes(chunk),
            good=problem.measured.good_of(chunk),
            noise=problem.noise,
            with_probe=with_probe,
        )
        return chunk, windows, change

    waiting: deque[Future[tuple[NDArray[np.int64], Complex, Change]]] = deque()
    try:
        for start in range(0, len(batch), CHUNK):
            waiting.append(pool.submit(compare, batch[start : start + CHUNK]))
            if len(waiting) > CHUNKS_AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
