"""One pass over a scan: random batches of patterns, each correcting the object for the next."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ...comparison.region import spread_indexes
from ...noise import noise_of_amplitudes
from ..options import Noise
from .exit_waves import (
    Beam,
    Change,
    Workspace,
    compare_batch,
    make_beam,
    predict_amplitudes,
)
from .measured import Measured
from .moves import Moves
from .placement import Placement

MOMENTUM = 0.7
"""Share of the object's last change that each pass begins with."""
NUM_FULL_PASSES = 5
SMALLEST_FALL = 0.02
"""From the full passes on, steps shrink after each pass whose residual fell by less than this share of
itself: smaller steps average over batches, where full ones circle about the best object."""
STEP_DECAY = 0.5
"""What 1/step grows by then, in units of the first step's own inverse."""
SMALLEST_FIRST_STEP = 0.02
NOISE_PATTERNS = 64
"""Patterns that decide the first step."""
DENOMINATOR_FLOOR = 0.5
"""β: weakly lit pixels move as if they had this share of the beam's largest intensity."""
PARALLEL_FLOOR = 0.02
"""The same for all patterns at once, as a share of the brightest pixel's light: no step of theirs can
go too far, so that dim pixels may move, too."""
BATCHES_PER_PASS = 16
CHUNK = 16
"""Patterns that one thread takes at a time: enough that Python does not matter, and they fit a cache."""
CHUNKS_AT_ONCE = 16
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

    def at(self, state: State) -> Problem:
        """Return the problem with the windows where a state believes them."""
        if state.moves is None:
            return self
        return replace(self, placement=self.placement.moved(state.moves.total_px))


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
    first_step, step : float
        Share of the full correction in the first pass, and in the next one.
    correction : complex64 array, shape (H, W), or None
        What a network added to the object after the last pass; None without a network.
    moves : Moves or None
        How far each window lies from where the problem has it; None if all lie there.
    """

    object_: Complex
    last_change: Complex
    beam: Beam
    num_passes: int = 0
    residual: float = float("nan")
    first_step: float = 1.0
    step: float = 1.0
    correction: Complex | None = None
    moves: Moves | None = None


def start_state(object_: Complex, probe: Complex, first_step: float = 1.0) -> State:
    """Return the state before the first pass."""
    beam = make_beam(probe)
    return State(object_, np.zeros_like(object_), beam, first_step=first_step, step=first_step)


def first_step_of(problem: Problem, object_: Complex, probe: Complex) -> float:
    """Return the share of the correction that is not noise, at the start.

    It is (r − n)/r, where r is the misfit of the start and n what photon noise alone would leave
    (the Wiener filter's factor). With few photons, full steps would put their noise into the object.
    It is 1 where patterns do not tell photons.

    Parameters
    ----------
    problem : Problem
    object_ : complex64 array, shape (H, W)
        On the canvas of the placement.
    probe : complex64 array, shape (modes, N, N)
    """
    measured, placement = problem.measured, problem.placement
    if not measured.are_photons:
        return 1.0
    chosen = spread_indexes(len(measured.indexes), NOISE_PATTERNS)
    windows = placement.cut(object_, chosen)
    predicted = predict_amplitudes(make_beam(probe), windows, placement.fractions_px[chosen])
    misfit = np.square(predicted - measured.amplitudes(chosen))
    noise = noise_of_amplitudes(np.square(predicted))
    good = measured.good_of(chosen)
    if good is not None:
        misfit, noise = misfit * good, noise * good
    share = 1 - float(noise.sum()) / float(misfit.sum()) if misfit.any() else 1.0
    return max(SMALLEST_FIRST_STEP, share)


def sweep(
    problem: Problem,
    state: State,
    *,
    rng: np.random.Generator,
    pool: ThreadPoolExecutor,
    refine_probe: bool = False,
    is_parallel: bool = False,
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
    is_parallel : bool
        Whether all patterns are one batch, whose full correction is made, without momentum: the
        object then holds the mean of what the patterns ask for, with the least noise.
    should_stop : callable, optional
        Asked after each batch; if true, the rest of the pass is left out.

    Returns
    -------
    State
        After the pass.
    """
    problem = problem.at(state)
    momentum, step = (0.0, 1.0) if is_parallel else (MOMENTUM, state.step)
    object_ = state.object_ + np.float32(momentum) * state.last_change
    beam, misfit, counts = state.beam, 0.0, 0.0
    order = rng.permutation(len(problem.measured.indexes))
    spare: deque[Workspace] = deque()
    for batch in np.array_split(order, 1 if is_parallel else num_batches(len(order))):
        sums = _Sums(problem, beam, with_probe=refine_probe)
        for chunk, windows, change in _changes(
            problem, object_, beam, batch, pool, spare, refine_probe
        ):
            sums.add(chunk, windows, change)
            misfit += change.misfit
        counts += float(problem.measured.counts[batch].sum())
        object_ += np.float32(step) * sums.object_step(is_parallel=is_parallel)
        if refine_probe:
            beam = make_beam(beam.modes + np.float32(step) * sums.probe_step())
        if should_stop is not None and should_stop():
            break
    residual = misfit / counts if counts else float("nan")
    return replace(
        state,
        object_=object_,
        last_change=object_ - state.object_,
        beam=beam,
        num_passes=state.num_passes + 1,
        residual=residual,
        step=next_step(state, residual),
        correction=None,
    )


def num_batches(num_patterns: int) -> int:
    """Return how many batches a pass has."""
    return min(BATCHES_PER_PASS, num_patterns)


def next_step(state: State, residual: float) -> float:
    """Return the step of the pass after one that began at a state and met a residual.

    Examples
    --------
    >>> object_ = np.ones((4, 4), np.complex64)
    >>> state = State(object_, object_, make_beam(object_[None]), num_passes=9, residual=0.01)
    >>> next_step(state, 0.0099), next_step(state, 0.008)
    (0.6666666666666666, 1.0)
    """
    is_early = state.num_passes + 1 < NUM_FULL_PASSES
    if is_early or residual < (1 - SMALLEST_FALL) * state.residual:
        return state.step
    return 1 / (1 / state.step + STEP_DECAY / state.first_step)


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

    def object_step(self, *, is_parallel: bool) -> Complex:
        floor = DENOMINATOR_FLOOR * float(self._beam.intensity.max())
        if is_parallel:
            floor = PARALLEL_FLOOR * float(self._light.max())
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
    spare: deque[Workspace],
    with_probe: bool,
) -> Iterator[tuple[NDArray[np.int64], Complex, Change]]:
    """Yield what each chunk of a batch asks for, in order; chunks are computed by the pool.

    Workspaces that no thread uses are in `spare`.
    """

    def compare(chunk: NDArray[np.int64]) -> tuple[NDArray[np.int64], Complex, Change]:
        windows = problem.placement.cut(object_, chunk)
        try:
            workspace = spare.pop()
        except IndexError:  # all are in use
            workspace = Workspace(CHUNK, beam)
        change = compare_batch(
            beam,
            windows,
            problem.placement.fractions_px[chunk],
            problem.measured.amplitudes(chunk),
            good=problem.measured.good_of(chunk),
            noise=problem.noise,
            with_probe=with_probe,
            workspace=workspace,
        )
        spare.append(workspace)
        return chunk, windows, change

    starts = range(0, len(batch), CHUNK)
    for first in range(0, len(starts), CHUNKS_AT_ONCE):
        some = [batch[start : start + CHUNK] for start in starts[first : first + CHUNKS_AT_ONCE]]
        # all are computed before the first is added: adding at the same time takes longer in all,
        # since two threads of Python hinder each other
        yield from list(pool.map(compare, some))
