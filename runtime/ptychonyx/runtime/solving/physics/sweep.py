"""One pass over a scan: random batches of patterns, each correcting the object for the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ...comparison.region import spread_indexes
from ...noise import noise_of_amplitudes
from ..options import Noise
from .comparing import CHUNK, Comparer, ScipyComparer
from .disturbances import Disturbances
from .exit_waves import Beam, Change, make_beam, predict_amplitudes
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
BATCHES_PER_PASS = 16
PATTERNS_AT_ONCE = 16 * CHUNK
"""Patterns that are compared before they are added: all that a pass holds besides its canvas."""

Complex = NDArray[np.complex64]


@dataclass(frozen=True)
class Problem:
    """What is known of a scan.

    Attributes
    ----------
    measured : Measured
    placement : Placement
        Where the same patterns lie.
    noise : "amplitude", "unbiased" or "poisson"
    """

    measured: Measured
    placement: Placement
    noise: Noise = "amplitude"

    def at(self, state: State) -> Problem:
        """Return the problem with the windows, and the light, that a state believes in."""
        problem = self
        if state.moves is not None:
            problem = replace(problem, placement=self.placement.moved(state.moves.total_px))
        if state.disturbances is not None:
            measured = replace(self.measured, disturbances=state.disturbances)
            problem = replace(problem, measured=measured)
        return problem


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
    disturbances : Disturbances or None
        How bright each pattern was, and the light in all of them; None: nothing of that kind.
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
    disturbances: Disturbances | None = None


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
    if measured.disturbances is not None:
        predicted = measured.disturbances.counted(predicted, chosen)
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
    comparer: Comparer | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> State:
    """Pass once over all patterns, batch after batch.

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
    comparer : Comparer, optional
        Compares the patterns; by default NumPy and SciPy.
    should_stop : callable, optional
        Asked after each batch; if true, the rest of the pass is left out.

    Returns
    -------
    State
        After the pass.
    """
    problem = problem.at(state)
    step = np.float32(state.step)
    object_ = state.object_ + np.float32(MOMENTUM) * state.last_change
    beam, misfit, counts = state.beam, 0.0, 0.0
    order = rng.permutation(len(problem.measured.indexes))
    comparer = comparer or ScipyComparer()
    for batch in np.array_split(order, num_batches(len(order))):
        sums = sum_changes(problem, object_, beam, batch, pool, comparer, with_probe=refine_probe)
        misfit += sums.misfit
        counts += sums.counts
        object_ += step * sums.object_step(DENOMINATOR_FLOOR * float(beam.intensity.max()))
        if refine_probe:
            beam = make_beam(beam.modes + step * sums.probe_step())
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


@dataclass
class Sums:
    """What patterns ask for, summed, and how strongly they lit each pixel: sums can be added.

    Attributes
    ----------
    object_ : complex64 array, shape (H, W)
        Σ_jm P̄_jm δ_jm on the canvas.
    light : float32 array, shape (H, W)
        Σ_jm |P_jm|².
    probe : complex64 array, shape (modes, N, N)
        Σ_j Ō_j δ_jm; 0 where the probe is not corrected.
    transmission : float32 array, shape (N, N)
        Σ_j |O_j|²; 0 there, too.
    misfit, counts : float
        Σ (A − a)² and Σ a².
    """

    object_: Complex
    light: NDArray[np.float32]
    probe: Complex
    transmission: NDArray[np.float32]
    misfit: float = 0.0
    counts: float = 0.0

    def __add__(self, other: Sums) -> Sums:
        return Sums(
            self.object_ + other.object_,
            self.light + other.light,
            self.probe + other.probe,
            self.transmission + other.transmission,
            self.misfit + other.misfit,
            self.counts + other.counts,
        )

    def object_step(self, floor: float) -> Complex:
        """Return what the object should change, of pixels with less light than `floor` less."""
        return self.object_ * np.reciprocal(np.maximum(self.light, np.float32(floor)))

    def probe_step(self) -> Complex:
        """Return what the probe should change."""
        floor = DENOMINATOR_FLOOR * float(self.transmission.max())
        return np.asarray(self.probe / np.maximum(self.transmission, np.float32(floor)))


def sum_changes(
    problem: Problem,
    object_: Complex,
    beam: Beam,
    batch: NDArray[np.int64],
    pool: ThreadPoolExecutor,
    comparer: Comparer,
    *,
    with_probe: bool,
) -> Sums:
    """Sum what the patterns of a batch ask for."""
    placement, shape = problem.placement, problem.placement.shape
    sums = Sums(
        np.zeros(shape, np.complex64),
        np.zeros(shape, np.float32),
        np.zeros_like(beam.modes),
        np.zeros(beam.modes.shape[1:], np.float32),
        counts=float(problem.measured.even_counts(batch).sum()),
    )
    for chunk, windows, change in _changes(
        problem, object_, beam, batch, pool, comparer, with_probe
    ):
        placement.add(sums.object_, change.object_, chunk)
        placement.add(sums.light, beam.intensity[None], chunk)
        if change.probe is not None:
            sums.probe += change.probe
            sums.transmission += np.square(np.abs(windows)).sum(axis=0)
        sums.misfit += change.misfit
    return sums


def _changes(
    problem: Problem,
    object_: Complex,
    beam: Beam,
    batch: NDArray[np.int64],
    pool: ThreadPoolExecutor,
    comparer: Comparer,
    with_probe: bool,
) -> Iterator[tuple[NDArray[np.int64], Complex, Change]]:
    """Yield what each chunk of a batch asks for, in order; the pool's threads ask the comparer."""

    def compare(chunk: NDArray[np.int64]) -> tuple[NDArray[np.int64], Complex, Change]:
        windows = problem.placement.cut(object_, chunk)
        change = comparer.compare(
            beam,
            windows,
            problem.placement.fractions_px[chunk],
            problem.measured.even_amplitudes(chunk),
            good=problem.measured.good_of(chunk),
            noise=problem.noise,
            with_probe=with_probe,
            background=problem.measured.background_of(chunk),
        )
        return chunk, windows, change

    size = comparer.chunk(beam)
    starts = range(0, len(batch), size)
    at_once = max(1, PATTERNS_AT_ONCE // size)
    for first in range(0, len(starts), at_once):
        some = [batch[start : start + size] for start in starts[first : first + at_once]]
        # all are computed before the first is added: adding at the same time takes longer in all,
        # since two threads of Python hinder each other
        yield from list(pool.map(compare, some))
