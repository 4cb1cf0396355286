"""The facts that every model file states, whatever its kind."""

from __future__ import annotations

import dataclasses
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from ...errors import ManifestError
from .checks import (
    JSON_OBJECT,
    FieldError,
    Rule,
    check_fields,
    one_of,
    or_none,
    shown,
    text,
    values_of,
    whole,
)
from .verification import Proof

SCHEMA_VERSION = "1.3"
"""Major.minor; a newer minor only adds keys, a newer major is refused."""
METADATA_KEY = "ptychonyx"
"""Key of the manifest among the metadata of the ONNX file."""
BACKENDS = ("tensorflow", "pytorch")
PRECISIONS = ("float32", "float16", "bfloat16", "int8")
FIRST_KIND = "patches"
"""Kind of a manifest that names none: there was no other before schema 1.2."""

MAX_DOCUMENT = 48 * 2**20
"""Longest manifest that is read. With patterns of 512×512 in groups of 4 and 10 modes of the probe, ours
has 45 million characters."""
MAX_WITHOUT_ARRAYS = 2**20
"""Longest rest of it beside the arrays: ours has a few thousand characters."""
_ARRAYS = re.compile(r'"float32":\s*"[A-Za-z0-9+/]*+={0,2}"')
"""The arrays: what JSON makes of them is as long as their text, whereas any other text can become
objects of 20 times its size."""

_TWO_NUMBERS = re.compile(r"[0-9]{1,9}\.[0-9]{1,9}")

MAX_TEXT = 10_000
"""Bound on what is believed: memory is reserved from these numbers."""

Shapes = dict[str, tuple[int | str, ...]]
"""Name of an input or output -> its shape; a dynamic side has a name."""


