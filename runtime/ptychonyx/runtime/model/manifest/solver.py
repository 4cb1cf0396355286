"""The manifest of a solver: a network that corrects an object between physics passes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from .checks import JSON_OBJECT, Rule, or_none, whole
from .facts import FACT_RULES, ModelFacts, Shapes
from .solver_proof import NUM_CHANGE, SolverVerification

FEATURES, CHANGE = "features", "change"
"""Input and output of the graph."""

MAX_FEATURES = 256
MAX_STRIDE_PX = 1024
MAX_PASSES = 100_000
"""Bounds on what is believed: memory is reserved from these numbers."""


@dataclass(frozen=True, eq=False)
class SolverManifest(ModelFacts):
    """Describe a solver: what its features mean, and what it was trained for.

    It sees images on the canvas of an object, and knows neither the size of the patterns nor the
    probe. What every kind of model says is in `ModelFacts`.

    Attributes
    ----------
    feature_version : int
        Version of the definition of the features.
    num_features : int
        Number of images that the network sees.
    stride_px : int
        Height and width of the canvas must be multiples of it.
    trained_passes : int
        Largest number of passes that it was trained for.
    scores : dict
        How well it solves a fixed set of simulated scans.
    verification : SolverVerification
    derivation : dict or None
        What made a model of fewer bits: the calibration scan, and what its object lost.
    """

    KIND: ClassVar[str] = "solver"
    PURPOSE: ClassVar[str] = "features of an object between two passes to a change of the object"

    verification: SolverVerification
    feature_version: int
    num_features: int
    stride_px: int
    trained_passes: int
    scores: dict[str, Any]
    derivation: dict[str, Any] | None = None

    @property
    def inputs(self) -> Shapes:
        """Input of the graph: the features."""
        return {FEATURES: (1, self.num_features, "height", "width")}

    @property
    def outputs(self) -> Shapes:
        """Output of the graph: real and imaginary part of the change."""
        return {CHANGE: (1, NUM_CHANGE, "height", "width")}

    @property
    def multiple_px(self) -> int:
        """What height and width must be multiples of."""
        return self.stride_px

    @classmethod
    def rules(cls) -> Mapping[str, Rule]:
        """Return the rule of each field."""
        return RULES

    def check_sizes(self) -> None:
        """Check that the proof goes with the stride."""
        self.verification.check(stride_px=self.stride_px)

    @classmethod
    def decode(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Return the proof."""
        return {"verification": SolverVerification.from_values(values["verification"])}


RULES: dict[str, Rule] = {
    **FACT_RULES,
    "feature_version": whole(1, 1000),
    "num_features": whole(1, MAX_FEATURES),
    "stride_px": whole(1, MAX_STRIDE_PX),
    "trained_passes": whole(1, MAX_PASSES),
    "scores": JSON_OBJECT,
    "derivation": or_none(JSON_OBJECT),
    "verification": Rule(
        lambda value: isinstance(value, SolverVerification), "an object of three fields"
    ),
}
"""Rule of each field."""
