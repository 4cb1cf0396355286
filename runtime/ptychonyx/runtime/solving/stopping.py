"""How many passes a scan bears, found with counts that are held back.

A residual on the patterns that are fitted always falls, also when only noise is being fitted. So
each pattern is split: every photon is held back with a probability of a tenth. The passes see the
others, and what they predict is compared with those held back, whose noise is independent. Where
patterns are amplitudes that no longer tell photons, a twentieth of the good pixels is held back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .physics.exit_waves import predict_amplitudes
from .physics.sweep import CHUNK, Problem, State

HELD_SHARE = 0.1
HELD_PIXELS = 0.05
CLEARLY_WORSE = 2.0
"""A pass is clearly worse than the best one if its deviance is higher by more than so many standard
errors, estimated from how the difference scatters over the patterns."""
HOPELESS = 4.0
PATIENCE = 4
"""The trial ends when so many passes in a row were worse by more than `HOPELESS` standard errors,
counted from `FIRST_PASSES` on."""
FIRST_PASSES = 6
CLEAR_SHARE = 0.9
"""Where at least this share of the misfit of the start is no photon noise, noise is not fitted within
any number of passes that is made, and no trial is needed."""
SMALLEST_RATE = 1e-3
TRIAL_PATTERNS = 1024
"""Largest number of patterns of a trial; a larger scan is judged by its middle."""
TESTED_PATTERNS = 512
"""Patterns whose held-back counts are looked at after each pass."""


@dataclass(frozen=True)
class HeldBack:
    """Hold a problem without some of its counts, and those counts.

    Attributes
    ----------
    problem : Problem
        To be solved.
    indexes : int64 array, shape (k,)
        Patterns of the problem that are tested.
    held : float32 array, shape (k, N, N)
        Their held-back counts.
    ratio : float
        Held-back over fitted counts that are expected; 1 where pixels were held back.
    tested : float32 array, shape (k, N, N) or (N, N), or None
        1 at pixels that are compared.
    """

    problem: Problem
    indexes: NDArray[np.int64]
    held: NDArray[np.float32]
    ratio: float
    tested: NDArray[np.float32] | None

    def deviance(self, state: State) -> float:
        """Return the Poisson deviance of the held-back counts, up to a constant; smaller is better."""
        return float(self.deviances(state).sum())

    def deviances(self, state: State) -> NDArray[np.float64]:
        """Return the part of each tested pattern in the deviance, shape (k,)."""
        starts = range(0, len(self.indexes), CHUNK)
        return np.concatenate(
            [self._of_chunk(state, slice(start, start + CHUNK)) for start in starts]
        )

    def _of_chunk(self, state: State, part: slice) -> NDArray[np.float64]:
        placement, chosen = self.problem.placement, self.indexes[part]
        windows = placement.cut(state.object_, chosen)
        amplitudes = predict_amplitudes(state.beam, windows, placement.fractions_px[chosen])
        rate = self.ratio * np.square(amplitudes) + np.float32(SMALLEST_RATE)
        terms = rate - self.held[part] * np.log(rate)
        if self.tested is not None:
            terms *= self.tested[part] if self.tested.ndim == 3 else self.tested
        return np.asarray(terms.sum(axis=(1, 2), dtype=np.float64))


def hold_back(problem: Problem, rng: np.random.Generator) -> HeldBack:
    """Split the counts of a problem into those to fit and those to test with.

    Parameters
    ----------
    problem : Problem
        Whose patterns are all kept in memory.
    rng : numpy.random.Generator
        Decides which photons, or pixels, are held back.
    """
    measured = problem.measured
    counts = np.square(measured.kept)
    num_tested = min(len(counts), TESTED_PATTERNS)
    indexes = np.unique(np.linspace(0, len(counts) - 1, num_tested).astype(np.int64))
    if measured.are_photons:
        held = rng.binomial(np.rint(counts).astype(np.int64), HELD_SHARE).astype(np.float32)
        fitted = np.sqrt(np.maximum(counts - held, 0))
        trial = replace(measured, kept=fitted, counts=np.square(fitted).sum(axis=(1, 2)))
        ratio, tested = HELD_SHARE / (1 - HELD_SHARE), measured.good
    else:
        is_held = rng.random(counts.shape, dtype=np.float32) < HELD_PIXELS
        trial, held, ratio = replace(measured, fitted=~is_held), counts, 1.0
        tested = is_held[indexes].astype(np.float32)
        if measured.good is not None:
            tested *= measured.good
    return HeldBack(replace(problem, measured=trial), indexes, held[indexes], ratio, tested)


def best_number(
    held_back: HeldBack,
    state: State,
    step: Callable[[Problem, State], State],
    *,
    max_passes: int,
    progress: Callable[[int, float], None],
    should_stop: Callable[[], bool],
) -> int:
    """Return how many passes the held-back counts bear, at least 1.

    It is the last pass that is not clearly worse than the best one. Steps shrink from pass to pass, so
    going on costs little where the counts do not object, and the object still gets better at pixels
    that few photons have lit.

    Parameters
    ----------
    held_back : HeldBack
    state : State
        Where the passes start.
    step : callable
        Passes once.
    max_passes : int
    progress : callable
        Called after each pass with its number and residual.
    should_stop : callable
        Asked after each pass.
    """
    deviances: list[NDArray[np.float64]] = []
    num_hopeless = 0
    for number in range(1, max_passes + 1):
        state = step(held_back.problem, state)
        deviances.append(held_back.deviances(state))
        progress(number, state.residual)
        is_hopeless = _standard_errors(deviances)[-1] > HOPELESS and number > FIRST_PASSES
        num_hopeless = num_hopeless + 1 if is_hopeless else 0
        if num_hopeless >= PATIENCE or should_stop():
            break
    return int(np.flatnonzero(_standard_errors(deviances) <= CLEARLY_WORSE).max()) + 1


def _standard_errors(deviances: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return by how many standard errors each pass is worse than the best one."""
    of_passes = np.array(deviances)
    worse = of_passes - of_passes[of_passes.sum(axis=1).argmin()]
    scatter = worse.std(axis=1) * np.sqrt(worse.shape[1])
    return np.asarray(worse.sum(axis=1) / np.maximum(scatter, 1e-12))
