"""How many incoherent modes the probe of a scan needs, found by adding one after the other."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..disturbances.beside_modes import is_background
from ..disturbances.fitter import FEWEST_WITH_BACKGROUND, Fitter
from ..options import Noise
from ..part import middle_part
from ..passes import Passer
from ..physics.exit_waves import make_beam
from ..physics.measured import Measured
from ..physics.placement import Placement
from ..physics.sweep import Problem, State, start_state
from ..start import vacuum
from ..stopping import CLEARLY_WORSE, HeldBack, hold_back, standard_errors
from .freedom import with_more_modes, with_power

MODES_PATTERNS = 256
MOST_MODES = 5
NUM_FIRST_PASSES = 10
NUM_PASSES = 8
"""Passes after which one more mode is compared with as many passes without it."""
SMALLEST_GAIN = 0.03
"""A mode is kept if the residual falls by at least this share of itself."""

Complex = NDArray[np.complex64]


@dataclass(frozen=True)
class FoundModes:
    """What was found.

    Attributes
    ----------
    probe : complex64 array, shape (more modes, N, N)
    background_share : float
        Share of the background in the counts, if one was fitted with them; else 0.
    """

    probe: Complex
    background_share: float


def find_modes(
    measured: Measured, placement: Placement, probe: Complex, passer: Passer, *, noise: Noise
) -> FoundModes:
    """Find a probe with as many modes as help, refined on a part of the scan.

    A further mode is kept if, after the same number of passes, the pixels that were held back are
    clearly better explained with it than without it, and so are those that were fitted. Where a
    background explains them better than the mode does, it is fitted from there on, and further modes
    have to help beside it.

    Parameters
    ----------
    measured : Measured
    placement : Placement
        Where the patterns lie.
    probe : complex64 array, shape (modes, N, N)
        To begin with.
    passer : Passer
        One that refines the probe.
    noise : "amplitude", "unbiased" or "poisson"

    Returns
    -------
    FoundModes
    """
    part, _ = middle_part(measured, placement, MODES_PATTERNS)
    held_back = hold_back(Problem(*part, noise), np.random.default_rng(passer.seed))
    ratio = passer.power / float(held_back.problem.measured.counts.mean())
    state = start_state(vacuum(part[1], ratio), probe)
    state = _passed(held_back, state, passer, NUM_FIRST_PASSES)
    while len(state.beam.modes) < MOST_MODES:
        more = with_more_modes(state.beam.modes, len(state.beam.modes) + 1)
        added = replace(state, beam=make_beam(with_power(more, passer.power)))
        without, with_it = (_passed(held_back, each, passer, NUM_PASSES) for each in (state, added))
        beside = _with_background(held_back, state, passer)
        if beside is not None and is_background(
            held_back, without=without, with_mode=with_it, with_background=beside
        ):
            state, passer = beside, _fitting(passer)
            continue
        worse, _ = standard_errors([held_back.losses(each) for each in (without, with_it)])
        is_clear = with_it.residual < (1 - SMALLEST_GAIN) * without.residual
        if not is_clear or worse <= CLEARLY_WORSE:
            return _found(without, held_back)
        state = with_it
    return _found(state, held_back)


def _with_background(held_back: HeldBack, state: State, passer: Passer) -> State | None:
    """Return the state after passes with a background; None if there is one, or it cannot be told."""
    measured = held_back.problem.at(state).measured
    is_fitted = passer.fitter is not None and passer.fitter.background
    is_known = measured.disturbances is not None and measured.disturbances.background is not None
    if is_fitted or is_known or len(measured.indexes) < FEWEST_WITH_BACKGROUND:
        return None
    return _passed(held_back, state, _fitting(passer), NUM_PASSES)


def _fitting(passer: Passer) -> Passer:
    """Return a passer that fits a background, too."""
    is_intensity = passer.fitter is not None and passer.fitter.intensity
    return replace(passer, fitter=Fitter(is_intensity, background=True))


def _found(state: State, held_back: HeldBack) -> FoundModes:
    fitted = state.disturbances
    if fitted is None or fitted.background is None:
        return FoundModes(state.beam.modes, 0.0)
    counts = float(held_back.problem.measured.counts.mean())
    return FoundModes(state.beam.modes, float(fitted.background.sum()) / counts)


def _passed(held_back: HeldBack, state: State, passer: Passer, num: int) -> State:
    for _ in range(num):
        state = passer.step(held_back.problem, state)
    return state
