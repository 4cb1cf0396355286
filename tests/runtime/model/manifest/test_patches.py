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


ADDED_LATER = ("derivation", "num_operations")


def test_a_manifest_of_the_first_schema_is_read(tiny_manifest: TinyManifest) -> None:
    document = json.loads(tiny_manifest().to_json()) | {"schema_version": "1.0"}
    for field in ADDED_LATER:
        del document[field]
    manifest = read_manifest(json.dumps(document))
    assert [getattr(manifest, field) for field in ADDED_LATER] == [None, None]


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
