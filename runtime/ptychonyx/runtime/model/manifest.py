"""What a model file promises: one JSON document in the metadata of the .onnx."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from ..errors import ManifestError
from .onnx_file import FLOAT32, OnnxFile, Shape, Value, check_safe

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

TOLERANCES = {
    # float32 with another order of summation: 4e-7 in amplitude and 5e-6 in phase were the most
    # seen against either native network.
    "cpu": 1e-5,
    # TF32 is switched off; other convolution algorithms (Winograd, FFT) sum in coarser steps.
    "cuda": 1e-4,
    # May use TF32, whose mantissa has 10 bits: 5e-4 an operation, over a few layers.
    "tensorrt": 5e-3,
    # Asked for float32; as on the CPU, with its own fused kernels and fast sine and cosine.
    "openvino": 1e-4,
}
"""Largest difference allowed from the native network, by execution provider, in float32."""


@dataclass(frozen=True, eq=False)
class Verification:
    """What the native network gave for a test input: the model file's proof.

    Attributes
    ----------
    amplitude : float32 array, shape (2, C, N, N)
        Two different diffraction patterns, sqrt(counts).
    scale : float
        Input scale they are tested with.
    object_patches : float32 array, shape (2, C, M, M, 2)
        Real and imaginary part, from the native network.
    largest_difference, tolerance : float
        Seen when the file was made, and allowed then.
    """

    amplitude: NDArray[np.float32]
    scale: float
    object_patches: NDArray[np.float32]
    largest_difference: float
    tolerance: float


@dataclass(frozen=True, eq=False)
class Manifest:
    """Everything a model file says about itself.

    Attributes
    ----------
    schema_version, name, created, license : str
    backend : "tensorflow" or "pytorch"
        What the network was trained with.
    framework_version, exporter, exporter_version : str
    opset : int
        Of the ONNX standard.
    architecture : str
        Name of the network; `architecture_options` are its sizes.
    window_px, num_channels, patch_px : int
        N, C and M.
    max_distance_px : float
        Largest distance of the others of a group from the pattern whose group it is.
    input_quantity : str
        "amplitude".
    scaling_rule, object_convention : str
        For a reader: how the scale is made, and what |O| = 1 means.
    trained_scale : float
        Input scale of the training data.
    probe : complex64 array, shape (modes, N, N), or None
        The one it was trained with, in sqrt(counts).
    probe_energy_eV, pixel_size_m : float or None
        Of the training data.
    training_summary : dict
    provenance_digest : str
    parent_digest : str or None
        Of the model file that this one was derived from.
    precision : str
        Of the weights.
    verification : Verification
    derivation : dict or None
        Of a derived precision: the calibration scan, and how far its object is from that of the
        float32 model.
    num_operations : int or None
        Multiplications and additions of the native network for one sample of C patterns; the
        exported one may need fewer.

    The last two were added in schema 1.1.

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
        _check_fields(self)

    @property
    def replaces_probe(self) -> bool:
        """Whether its probe takes the place of a scan's own.

        So it does if it was trained together with the network, or given for the training: the
        network's patches then belong to it.
        """
        source = self.training_summary.get("probe_source")
        return self.probe is not None and source in ("trained", "given")

    def to_json(self) -> str:
        """Return the manifest as one JSON document; equal manifests give equal text."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        if self.probe is not None:
            values["probe"] = _encode(_real_pairs(self.probe))
        values["verification"] = {
            "amplitude": _encode(self.verification.amplitude),
            "scale": self.verification.scale,
            "object_patches": _encode(self.verification.object_patches),
            "largest_difference": self.verification.largest_difference,
            "tolerance": self.verification.tolerance,
        }
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
        _check_schema_version(values.get("schema_version"))
        _require_fields(cls, values, "")
        values["probe"] = _decode_probe(values["probe"])
        values["verification"] = _decode_verification(values["verification"])
        known = {field.name for field in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})


def manifest_of(file: OnnxFile) -> Manifest:
    """Return the manifest of a parsed file, once the graph was found safe and as promised.

    Raises
    ------
    ManifestError
        If there is none, or the graph is unsafe or differs from it.
    """
    check_safe(file)
    text = file.metadata.get(METADATA_KEY)
    if text is None:
        raise ManifestError(
            f"{file.source} is an ONNX file without a `{METADATA_KEY}` manifest, so nothing says "
            "how to scale its input or what it was trained on; make a model file with "
            "`ptychonyx export RUN -o model.onnx`."
        )
    try:
        manifest = Manifest.from_json(text)
    except ManifestError as error:
        raise ManifestError(f"{file.source}: {error}") from error
    _check_graph(file, manifest)
    return manifest


Rule = tuple[Callable[[Any], bool], str]


def _is_whole(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _is_positive(value: object) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and 0 < value < math.inf  # type: ignore[operator]


def _is_json_object(value: object) -> bool:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        return False
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


_TEXT: Rule = (
    lambda value: isinstance(value, str) and 0 < len(value) <= MAX_TEXT,
    f"text of 1 to {MAX_TEXT} characters",
)
_POSITIVE: Rule = (_is_positive, "a positive finite number")
_POSITIVE_OR_NONE: Rule = (
    lambda value: value is None or _is_positive(value),
    "a positive finite number, or null",
)
_WINDOW: Rule = (
    lambda value: _is_whole(value, 1, MAX_WINDOW_PX),
    f"a whole number from 1 to {MAX_WINDOW_PX}",
)
_JSON_OBJECT: Rule = (_is_json_object, "an object of JSON values, without NaN or infinity")

_RULES: dict[str, Rule] = {
    "schema_version": _TEXT,
    "name": _TEXT,
    "created": _TEXT,
    "license": _TEXT,
    "backend": (lambda value: value in BACKENDS, '"tensorflow" or "pytorch"'),
    "framework_version": _TEXT,
    "exporter": _TEXT,
    "exporter_version": _TEXT,
    "opset": (lambda value: _is_whole(value, 1, 1000), "a whole number from 1"),
    "architecture": _TEXT,
    "architecture_options": _JSON_OBJECT,
    "window_px": _WINDOW,
    "num_channels": (
        lambda value: _is_whole(value, 1, MAX_CHANNELS),
        f"a whole number from 1 to {MAX_CHANNELS}",
    ),
    "max_distance_px": _POSITIVE,
    "patch_px": _WINDOW,
    "input_quantity": (lambda value: value == "amplitude", '"amplitude"'),
    "scaling_rule": _TEXT,
    "trained_scale": _POSITIVE,
    "object_convention": _TEXT,
    "probe_energy_eV": _POSITIVE_OR_NONE,
    "pixel_size_m": _POSITIVE_OR_NONE,
    "training_summary": _JSON_OBJECT,
    "provenance_digest": _TEXT,
    "parent_digest": (lambda value: value is None or _TEXT[0](value), "text, or null"),
    "precision": (lambda value: value in PRECISIONS, f"one of {', '.join(PRECISIONS)}"),
    "verification": (lambda value: isinstance(value, Verification), "an object of five fields"),
    "derivation": (
        lambda value: value is None or _is_json_object(value),
        "an object of JSON values, or null",
    ),
    "num_operations": (
        lambda value: value is None or _is_whole(value, 1, 2**62),
        "a whole number from 1, or null",
    ),
}
"""Field -> what is true of it, and how to say so. The probe goes with N and is checked after."""


def _check_fields(manifest: Manifest) -> None:
    for name, rule in _RULES.items():
        _apply(rule, name, getattr(manifest, name))
    window_px, num_channels, patch_px = (
        manifest.window_px,
        manifest.num_channels,
        manifest.patch_px,
    )
    if patch_px > window_px:
        _refuse("patch_px", patch_px, f"at most `window_px`, {window_px}")
    probe, proof = manifest.probe, manifest.verification
    if probe is not None:
        num_modes = min(len(probe), MAX_PROBE_MODES) if probe.ndim == 3 else 1
        _check_array("probe", probe, (max(num_modes, 1), window_px, window_px), np.complex64)
    _check_array(
        "verification.amplitude",
        proof.amplitude,
        (2, num_channels, window_px, window_px),
        np.float32,
    )
    _check_array(
        "verification.object_patches",
        proof.object_patches,
        (2, num_channels, patch_px, patch_px, 2),
        np.float32,
    )
    _apply(_POSITIVE, "verification.scale", proof.scale)
    _apply(_POSITIVE, "verification.tolerance", proof.tolerance)
    if proof.largest_difference != 0:
        _apply(_POSITIVE, "verification.largest_difference", proof.largest_difference)


def _apply(rule: Rule, name: str, value: object) -> None:
    is_right, needed = rule
    if not is_right(value):
        _refuse(name, value, needed)


def _refuse(name: str, value: object, needed: str) -> NoReturn:
    shown = repr(value)
    raise ManifestError(
        f"`{name}` of the manifest is {shown if len(shown) < 80 else shown[:77] + '...'}; needed: "
        f"{needed}. Export the model again with `ptychonyx export`."
    )


def _check_array(name: str, array: NDArray[Any], shape: tuple[int, ...], dtype: type) -> None:
    if array.dtype != dtype or array.shape != shape:
        _refuse(
            name,
            f"{array.dtype} of shape {array.shape}",
            f"{np.dtype(dtype)} of shape {shape}",
        )
    if not np.isfinite(array).all():
        _refuse(name, "an array with NaN or infinity", "finite numbers")


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
        _refuse("schema_version", version, f'two numbers, as in "{SCHEMA_VERSION}"')
    known = SCHEMA_VERSION.partition(".")[0]
    if int(major) > int(known):
        raise ManifestError(
            f"The manifest has schema version {version}, but this version of Ptychonyx reads "
            f"{known}.x; install a newer Ptychonyx."
        )


def _require_fields(kind: type, values: dict[str, Any], prefix: str) -> None:
    for field in dataclasses.fields(kind):
        if field.name not in values and field.default is dataclasses.MISSING:
            _refuse(prefix + field.name, "missing", "every field of the schema")


def _encode(array: NDArray[np.float32]) -> dict[str, Any]:
    data = base64.b64encode(np.ascontiguousarray(array, dtype="<f4").tobytes())
    return {"shape": list(array.shape), "float32": data.decode("ascii")}


def _decode(name: str, value: object) -> NDArray[np.float32]:
    needed = '{"shape": [...], "float32": base64 of as many little-endian numbers}'
    if not isinstance(value, dict) or not isinstance(value.get("float32"), str):
        _refuse(name, value, needed)
    shape = value.get("shape")
    if not isinstance(shape, list) or not all(_is_whole(side, 1, MAX_WINDOW_PX) for side in shape):
        _refuse(f"{name}.shape", shape, needed)
    try:
        data = base64.b64decode(value["float32"], validate=True)
    except (binascii.Error, ValueError):
        _refuse(f"{name}.float32", value["float32"], needed)
    if len(data) != 4 * math.prod(shape):
        _refuse(name, f"{len(data)} bytes for shape {shape}", needed)
    return np.frombuffer(data, dtype="<f4").astype(np.float32).reshape(shape)


def _decode_probe(value: object) -> NDArray[np.complex64] | None:
    if value is None:
        return None
    pairs = _decode("probe", value)
    if pairs.ndim != 4 or pairs.shape[-1] != 2:
        _refuse("probe", f"shape {pairs.shape}", "(modes, N, N, 2)")
    return pairs.view(np.complex64)[..., 0]


def _decode_verification(value: object) -> Verification:
    if not isinstance(value, dict):
        _refuse("verification", value, "an object of five fields")
    _require_fields(Verification, value, "verification.")
    return Verification(
        amplitude=_decode("verification.amplitude", value["amplitude"]),
        scale=value["scale"],
        object_patches=_decode("verification.object_patches", value["object_patches"]),
        largest_difference=value["largest_difference"],
        tolerance=value["tolerance"],
    )


def _real_pairs(array: NDArray[np.complex64]) -> NDArray[np.float32]:
    contiguous = np.ascontiguousarray(array)
    return contiguous.view(np.float32).reshape(*array.shape, 2)


def _check_graph(file: OnnxFile, manifest: Manifest) -> None:
    channels, window_px, patch_px = manifest.num_channels, manifest.window_px, manifest.patch_px
    amplitude, scale = INPUT_NAMES
    promised: dict[str, Shape] = {
        amplitude: ("batch", channels, window_px, window_px),
        scale: (1,),
        OUTPUT_NAME: ("batch", channels, patch_px, patch_px, 2),
    }
    names = tuple(value.name for value in file.inputs), tuple(value.name for value in file.outputs)
    if names != (INPUT_NAMES, (OUTPUT_NAME,)):
        raise ManifestError(
            f"{file.source} has inputs {list(names[0])} and outputs {list(names[1])}; needed are "
            f"{list(INPUT_NAMES)} and [{OUTPUT_NAME!r}]: export the model again."
        )
    for value in (*file.inputs, *file.outputs):
        _check_value(file.source, value, promised[value.name])
    opset = file.opsets.get("", file.opsets.get("ai.onnx"))
    if opset != manifest.opset:
        raise ManifestError(
            f"{file.source} has opset {opset}, but its manifest says {manifest.opset}; export the "
            "model again."
        )


def _check_value(source: str, value: Value, promised: Shape) -> None:
    sides = tuple(side if isinstance(side, int) else "batch" for side in value.shape)
    if value.data_type != FLOAT32 or sides != promised:
        raise ManifestError(
            f"`{value.name}` of {source} has shape {sides} and ONNX type {value.data_type}; its "
            f"manifest promises {promised} and type {FLOAT32} (float32): export the model again."
        )
