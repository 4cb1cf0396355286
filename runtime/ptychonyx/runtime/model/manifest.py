"""What a model file promises: one JSON document in the metadata of the .onnx."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ManifestError
from .checks import (
    JSON_OBJECT,
    POSITIVE,
    FieldError,
    Rule,
    check_array,
    check_fields,
    one_of,
    or_none,
    shown,
    text,
    values_of,
    whole,
)
from .verification import Verification, decode_array, encode_array

SCHEMA_VERSION = "1.1"
"""Major.minor; a newer minor only adds keys, a newer major is refused."""
METADATA_KEY = "ptychonyx"
"""Key of the manifest among the metadata of the ONNX file."""
INPUT_NAMES = ("amplitude", "scale")
OUTPUT_NAME = "object_patches"
BACKENDS = ("tensorflow", "pytorch")
PRECISIONS = ("float32", "float16", "bfloat16", "int8")

MAX_WINDOW_PX = 4096
MAX_CHANNELS = 64
MAX_PROBE_MODES = 64
MAX_TEXT = 10_000
"""Bounds on what is believed: memory is reserved from these numbers."""


@dataclass(frozen=True, eq=False)
class Manifest:
    """Describe a model file: what it takes and returns, and what it was trained on.

    Attributes
    ----------
    schema_version : str
        Version of this list of fields, as "major.minor".
    name, license : str
        Name and license of the model, as its author gave them.
    created : str
        Time at which the training finished, in ISO 8601.
    backend : "tensorflow" or "pytorch"
        Framework that trained the network.
    framework_version : str
        Version of that framework at the export.
    exporter, exporter_version : str
        Package that translated the network into an ONNX graph, and its version.
    opset : int
        Version of the ONNX operator set that the graph uses.
    architecture : str
        Name of the network.
    architecture_options : dict
        Sizes and activations of the network.
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
    provenance_digest : str
        sha256 of the training run's provenance.json.
    parent_digest : str or None
        sha256 of the model file that this one was derived from.
    precision : str
        Number format that the network computes in, one of `PRECISIONS`.
    verification : Verification
        Test input, and what the native network made of it.
    derivation : dict or None
        For a model of lower precision: the scan that its number ranges were found on, and how far
        its object of that scan is from the float32 model's. Since schema 1.1.
    num_operations : int or None
        Multiplications and additions of the native network for one sample of C patterns; the
        exported one may need fewer. Since schema 1.1.

    Raises
    ------
    ManifestError
        If a field is not what it should be; the message names the field.
    """

    schema_version: str
    name: str
    created: str
    license: str
    backend: str
    framework_version: str
    exporter: str
    exporter_version: str
    opset: int
    architecture: str
    architecture_options: dict[str, Any]
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
    training_summary: dict[str, Any]
    provenance_digest: str
    parent_digest: str | None
    precision: str
    verification: Verification
    derivation: dict[str, Any] | None = None
    num_operations: int | None = None

    def __post_init__(self) -> None:
        with _manifest_errors():
            check_fields(self, RULES)
            _check_sizes(self)

    @property
    def replaces_probe(self) -> bool:
        """Whether its probe takes the place of a scan's own.

        It does if it was trained together with the network, or given for the training: the
        network's patches then belong to it.
        """
        source = self.training_summary.get("probe_source")
        return self.probe is not None and source in ("trained", "given")

    def to_json(self) -> str:
        """Return the manifest as one JSON document; equal manifests give equal text."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        if self.probe is not None:
            values["probe"] = encode_array(_real_pairs(self.probe))
        values["verification"] = self.verification.to_values()
        return json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Read what `to_json` wrote; keys that a newer minor version added are ignored.

        Raises
        ------
        ManifestError
            If it is not JSON, of a newer major version, or a field is missing or wrong.

        Examples
        --------
        >>> Manifest.from_json('{"schema_version": "2.0"}')
        Traceback (most recent call last):
        ...
        ptychonyx.runtime.errors.ManifestError: The manifest has schema version 2.0, but this \