@dataclass(frozen=True, eq=False)
class ModelFacts(ABC):
    """Describe a model file of any kind: who made it, of what, and how it proves itself.

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
    training_summary : dict
        What the training was, in numbers and words.
    provenance_digest : str
        sha256 of the training run's provenance.json.
    parent_digest : str or None
        sha256 of the model file that this one was derived from.
    precision : str
        Number format that the network computes in, one of `PRECISIONS`.
    verification : Proof
        Test input, and what the native network made of it.

    Raises
    ------
    ManifestError
        If a field is not what it should be; the message names the field.
    """

    KIND: ClassVar[str]
    """Value of `kind` in the JSON document."""
    PURPOSE: ClassVar[str]
    """What such a model computes from what, in a few words."""

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
    training_summary: dict[str, Any]
    provenance_digest: str
    parent_digest: str | None
    precision: str
    verification: Proof

    def __post_init__(self) -> None:
        with manifest_errors():
            check_fields(self, self.rules())
            self.check_sizes()
            self.verification.check_tolerance(self.precision)

    @property
    @abstractmethod
    def inputs(self) -> Shapes:
        """Inputs of the graph, in order; each is float32."""

    @property
    @abstractmethod
    def outputs(self) -> Shapes:
        """Outputs of the graph, in order; each is float32."""

    @property
    def multiple_px(self) -> int:
        """What the dynamic sides of an input must be multiples of."""
        return 1

    @classmethod
    @abstractmethod
    def rules(cls) -> Mapping[str, Rule]:
        """Return the rule of each field that can be judged on its own."""

    @abstractmethod
    def check_sizes(self) -> None:
        """Check the fields that must go with each other.

        Raises
        ------
        FieldError
            Names the first that does not.
        """

    @classmethod
    @abstractmethod
    def decode(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Return the fields that are no JSON values, from the values that JSON gave for all."""

    def to_values(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return values | {"kind": self.KIND, "verification": self.verification.to_values()}

    def to_json(self) -> str:
        """Return the manifest as one JSON document; equal manifests give equal text."""
        return json.dumps(self.to_values(), sort_keys=True, separators=(",", ":"), allow_nan=False)

    def with_difference(self, largest_difference: float) -> Self:
        """Return a copy whose proof has another difference from the native network."""
        proof = dataclasses.replace(self.verification, largest_difference=largest_difference)
        return dataclasses.replace(self, verification=proof)

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Self:
        """Read what `to_values` returned; keys that a newer minor version added are ignored.

        Raises
        ------
        ManifestError
            If a field is missing or wrong.
        """
        with manifest_errors():
            known = values_of(cls, values)
            known |= cls.decode(known)
        return cls(**known)


TEXT = text(MAX_TEXT)

FACT_RULES: dict[str, Rule] = {
    "schema_version": TEXT,
    "name": TEXT,
    "created": TEXT,
    "license": TEXT,
    "backend": one_of(*BACKENDS),
    "framework_version": TEXT,
    "exporter": TEXT,
    "exporter_version": TEXT,
    "opset": whole(1, 1000),
    "architecture": TEXT,
    "architecture_options": JSON_OBJECT,
    "training_summary": JSON_OBJECT,
    "provenance_digest": TEXT,
    "parent_digest": or_none(TEXT),
    "precision": one_of(*PRECISIONS),
}
"""Rule of each field that all kinds have, but the proof, which is another for each."""


@contextmanager
def manifest_errors() -> Iterator[None]:
    """Turn the error of a field into that of a manifest."""
    try:
        yield
    except FieldError as error:
        raise ManifestError(
            f"`{error.name}` of the manifest is {error.shown}; needed: {error.needed}. Export the "
            "model again with `ptychonyx export`."
        ) from error


def load_document(document: str | bytes | memoryview) -> tuple[str, dict[str, Any]]:
    """Return the kind and the values of a manifest of a version that is known.

    Raises
    ------
    ManifestError
        If it is too long or not JSON, or of a newer major version.
    """
    values = _load_json(_text_of(document))
    with manifest_errors():
        _check_schema_version(values.get("schema_version"))
        kind = values.get("kind", FIRST_KIND)
        if not TEXT.holds(kind):
            raise FieldError("kind", shown(kind), TEXT.needed)
    return kind, values


def _text_of(document: str | bytes | memoryview) -> str:
    """Return a manifest as text, once it was found short enough to be read as JSON."""
    _check_length("document", len(document), MAX_DOCUMENT)
    try:
        text = document if isinstance(document, str) else str(document, "utf-8")
    except UnicodeDecodeError as error:
        raise ManifestError(
            f"The manifest is not text ({error}); export the model again with `ptychonyx export`."
        ) from error
    _check_length(
        "part without arrays",
        len(text) - sum(found.end() - found.start() for found in _ARRAYS.finditer(text)),
        MAX_WITHOUT_ARRAYS,
    )
    return text


def _check_length(what: str, length: int, longest: int) -> None:
    if length > longest:
        raise ManifestError(
            f"The manifest's {what} has {length} characters, but {longest} are the most that are "
            "read; export the model again with `ptychonyx export`."
        )


def _load_json(document: str) -> dict[str, Any]:
    try:
        values = json.loads(document)
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


def schema_numbers(version: object) -> tuple[int, int]:
    """Return major and minor of a schema version.

    Raises
    ------
    FieldError
        If it is no text of two numbers.

    Examples
    --------
    >>> schema_numbers("1.10") > schema_numbers("1.9")
    True
    """
    if not isinstance(version, str) or not _TWO_NUMBERS.fullmatch(version):
        raise FieldError("schema_version", shown(version), f'two numbers, as in "{SCHEMA_VERSION}"')
    major, minor = version.split(".")
    return int(major), int(minor)


def _check_schema_version(version: object) -> None:
    known, _ = schema_numbers(SCHEMA_VERSION)
    if schema_numbers(version)[0] > known:
        raise ManifestError(
            f"The manifest has schema version {version}, but this version of Ptychonyx reads "
            f"{known}.x; install a newer Ptychonyx."
        )
