"""The manifest of a model that turns diffraction patterns into object patches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .checks import JSON_OBJECT, POSITIVE, FieldError, Rule, check_array, one_of, or_none, whole
from .facts import FACT_RULES, TEXT, ModelFacts, Shapes
from .own_residual import OwnResidual
from .verification import Verification, decode_array, encode_array

INPUT_NAMES = ("amplitude", "scale")
OUTPUT_NAME = "object_patches"

MAX_WINDOW_PX = 4096
MAX_CHANNELS = 64
MAX_PROBE_MODES = 64
"""Bounds on what is believed: memory is reserved from these numbers."""


@dataclass(frozen=True, eq=False)
class Manifest(ModelFacts):
    """Describe a model of patches: what it takes and returns, and what it was trained on.

    What every kind of model says is in `ModelFacts`.

    Attributes
    ----------
    window_px : int
        N, the side of the diffraction patterns.
    num_channels : int
        C, the number of patterns in a sample.
    patch_px : int
        M, the side of the object patches.
    max_distance_px : float
        Largest distance, in pixels, from a pattern to the other members of its group.
    input_quantity : "amplitude"
        What the patterns are given as: the square roots of counts.
    scaling_rule : str
        How the input scale is made from a scan, in words.
    object_convention : str
        What |O| = 1 means, in words.
    trained_scale : float
        Input scale of the training data.
    probe : complex64 array, shape (modes, N, N), or None
        Probe that the network was trained with, in sqrt(counts).
    probe_energy_eV, pixel_size_m : float or None
        Photon energy and object pixel size of the training data.
    training_summary : dict
        Losses, numbers of scans and patterns, epochs, and where the probe came from
        (`probe_source`).
    derivation : dict or None
        For a model of lower precision: the scan that its number ranges were found on, and how far
        its object of that scan is from the float32 model's. Since schema 1.1.
    num_operations : int or None
        Multiplications and additions of the native network for one sample of C patterns; the
        exported one may need fewer. Since schema 1.1.
    own_residual : OwnResidual or None
        What the network left unexplained of its own data; None if that was not measured. Since
        schema 1.3.

    Raises
    ------
    ManifestError
        If a field is not what it should be; the message names the field.
    """

    KIND: ClassVar[str] = "patches"
    PURPOSE: ClassVar[str] = "diffraction amplitude to complex object patches"

    verification: Verification
    window_px: int
    num_channels: int
    max_distance_px: float
    patch_px: int
    input_quantity: str
    scaling_rule: str
    trained_scale: float
    object_convention: str
    probe: NDArray[np.complex64] | None
    probe_energy_eV: float | None
    pixel_size_m: float | None
    derivation: dict[str, Any] | None = None
    num_operations: int | None = None
    own_residual: OwnResidual | None = None

    @property
    def inputs(self) -> Shapes:
        """Inputs of the graph: patterns and their one scale."""
        amplitude, scale = INPUT_NAMES
        return {
            amplitude: ("batch", self.num_channels, self.window_px, self.window_px),
            scale: (1,),
        }

    @property
    def outputs(self) -> Shapes:
        """Output of the graph: real and imaginary part of the object patches."""
        return {OUTPUT_NAME: ("batch", self.num_channels, self.patch_px, self.patch_px, 2)}

    @property
    def replaces_probe(self) -> bool:
        """Whether its probe takes the place of a scan's own.

        It does if it was trained together with the network, or given for the training: the
        network's patches then belong to it.
        """
        source = self.training_summary.get("probe_source")
        return self.probe is not None and source in ("trained", "given")

    @classmethod
    def rules(cls) -> Mapping[str, Rule]:
        """Return the rule of each field but the probe, whose shape goes with N."""
        return RULES

    def check_sizes(self) -> None:
        """Check the fields that must go with each other."""
        window_px, patch_px = self.window_px, self.patch_px
        if patch_px > window_px:
            raise FieldError("patch_px", str(patch_px), f"at most `window_px`, {window_px}")
        probe = self.probe
        if probe is not None:
            num_modes = min(len(probe), MAX_PROBE_MODES) if probe.ndim == 3 else 1
            check_array("probe", probe, (max(num_modes, 1), window_px, window_px), np.complex64)
        self.verification.check(
            num_channels=self.num_channels, window_px=window_px, patch_px=patch_px
        )

    def to_values(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        values = super().to_values()
        if self.probe is not None:
            values["probe"] = encode_array(_real_pairs(self.probe))
        if self.own_residual is not None:
            values["own_residual"] = self.own_residual.to_values()
        return values

    @classmethod
    def decode(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Return probe, proof and the residual on its own data."""
        return {
            "probe": _decode_probe(values["probe"]),
            "own_residual": OwnResidual.from_values(values.get("own_residual")),
            "verification": Verification.from_values(
                values["verification"], longest_side=MAX_WINDOW_PX
            ),
        }


RULES: dict[str, Rule] = {
    **FACT_RULES,
    "window_px": whole(1, MAX_WINDOW_PX),
    "num_channels": whole(1, MAX_CHANNELS),
    "max_distance_px": POSITIVE,
    "patch_px": whole(1, MAX_WINDOW_PX),
    "input_quantity": one_of("amplitude"),
    "scaling_rule": TEXT,
    "trained_scale": POSITIVE,
    "object_convention": TEXT,
    "probe_energy_eV": or_none(POSITIVE),
    "pixel_size_m": or_none(POSITIVE),
    "derivation": or_none(JSON_OBJECT),
    "verification": Rule(lambda value: isinstance(value, Verification), "an object of five fields"),
    "num_operations": or_none(whole(1, 2**62)),
    "own_residual": or_none(
        Rule(lambda value: isinstance(value, OwnResidual), "an object of five numbers")
    ),
}
"""Rule of each field but the probe, whose shape goes with N and is checked after them."""


def _decode_probe(value: object) -> NDArray[np.complex64] | None:
    if value is None:
        return None
    pairs = decode_array("probe", value, longest_side=MAX_WINDOW_PX)
    if pairs.ndim != 4 or pairs.shape[-1] != 2:
        raise FieldError("probe", f"an array of shape {pairs.shape}", "one of (modes, N, N, 2)")
    return pairs.view(np.complex64)[..., 0]


def _real_pairs(array: NDArray[np.complex64]) -> NDArray[np.float32]:
    contiguous = np.ascontiguousarray(array)
    return contiguous.view(np.float32).reshape(*array.shape, 2)