version of Ptychonyx reads 1.x; install a newer Ptychonyx.
        """
        values = _load_json(text)
        with _manifest_errors():
            _check_schema_version(values.get("schema_version"))
            values = values_of(cls, values)
            values["probe"] = _decode_probe(values["probe"])
            values["verification"] = Verification.from_values(
                values["verification"], longest_side=MAX_WINDOW_PX
            )
        return cls(**values)


_TEXT = text(MAX_TEXT)

RULES: dict[str, Rule] = {
    "schema_version": _TEXT,
    "name": _TEXT,
    "created": _TEXT,
    "license": _TEXT,
    "backend": one_of(*BACKENDS),
    "framework_version": _TEXT,
    "exporter": _TEXT,
    "exporter_version": _TEXT,
    "opset": whole(1, 1000),
    "architecture": _TEXT,
    "architecture_options": JSON_OBJECT,
    "window_px": whole(1, MAX_WINDOW_PX),
    "num_channels": whole(1, MAX_CHANNELS),
    "max_distance_px": POSITIVE,
    "patch_px": whole(1, MAX_WINDOW_PX),
    "input_quantity": one_of("amplitude"),
    "scaling_rule": _TEXT,
    "trained_scale": POSITIVE,
    "object_convention": _TEXT,
    "probe_energy_eV": or_none(POSITIVE),
    "pixel_size_m": or_none(POSITIVE),
    "training_summary": JSON_OBJECT,
    "provenance_digest": _TEXT,
    "parent_digest": or_none(_TEXT),
    "precision": one_of(*PRECISIONS),
    "verification": Rule(lambda value: isinstance(value, Verification), "an object of five fields"),
    "derivation": or_none(JSON_OBJECT),
    "num_operations": or_none(whole(1, 2**62)),
}
"""Rule of each field but the probe, whose shape goes with N and is checked after them."""


@contextmanager
def _manifest_errors() -> Iterator[None]:
    """Turn the error of a field into that of a manifest."""
    try:
        yield
    except FieldError as error:
        raise ManifestError(
            f"`{error.name}` of the manifest is {error.shown}; needed: {error.needed}. Export the "
            "model again with `ptychonyx export`."
        ) from error


def _check_sizes(manifest: Manifest) -> None:
    """Check the fields that must go with each other."""
    window_px, patch_px = manifest.window_px, manifest.patch_px
    if patch_px > window_px:
        raise FieldError("patch_px", str(patch_px), f"at most `window_px`, {window_px}")
    probe = manifest.probe
    if probe is not None:
        num_modes = min(len(probe), MAX_PROBE_MODES) if probe.ndim == 3 else 1
        check_array("probe", probe, (max(num_modes, 1), window_px, window_px), np.complex64)
    manifest.verification.check(
        num_channels=manifest.num_channels, window_px=window_px, patch_px=patch_px
    )


def _load_json(text: str) -> dict[str, Any]:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ManifestError(
            f"The manifest is not JSON ({error}); export the model again with `ptychonyx export`."
        ) from error
    if not isinstance(values, dict):
        raise ManifestError(
            f"The manifest is a JSON {type(values).__name__}, but an object is needed; export the "
            "model again with `ptychonyx export`."
        )
    return values


def _check_schema_version(version: object) -> None:
    major, dot, minor = version.partition(".") if isinstance(version, str) else ("", "", "")
    if not (dot and major.isdecimal() and minor.isdecimal() and len(major) < 10):
        raise FieldError("schema_version", shown(version), f'two numbers, as in "{SCHEMA_VERSION}"')
    known = SCHEMA_VERSION.partition(".")[0]
    if int(major) > int(known):
        raise ManifestError(
            f"The manifest has schema version {version}, but this version of Ptychonyx reads "
            f"{known}.x; install a newer Ptychonyx."
        )


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
