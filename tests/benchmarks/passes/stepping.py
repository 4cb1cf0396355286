"""The solver pass by pass, so that the object after each of them can be looked at."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from ptychonyx.runtime import Scan
from ptychonyx.runtime.model.cores import num_cores
from ptychonyx.runtime.solving.passes import Passer
from ptychonyx.runtime.solving.physics.measured import read_measured
from ptychonyx.runtime.solving.physics.placement import place_windows
from ptychonyx.runtime.solving.physics.sweep import Problem, State, first_step_of, start_state
from ptychonyx.runtime.solving.probe.freedom import center_of
from ptychonyx.runtime.solving.start import vacuum


def start_of(scan: Scan, probe: NDArray[np.complex64]) -> tuple[Problem, State]:
    """Return what `solve` starts with if a probe is given and nothing else."""
    measured = read_measured(scan, np.arange(scan.num_patterns))
    placement = place_windows(scan.corners_px, scan.window_px)
    power = float(np.square(np.abs(probe)).sum())
    object_ = vacuum(placement, power / float(measured.counts.mean()))
    problem = Problem(measured, placement)
    return problem, start_state(object_, probe, first_step_of(problem, object_, probe))


def states(problem: Problem, state: State, *, seed: int = 0) -> Iterator[State]:
    """Yield the state after each pass, without end."""
    power, center_px = float(state.beam.intensity.sum()), center_of(state.beam.intensity)
    with ThreadPoolExecutor(num_cores()) as pool:
        passer = Passer(pool, False, seed, power, center_px)
        while True:
            state = passer.step(problem, state)
            yield state
