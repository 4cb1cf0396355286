"""Correct the object after a pass by what a network says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..physics.sweep import Problem, State
from .features import Features, features_of
from .tiles import change_of_canvas

Complex = NDArray[np.complex64]


class Network(Protocol):
    """What computes a change from features, such as `SolverModel`."""

    @property
    def name(self) -> str:
        """What a product calls it."""

    @property
    def stride(self) -> int:
        """Number that height and width of the features must be multiples of."""

    def change(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the change (2, H, W) for features (NUM_FEATURES, H, W)."""


@dataclass(frozen=True)
class Corrector:
    """A network, and how far it is trusted.

    Attributes
    ----------
    network : Network
    trust : float
        Factor on its corrections, 0 to 1.
    """

    network: Network
    trust: float = 1.0

    def correct(self, problem: Problem, before: State, after: State) -> State:
        """Return the state after a pass with its object corrected."""
        features = features_after(problem, before, after)
        real, imaginary = change_of_canvas(self.network, features.images)
        unit = np.float32(self.trust * features.unit)
        return corrected(before, after, unit * (real + np.complex64(1j) * imaginary))


def features_after(problem: Problem, before: State, after: State) -> Features:
    """Return what a network sees of a pass over a problem."""
    light = problem.at(after).placement.overlaid(after.beam.intensity)
    return features_of(before, after, light)


def corrected(before: State, after: State, correction: Complex) -> State:
    """Return the state after a pass with a correction added to its object.

    The momentum of the next pass goes on with all that has changed, by the pass and by the network.
    """
    object_ = after.object_ + correction
    return replace(
        after, object_=object_, last_change=object_ - before.object_, correction=correction
    )
