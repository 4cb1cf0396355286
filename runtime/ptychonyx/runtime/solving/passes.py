"""Passes with what follows each of them: the probe's free choices are made, the residual is noted."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .network.correction import Corrector
from .physics.exit_waves import make_beam
from .physics.sweep import Problem, State, sweep
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
        Whether passes are parallel, as a network needs them; see `sweep`.
    corrector : Corrector or None
        A network that corrects the object after each pass.
    mover : Mover or None
        What moves the positions after each pass.
    """

    pool: ThreadPoolExecutor
    refine_probe: bool
    seed: int
    power: float
    center_px: NDArray[np.float64]
    is_parallel: bool = False
    corrector: Corrector | None = None
    mover: Mover | None = None

    def step(
        self, problem: Problem, state: State, should_stop: Callable[[], bool] | None = None
    ) -> State:
        """Pass once over a problem."""
        number = state.num_passes + 1
        with_probe = self.refine_probe and number >= FIRST_PROBE_PASS
        after = sweep(
            problem,
            state,
            rng=np.random.default_rng([self.seed, number]),
            pool=self.pool,
            refine_probe=with_probe,
            is_parallel=self.is_parallel,
            should_stop=should_stop,
        )
        if self.corrector is not None:
            after = self.corrector.correct(problem, state, after)
        after = self._settled(after) if with_probe else after
        return after if self.mover is None else self.mover.move(problem, after, self.pool)

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
