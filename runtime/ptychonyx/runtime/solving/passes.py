"""Passes with what follows each of them: the probe's free choices are made, the residual is noted."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .disturbances.fitter import Fitter
from .network.correction import Corrector
from .physics.comparing import Comparer
from .physics.exit_waves import make_beam
from .physics.parallel import after_pass, sums_of_pass
from .physics.sweep import Problem, State, Sums, sweep
from .positions.mover import Mover
from .probe.freedom import center_of, orthogonal, with_power

FIRST_PROBE_PASS = 2
"""The pass in which a probe begins to be corrected: in the first, the object is still too poor."""


@dataclass(frozen=True)
class Passer:
    """Hold what all passes over a scan have in common.

    Attributes
    ----------
    pool : ThreadPoolExecutor
    refine_probe : bool
    seed : int
        Decides the batches: pass k of two passers with one seed has the same.
    power : float
        Σ|P|² of the probe, which stays.
    center_px : float64 array, shape (2,)
        Where the beam's center of mass stays, relative to the window's middle.
    is_parallel : bool
        Whether passes are parallel, as a network needs them, and several workers; see
        `physics.parallel`.
    momentum : float
        Share of the last change that a parallel pass begins with; 0 where a network follows.
    corrector : Corrector or None
        A network that corrects the object after each pass.
    comparer : Comparer or None
        Compares the patterns; None: NumPy and SciPy.
    mover : Mover or None
        What moves the positions after each pass.
    fitter : Fitter or None
        What fits brightness and background of the patterns after each pass.
    """

    pool: ThreadPoolExecutor
    refine_probe: bool
    seed: int
    power: float
    center_px: NDArray[np.float64]
    is_parallel: bool = False
    momentum: float = 0.0
    corrector: Corrector | None = None
    comparer: Comparer | None = None
    mover: Mover | None = None
    fitter: Fitter | None = None

    def step(
        self, problem: Problem, state: State, should_stop: Callable[[], bool] | None = None
    ) -> State:
        """Pass once over a problem."""
        if self.is_parallel:
            after = self._after(state, self.sums(problem, state))
        else:
            after = sweep(
                problem,
                state,
                rng=np.random.default_rng([self.seed, state.num_passes + 1]),
                pool=self.pool,
                refine_probe=self._corrects_probe(state),
                comparer=self.comparer,
                should_stop=should_stop,
            )
        if self.corrector is not None:
            after = self.corrector.correct(problem, state, after)
        after = self._settled(after) if self._corrects_probe(state) else after
        if self.fitter is not None:
            after = self.fitter.fit(problem, after, self.pool)
        return after if self.mover is None else self.mover.move(problem, after, self.pool)

    def sums(self, problem: Problem, state: State) -> Sums:
        """Sum what the patterns of a problem, or of a part of it, ask for in a parallel pass."""
        return sums_of_pass(
            problem,
            state,
            momentum=self.momentum,
            pool=self.pool,
            comparer=self.comparer,
            with_probe=self._corrects_probe(state),
        )

    def moved(self, state: State, sums: Sums) -> State:
        """Return the state after a parallel pass without a network, whose sums are known."""
        after = self._after(state, sums)
        return self._settled(after) if self._corrects_probe(state) else after

    def _after(self, state: State, sums: Sums) -> State:
        with_probe = self._corrects_probe(state)
        return after_pass(state, sums, momentum=self.momentum, with_probe=with_probe)

    def _corrects_probe(self, state: State) -> bool:
        """Tell whether the pass after a state corrects the probe."""
        return self.refine_probe and state.num_passes + 1 >= FIRST_PROBE_PASS

    def _settled(self, state: State) -> State:
        """Undo what a probe may do without changing a pattern: mix its modes, gain power, wander.

        A beam that has wandered is moved back by whole pixels, and the object with it, so that the
        object stays where the scan's frame has it.
        """
        modes = with_power(orthogonal(state.beam.modes), self.power)
        beam = make_beam(modes)
        wandered = center_of(beam.intensity) - self.center_px
        back = tuple((-np.rint(wandered)).astype(int).tolist())
        if back == (0, 0):
            return replace(state, beam=beam)
        return replace(
            state,
            object_=np.roll(state.object_, back, (0, 1)),
            last_change=np.roll(state.last_change, back, (0, 1)),
            correction=None
            if state.correction is None
            else np.roll(state.correction, back, (0, 1)),
            beam=make_beam(np.roll(modes, back, (1, 2))),
        )
