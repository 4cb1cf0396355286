"""Whether a network helps a scan: passes alone need none where data are good."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..passes import Passer
from ..physics.placement import beams_per_pixel
from ..physics.sweep import Problem, State
from .correction import Corrector, Network

FEW_BEAMS = 8.0
"""Below so many beams per pixel, the patterns leave much of an object open."""
CLEAR_SHARE = 0.9
"""Where at least this share of the misfit of the start is no photon noise, noise is not fitted within
any number of passes that is made."""


@dataclass(frozen=True)
class Need:
    """What a scan lacks.

    Attributes
    ----------
    is_noisy : bool
        So few photons that passes would fit their noise.
    is_sparse : bool
        So few positions that passes would leave much of the object open.
    """

    is_noisy: bool
    is_sparse: bool


def need_of(problem: Problem, state: State) -> Need:
    """Tell what a scan lacks, from where its passes start."""
    beams = beams_per_pixel(problem.placement, state.beam.intensity)
    return Need(state.first_step < CLEAR_SHARE, beams < FEW_BEAMS)


def weighed(problem: Problem, need: Need) -> Problem:
    """Return a problem as the passes before a network weigh it.

    A fit to amplitudes is darker than the truth where pixels count a photon or less, and passes alone
    are stopped before that shows. A network would take it for the object; so where photons are few,
    its passes are without that bias.
    """
    return replace(problem, noise="unbiased") if need.is_noisy else problem


def with_network(passer: Passer, network: Network) -> Passer:
    """Return a passer whose passes are corrected by a network."""
    return replace(passer, is_parallel=True, corrector=Corrector(network))
