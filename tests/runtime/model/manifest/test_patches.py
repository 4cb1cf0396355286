"""A manifest survives JSON, and nothing wrong in it does."""

from __future__ import annotations

import base64
import dataclasses
import json
import math

import numpy as np
import pytest
from model_files import TinyManifest
from numpy.typing import NDArray

from ptychonyx.runtime.errors import ManifestError
from ptychonyx.runtime.model.manifest import Manifest, read_manifest
from ptychonyx.runtime.model.manifest.facts import MAX_DOCUMENT, MAX_WITHOUT_ARRAYS
from ptychonyx.runtime.model.manifest.patches import RULES


def random_probe(num_modes: int = 2, side: int = 8) -> NDArray[np.complex64]:
    rng = np.random.default_rng(1)
    pairs = rng.normal(size=(num_modes, side, side, 2)).astype(np.float32)
    return pairs.view(np.complex64)[..., 0]


def test_json_round_trip_keeps_every_bit(tiny_manifest: TinyManifest) -> None:
    manifest = tiny_manifest(probe=random_probe(), probe_energy_eV=6200.0, parent_digest="ab")
    again = read_manifest(manifest.to_json())
    assert isinstance(again, Manifest)
    np.testing.assert_array_equal(again.probe, manifest.probe)
    assert again.probe is not None
    assert again.probe.dtype == np.complex64
    for name in ("amplitude", "object_patches"):
        np.testing.assert_array_equal(
            getattr(again.verification, name), getattr(manifest.verification, name)
        )
    for field in dataclasses.fields(Manifest):
        if field.name not in ("probe", "verification"):
            assert getattr(again, field.name) == getattr(manifest, field.name)
    assert again.to_json() == manifest.to_json()


def test_arrays_are_little_endian_float32(tiny_manifest: TinyManifest) -> None:
    document = json.loads(tiny_manifest(probe=random_probe()).to_json())
    probe = document["probe"]
    assert probe["shape"] == [2, 8, 8, 2]
    data = np.frombuffer(base64.b64decode(probe["float32"]), "<f4").reshape(probe["shape"])
    np.testing.assert_array_equal(data[..., 0] + 1j * data[..., 1], random_probe())


def test_unknown_keys_and_newer_minor_are_tolerated(tiny_manifest: TinyManifest) -> None:
    document = json.loads(tiny_manifest().to_json())
    document |= {"schema_version": "1.7", "beam_colour": "blue"}
    document["verification"]["mood"] = "good"
    assert read_manifest(json.dumps(document)).schema_version == "1.7"


@pytest.mark.parametrize("version", ["2.0", "10.1"])
def test_newer_major_is_refused(tiny_manifest: TinyManifest, version: str) -> None:
    document = json.loads(tiny_manifest().to_json()) | {"schema_version": version}
    with pytest.raises(ManifestError, match=f"schema version {version}.*newer Ptychonyx"):
        read_manifest(json.dumps(document))


ADDED_LATER = ("derivation", "num_operations", "own_residual")


def test_a_manifest_of_the_first_schema_is_read(tiny_manifest: TinyManifest) -> None:
    document = json.loads(tiny_manifest().to_json()) | {"schema_version": "1.0"}
    for field in ADDED_LATER:
        del document[field]
    manifest = read_manifest(json.dumps(document))
    assert [getattr(manifest, field) for field in ADDED_LATER] == [None] * len(ADDED_LATER)


@pytest.mark.parametrize(
    "field",
    [field.name for field in dataclasses.fields(Manifest) if field.name not in ADDED_LATER],
)
def test_missing_field_is_named(tiny_manifest: TinyManifest, field: str) -> None:
    document = json.loads(tiny_manifest().to_json())
    del document[field]
    with pytest.raises(ManifestError, match=f"`{field}`"):
        read_manifest(json.dumps(document))


WRONG = [
    ("schema_version", 1),
    ("schema_version", "one"),
    ("name", ""),
    ("name", "x" * 20_000),
    ("license", None),
    ("created", 2026),
    ("backend", "jax"),
    ("backend", ["pytorch"]),
    ("opset", 18.0),
    ("opset", True),
    ("architecture", []),
    ("architecture_options", "filters"),
    ("window_px", 0),
    ("window_px", 100_000),
    ("window_px", "8"),
    ("window_px", 16),
    ("num_channels", 65),
    ("patch_px", 9),
    ("patch_px", -4),
    ("input_quantity", "counts"),
    ("trained_scale", 0),
    ("trained_scale", "big"),
    ("pixel_size_m", -1e-9),
    ("probe_energy_eV", False),
    ("training_summary", [1]),
    ("provenance_digest", 5),
    ("parent_digest", 5),
    ("precision", "float8"),
    ("probe", "round"),
    ("probe", {"shape": [1, 8, 8, 2], "float32": "AAAA"}),
    ("probe", {"shape": [8, 8], "float32": "A" * 342 + "=="}),
    ("probe", {"shape": [10**9, 10**9], "float32": "AAAA"}),
    ("probe", {"shape": [1], "float32": "not base64!"}),
    ("probe", {"shape": [1], "float32": "é"}),
    ("verification", None),
    ("verification", {}),
]


