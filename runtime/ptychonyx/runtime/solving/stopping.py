"""How many passes a scan bears, found with pixels that are held back.

A residual on the patterns that are fitted always falls, also when only noise is being fitted. So a
twentieth of the good pixels, drawn anew for each pattern, is kept from the passes, and what these
predict there is compared with what was measured: its noise is independent.

The comparison is the one that the passes make themselves: amplitudes by their squares, or counts by
their deviance, which is also that of unbiased passes. It must be: a fit to amplitudes is darker than
the truth where pixels count a photon or less, since the mean of a root is less than the root of the
mean. The deviance would blame the passes for that and stop them at once.

Two ways to solve a scan, one of which is not darker, are compared by the deviance all the same, where
photons were counted: it is least for what is true, whatever was fitted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..noise import noise_of_amplitudes
from .options import Noise
from .physics.comparing import CHUNK
from .physics.exit_waves import predict_amplitudes
from .physics.sweep import Problem, State

HELD_PIXELS = 0.05
CLEARLY_WORSE = 2.0
"""A pass is clearly worse than the best one if its loss is higher by more than so many standard
errors, estimated from how the difference scatters over the patterns."""
HOPELESS = 4.0
PATIENCE = 4
"""The trial ends when so many passes in a row were worse by more than `HOPELESS` standard errors,
counted from `FIRST_PASSES` on."""
FIRST_PASSES = 6
SMALLEST_RATE = 1e-3
TRIAL_PATTERNS = 1024
"""Largest number of patterns of a trial; a larger scan is judged by its middle."""
TESTED_PATTERNS = 512
"""Patterns whose held-back pixels are looked at after each pass."""


Choose = Callable[[NDArray[np.float64]], int]
"""Chooses a pass by how many standard errors each is worse than the best."""


@dataclass(frozen=True)
class HeldBack:
    """Hold a problem without some of its pixels, and those pixels.

    Attributes
    ----------
    problem : Problem
        To be solved.
    indexes : int64 array, shape (k,)
        Patterns of the problem that are tested.
    amplitudes : float32 array, shape (k, N, N)
        What was measured there, in all pixels.
    tested : float32 array, shape (k, N, N)
        1 at good pixels that were held back, else 0.
    """

    problem: Problem
    indexes: NDArray[np.int64]
    amplitudes: NDArray[np.float32]
    tested: NDArray[np.float32]

    def counted_as(self, noise: Noise) -> HeldBack:
        """Return the same pixels, whose differences count otherwise."""
        return replace(self, problem=replace(self.problem, noise=noise))

    def loss(self, state: State) -> float:
        """Return the loss of a state in the pixels that were held back; smaller is better.

        It is Σ (A − a)², or the deviance of the counts up to a constant where the fit errs to neither
        side.
        """
        return float(self.losses(state).sum())

    def losses(self, state: State) -> NDArray[np.float64]:
        """Return the part of each tested pattern in the loss, shape (k,)."""
        is_dark = self.problem.noise == "amplitude"
        return self._losses(state, "amplitude" if is_dark else "poisson")

    def comparable_losses(self, state: State) -> NDArray[np.float64]:
        """Return what two ways to solve the problem are compared by, for each tested pattern."""
        are_photons = self.problem.measured.are_photons
        return self._losses(state, "poisson") if are_photons else self.losses(state)

    def noise(self, state: State) -> float:
        """Return Σ (A − a)² that photon noise alone would leave in these pixels; 0 without photons."""
        if not self.problem.measured.are_photons:
            return 0.0
        return sum(
            float(
                (
                    noise_of_amplitudes(np.square(self._predicted(state, part))) * self.tested[part]
                ).sum()
            )
            for part in self._parts()
        )

    def _losses(self, state: State, noise: Noise) -> NDArray[np.float64]:
        return np.concatenate([self._of_chunk(state, part, noise) for part in self._parts()])

    def _parts(self) -> list[slice]:
        return [slice(start, start + CHUNK) for start in range(0, len(self.indexes), CHUNK)]

    def _predicted(self, state: State, part: slice) -> NDArray[np.float32]:
        problem, chosen = self.problem.at(state), self.indexes[part]
        placement, disturbances = problem.placement, problem.measured.disturbances
        windows = placement.cut(state.object_, chosen)
        predicted = predict_amplitudes(state.beam, windows, placement.fractions_px[chosen])
        return predicted if disturbances is None else disturbances.counted(predicted, chosen)

    def _of_chunk(self, state: State, part: slice, noise: Noise) -> NDArray[np.float64]:
        predicted, measured = self._predicted(state, part), self.amplitudes[part]
        if noise == "poisson":
            rate = np.square(predicted) + np.float32(SMALLEST_RATE)
            terms = rate - np.square(measured) * np.log(rate)
        else:
            terms = np.square(predicted - measured)
        return np.asarray((terms * self.tested[part]).sum(axis=(1, 2), dtype=np.float64))


def hold_back(problem: Problem, rng: np.random.Generator) -> HeldBack:
    """Split the pixels of a problem into those to fit and those to test with.

    Parameters
    ----------
    problem : Problem
        Its patterns must all be kept in memory.
    rng : numpy.random.Generator
        Decides which pixels are held back.
    """
    measured = problem.measured
    amplitudes = measured.kept
    num_tested = min(len(amplitudes), TESTED_PATTERNS)
    indexes = np.unique(np.linspace(0, len(amplitudes) - 1, num_tested).astype(np.int64))
    is_held = rng.random(amplitudes.shape, dtype=np.float32) < HELD_PIXELS
    tested = is_held[indexes].astype(np.float32)
    if measured.good is not None:
        tested *= measured.good
    trial = replace(measured, fitted=~is_held)
    return HeldBack(replace(problem, measured=trial), indexes, amplitudes[indexes], tested)


@dataclass(frozen=True)
class Bearable:
    """How far passes may go.

    Attributes
    ----------
    number : int
        Passes that the held-back pixels bear, at least 1.
    comparable_losses : float64 array, shape (k,)
        What was left in these pixels then, of each tested pattern; see `HeldBack`.
    """

    number: int
    comparable_losses: NDArray[np.float64]

    def is_better_than(self, other: Bearable) -> bool:
        """Tell whether these pixels are explained better than another way explains them."""
        return bool(self.comparable_losses.sum() < other.comparable_losses.sum())


def best_number(
    held_back: HeldBack,
    state: State,
    step: Callable[[Problem, State], State],
    *,
    max_passes: int,
    choose: Choose | None = None,
    progress: Callable[[int, float], None],
    should_stop: Callable[[], bool],
) -> Bearable:
    """Return how many passes the held-back pixels bear.

    Parameters
    ----------
    held_back : HeldBack
    state : State
        Where the passes start.
    step : callable
        Passes once.
    max_passes : int
    choose : callable, optional
        Chooses the pass: `last_bearable` by default.
    progress : callable
        Called after each pass with its number and residual.
    should_stop : callable
        Asked after each pass.
    """
    losses: list[NDArray[np.float64]] = []
    comparable: list[NDArray[np.float64]] = []
    num_hopeless = 0
    for number in range(1, max_passes + 1):
        state = step(held_back.problem, state)
        losses.append(held_back.losses(state))
        comparable.append(held_back.comparable_losses(state))
        progress(number, state.residual)
        is_hopeless = standard_errors(losses)[-1] > HOPELESS and number > FIRST_PASSES
        num_hopeless = num_hopeless + 1 if is_hopeless else 0
        if num_hopeless >= PATIENCE or should_stop():
            break
    chosen = (choose or last_bearable)(standard_errors(losses))
    return Bearable(chosen + 1, comparable[chosen])


def last_bearable(worse: NDArray[np.float64]) -> int:
    """Return the last pass that is not clearly worse than the best one, counted from 0.

    Steps of passes alone shrink from pass to pass, so going on costs little where the pixels do not
    object, and the object still gets better where few photons have lit it.

    Parameters
    ----------
    worse : float64 array, shape (passes,)
        By how many standard errors each is worse than the best.

    Examples
    --------
    >>> worse = np.array([9.0, 0.0, 1.5, 2.5])
    >>> last_bearable(worse), best(worse), last(worse)
    (2, 1, 3)
    """
    return int(np.flatnonzero(worse <= CLEARLY_WORSE).max())


def best(worse: NDArray[np.float64]) -> int:
    """Return the best pass: of those with a network, which do not settle."""
    return int(worse.argmin())


def last(worse: NDArray[np.float64]) -> int:
    """Return the last pass: where their number was asked for."""
    return len(worse) - 1


def standard_errors(losses: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return by how many standard errors each of several states is worse than the best one.

    Parameters
    ----------
    losses : list of float64 arrays, shape (k,)
        The loss of each pattern in each state.

    Examples
    --------
    >>> standard_errors([np.array([1.0, 2.0]), np.array([2.0, 4.0])]).round(2).tolist()
    [0.0, 4.24]
    """
    of_passes = np.array(losses)
    worse = of_passes - of_passes[of_passes.sum(axis=1).argmin()]
    scatter = worse.std(axis=1) * np.sqrt(worse.shape[1])
    return np.asarray(worse.sum(axis=1) / np.maximum(scatter, 1e-12))
