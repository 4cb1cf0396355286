"""How many passes a scan gets, and whether a network corrects them: decided before the first one.

A network that has learned what objects look like helps where patterns leave much open: few photons or
few positions. Elsewhere passes alone end at least as well, and the network is left out. There, both
ways are tried with pixels held back, and the one that explains these better is taken; only within a
budget of time nothing is tried.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .network.choice import OpenNetwork
from .network.trust import Need, need_of, weighed, with_network
from .options import AUTO, MAX_PASSES, Noise, SolvingOptions
from .part import middle_part
from .passes import Passer
from .physics.sweep import Problem, State, first_step_of, start_state
from .stopping import (
    TRIAL_PATTERNS,
    Bearable,
    best,
    best_number,
    hold_back,
    last,
    last_bearable,
)

MOST_CORRECTED, MOST_OF_FEW_PHOTONS = 30, 8
"""Most passes of an automatic stop with a network, which has done what it can long before; and where
photons are few: later it drifts in what so few of them cannot tell, nor those that are held back."""
UNUSED = "not used: patterns are good enough for passes alone"
UNAVAILABLE = "not used: onnxruntime, which computes it, is not installed"
REFUSED = "not used: pixels that were held back are explained better without it"
AS_ASKED = "the passes asked for are done"
WITHIN_BUDGET = "all passes were made within the budget"
GOOD_ENOUGH = "photon noise is too small to be fitted, so all passes were made"


@dataclass(frozen=True)
class Plan:
    """What will be done.

    Attributes
    ----------
    passer : Passer
    passes : int
        At most.
    reason : str
        Why there will be no more.
    use_of_network : str or None
        Whether the network corrects the object, and why; None if there is none.
    noise : "amplitude", "unbiased" or "poisson"
        How the passes count differences.
    """

    passer: Passer
    passes: int
    reason: str
    use_of_network: str | None
    noise: Noise

    @property
    def network_name(self) -> str | None:
        """Name of the network that corrects the object; None if none does."""
        corrector = self.passer.corrector
        return None if corrector is None else corrector.network.name


def start_of(
    problem: Problem, object_: NDArray[np.complex64], probe: NDArray[np.complex64]
) -> State:
    """Return the state before the first pass, with the first step that the photons bear."""
    return start_state(object_, probe, first_step_of(problem, object_, probe))


def make_plan(
    problem: Problem,
    state: State,
    passer: Passer,
    options: SolvingOptions,
    *,
    network: OpenNetwork | None,
    progress: Callable[[int, float], None],
    should_stop: Callable[[], bool],
) -> Plan:
    """Decide how a scan is solved.

    Parameters
    ----------
    problem : Problem
    state : State
        Where the passes start.
    passer : Passer
        Without a network.
    options : SolvingOptions
    network : callable or None
        Opens a network.
    progress : callable
        Called after each pass of a trial with its number and residual.
    should_stop : callable
        Asked during a trial.
    """
    need = need_of(problem, state)
    helped, use = _helped(passer, need, network)
    plain, weighted = problem.noise, weighed(problem, need).noise
    untried = Plan(passer, MAX_PASSES, GOOD_ENOUGH, use, plain)
    if options.passes != AUTO:
        untried = replace(untried, passes=int(options.passes), reason=AS_ASKED)
    elif options.budget_s is not None:
        noise = plain if helped is passer else weighted
        return Plan(helped, MAX_PASSES, WITHIN_BUDGET, use, noise)
    is_helped, is_counted = helped is not passer, need.is_noisy and options.passes == AUTO
    if not (is_helped or is_counted):
        return untried
    most = MOST_OF_FEW_PHOTONS if need.is_noisy else MOST_CORRECTED
    trial = _Trial(problem, state, options, untried.passes, most, progress, should_stop)
    chosen, noise, found = passer, plain, trial.run(passer, plain)
    if is_helped and not should_stop():
        other = trial.run(helped, weighted)
        if other.is_better_than(found):
            chosen, noise, found = helped, weighted, other
        else:
            use = REFUSED
    if options.passes != AUTO or (chosen is passer and not need.is_noisy):
        return replace(untried, passer=chosen, use_of_network=use, noise=noise)
    why = f"after {found.number} passes, pixels that were held back bear no more"
    return Plan(chosen, found.number, why, use, noise)


def _helped(passer: Passer, need: Need, network: OpenNetwork | None) -> tuple[Passer, str | None]:
    """Return a passer with a network, if a scan needs it and there is one, and what is said of it."""
    if network is None:
        return passer, None
    if not (need.is_noisy or need.is_sparse):
        return passer, UNUSED
    opened = network()
    if opened is None:
        return passer, UNAVAILABLE
    return with_network(passer, opened), _describe(need)


def _describe(need: Need) -> str:
    lacking = [
        word for word, is_so in (("photons", need.is_noisy), ("positions", need.is_sparse)) if is_so
    ]
    return f"used, since there are few {' and few '.join(lacking)}"


class _Trial:
    """The middle of a scan with pixels held back, solved in one way or another."""

    def __init__(
        self,
        problem: Problem,
        state: State,
        options: SolvingOptions,
        max_passes: int,
        most_corrected: int,
        progress: Callable[[int, float], None],
        should_stop: Callable[[], bool],
    ) -> None:
        part, (rows, columns) = middle_part(problem.measured, problem.placement, TRIAL_PATTERNS)
        trial = Problem(*part, problem.noise)
        self._state = start_of(trial, state.object_[rows, columns], state.beam.modes)
        self._held_back = hold_back(trial, np.random.default_rng(options.seed))
        self._max_passes, self._most_corrected = max_passes, most_corrected
        self._is_number_given = options.passes != AUTO
        self._progress, self._should_stop = progress, should_stop

    def run(self, passer: Passer, noise: Noise) -> Bearable:
        """Return how many passes pixels bear that were held back."""
        choose, most = last_bearable, self._max_passes
        if self._is_number_given:
            choose = last
        elif passer.corrector is not None:
            choose, most = best, min(most, self._most_corrected)
        return best_number(
            self._held_back.counted_as(noise),
            self._state,
            lambda problem, state: passer.step(problem, state, self._should_stop),
            max_passes=most,
            choose=choose,
            progress=self._progress,
            should_stop=self._should_stop,
        )