@pytest.mark.parametrize(("field", "value"), WRONG)
def test_wrong_field_is_named(tiny_manifest: TinyManifest, field: str, value: object) -> None:
    document = json.loads(tiny_manifest().to_json()) | {field: value}
    # a wrong N is noticed by the arrays that go with it
    named = "verification" if (field, value) == ("window_px", 16) else field
    with pytest.raises(ManifestError, match=f"`{named}") as caught:
        read_manifest(json.dumps(document))
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("text", ["", "[]", "3", "{", "[" * 100_000, '{"schema_version": NaN}'])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(ManifestError):
        read_manifest(text)


def test_infinity_and_nan_are_refused_when_writing(tiny_manifest: TinyManifest) -> None:
    with pytest.raises(ManifestError, match="`trained_scale`"):
        tiny_manifest(trained_scale=math.inf)
    with pytest.raises(ManifestError, match="`training_summary`"):
        tiny_manifest(training_summary={"loss": math.nan})
    with pytest.raises(ManifestError, match=r"`probe`.*finite"):
        tiny_manifest(probe=random_probe() * np.complex64(np.nan))
    with pytest.raises(ManifestError, match="`probe`"):
        tiny_manifest(probe=random_probe(side=9))


def test_every_field_but_the_probe_has_a_rule() -> None:
    fields = {field.name for field in dataclasses.fields(Manifest)}
    assert fields - RULES.keys() == {"probe"}
    assert RULES.keys() <= fields


HUGE = 10**400
"""A number that JSON and Python write, and that no float can hold."""


@pytest.mark.parametrize(
    "field",
    [
        "trained_scale",
        "pixel_size_m",
        "probe_energy_eV",
        "max_distance_px",
        "opset",
        "num_operations",
    ],
)
def test_numbers_that_no_float_holds_are_refused(tiny_manifest: TinyManifest, field: str) -> None:
    document = json.loads(tiny_manifest().to_json()) | {field: HUGE}
    with pytest.raises(ManifestError, match=f"`{field}` of the manifest is 1000"):
        read_manifest(json.dumps(document))


@pytest.mark.parametrize("field", ["scale", "tolerance", "largest_difference"])
def test_numbers_of_a_proof_that_no_float_holds_are_refused(
    tiny_manifest: TinyManifest, field: str
) -> None:
    document = json.loads(tiny_manifest().to_json())
    document["verification"][field] = HUGE
    with pytest.raises(ManifestError, match=f"`verification.{field}`"):
        read_manifest(json.dumps(document))


@pytest.mark.parametrize(
    ("field", "value"), [("name", "half \ud83d"), ("training_summary", {"scan": "\ud83d"})]
)
def test_text_that_cannot_be_printed_is_refused(
    tiny_manifest: TinyManifest, field: str, value: object
) -> None:
    document = json.loads(tiny_manifest().to_json()) | {field: value}
    with pytest.raises(ManifestError, match=f"`{field}`"):
        read_manifest(json.dumps(document))


def test_a_long_manifest_is_refused_before_it_is_parsed(
    tiny_manifest: TinyManifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = tiny_manifest().to_json()
    monkeypatch.setattr(json, "loads", None)  # parsing would fail
    many = document.replace('"epochs":3', '"epochs":[' + "[]," * (MAX_WITHOUT_ARRAYS // 3) + "[]]")
    with pytest.raises(ManifestError, match=r"part without arrays has \d+ characters, but 1048576"):
        read_manifest(many)
    with pytest.raises(ManifestError, match=f"document has {MAX_DOCUMENT + 1} characters"):
        read_manifest("x" * (MAX_DOCUMENT + 1))


def test_the_largest_manifest_of_ours_is_read(tiny_manifest: TinyManifest) -> None:
    """Groups of 4 patterns of 256×256 and 10 modes of the probe: 11 million characters."""
    probe = random_probe(num_modes=10, side=256)
    manifest = tiny_manifest(window_px=256, patch_px=128, num_channels=4, probe=probe)
    document = manifest.to_json()
    assert len(document) > 10 * MAX_WITHOUT_ARRAYS
    again = read_manifest(document.encode())
    assert isinstance(again, Manifest)
    np.testing.assert_array_equal(again.probe, probe)


def test_a_manifest_that_is_not_text_is_refused() -> None:
    with pytest.raises(ManifestError, match="not text"):
        read_manifest(b'{"name": "\xff"}')
