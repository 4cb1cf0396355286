"""A manifest survives JSON, and nothing wrong in it does; ONNX files are read without running."""

from __future__ import annotations

import base64
import dataclasses
import json
import math

import numpy as np
import pytest

from ptychonyx.runtime.errors import ManifestError
from ptychonyx.runtime.model.manifest import METADATA_KEY, TOLERANCES, Manifest, manifest_of
from ptychonyx.runtime.model.onnx_file import parse_onnx
from ptychonyx.runtime.model.providers import PROVIDERS


def random_probe(num_modes: int = 2, side: int = 8):
    rng = np.random.default_rng(1)
    pairs = rng.normal(size=(num_modes, side, side, 2)).astype(np.float32)
    return pairs.view(np.complex64)[..., 0]


def test_json_round_trip_keeps_every_bit(tiny_manifest):
    manifest = tiny_manifest(probe=random_probe(), probe_energy_eV=6200.0, parent_digest="ab")
    again = Manifest.from_json(manifest.to_json())
    np.testing.assert_array_equal(again.probe, manifest.probe)
    assert again.probe.dtype == np.complex64
    for name in ("amplitude", "object_patches"):
        np.testing.assert_array_equal(
            getattr(again.verification, name), getattr(manifest.verification, name)
        )
    for field in dataclasses.fields(Manifest):
        if field.name not in ("probe", "verification"):
            assert getattr(again, field.name) == getattr(manifest, field.name)
    assert again.to_json() == manifest.to_json()


def test_arrays_are_little_endian_float32(tiny_manifest):
    document = json.loads(tiny_manifest(probe=random_probe()).to_json())
    probe = document["probe"]
    assert probe["shape"] == [2, 8, 8, 2]
    data = np.frombuffer(base64.b64decode(probe["float32"]), "<f4").reshape(probe["shape"])
    np.testing.assert_array_equal(data[..., 0] + 1j * data[..., 1], random_probe())


def test_unknown_keys_and_newer_minor_are_tolerated(tiny_manifest):
    document = json.loads(tiny_manifest().to_json())
    document |= {"schema_version": "1.7", "beam_colour": "blue"}
    document["verification"]["mood"] = "good"
    assert Manifest.from_json(json.dumps(document)).schema_version == "1.7"


@pytest.mark.parametrize("version", ["2.0", "10.1"])
def test_newer_major_is_refused(tiny_manifest, version):
    document = json.loads(tiny_manifest().to_json()) | {"schema_version": version}
    with pytest.raises(ManifestError, match=f"schema version {version}.*newer Ptychonyx"):
        Manifest.from_json(json.dumps(document))


ADDED_LATER = ("derivation", "num_operations")


def test_a_manifest_of_the_first_schema_is_read(tiny_manifest):
    document = json.loads(tiny_manifest().to_json()) | {"schema_version": "1.0"}
    for field in ADDED_LATER:
        del document[field]
    manifest = Manifest.from_json(json.dumps(document))
    assert [getattr(manifest, field) for field in ADDED_LATER] == [None, None]


@pytest.mark.parametrize(
    "field",
    [field.name for field in dataclasses.fields(Manifest) if field.name not in ADDED_LATER],
)
def test_missing_field_is_named(tiny_manifest, field):
    document = json.loads(tiny_manifest().to_json())
    del document[field]
    with pytest.raises(ManifestError, match=f"`{field}`"):
        Manifest.from_json(json.dumps(document))


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
def test_wrong_field_is_named(tiny_manifest, field, value):
    document = json.loads(tiny_manifest().to_json()) | {field: value}
    # a wrong N is noticed by the arrays that go with it
    named = "verification" if (field, value) == ("window_px", 16) else field
    with pytest.raises(ManifestError, match=f"`{named}") as caught:
        Manifest.from_json(json.dumps(document))
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("field", "value"),
    [("scale", 0), ("tolerance", -1.0), ("tolerance", None), ("largest_difference", "none")],
)
def test_wrong_verification_number_is_named(tiny_manifest, field, value):
    document = json.loads(tiny_manifest().to_json())
    document["verification"][field] = value
    with pytest.raises(ManifestError, match=f"`verification.{field}`"):
        Manifest.from_json(json.dumps(document))


@pytest.mark.parametrize("text", ["", "[]", "3", "{", "[" * 100_000, '{"schema_version": NaN}'])
def test_other_text_is_refused(text):
    with pytest.raises(ManifestError):
        Manifest.from_json(text)


def test_infinity_and_nan_are_refused_when_writing(tiny_manifest):
    with pytest.raises(ManifestError, match="`trained_scale`"):
        tiny_manifest(trained_scale=math.inf)
    with pytest.raises(ManifestError, match="`training_summary`"):
        tiny_manifest(training_summary={"loss": math.nan})
    with pytest.raises(ManifestError, match=r"`probe`.*finite"):
        tiny_manifest(probe=random_probe() * np.complex64(np.nan))
    with pytest.raises(ManifestError, match="`probe`"):
        tiny_manifest(probe=random_probe(side=9))


def test_every_provider_has_a_tolerance():
    assert TOLERANCES.keys() == PROVIDERS.keys()


def test_wire_walker_sees_what_the_onnx_package_sees(tiny_model):
    model = tiny_model()
    file = parse_onnx(model.SerializeToString(), "tiny.onnx")
    assert file.ir_version == model.ir_version
    assert file.opsets == {"": 18}
    assert file.metadata == {entry.key: entry.value for entry in model.metadata_props}
    assert {tensor.name: tensor.dims for tensor in file.tensors} == {
        tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer
    }
    assert [value.shape for value in file.inputs] == [("batch", 1, 8, 8), (1,)]
    assert [value.name for value in file.outputs] == ["object_patches"]
    assert file.num_nodes == len(model.graph.node)
    assert manifest_of(file).to_json() == file.metadata[METADATA_KEY]


def test_a_file_cut_anywhere_is_refused(tiny_model):
    data = tiny_model().SerializeToString()
    for length in range(0, len(data) - 1, 7):
        with pytest.raises(ManifestError):
            manifest_of(parse_onnx(data[:length], "cut.onnx"))


def test_random_damage_raises_nothing_but_manifest_errors(tiny_model):
    data = tiny_model().SerializeToString()
    rng = np.random.default_rng(0)
    num_refused = 0
    for _ in range(500):
        damaged = bytearray(data)
        for place in rng.integers(0, len(data), size=3):
            damaged[place] = rng.integers(0, 256)
        try:
            manifest_of(parse_onnx(bytes(damaged), "damaged.onnx"))
        except ManifestError:
            num_refused += 1
    assert num_refused > 100


def test_very_deep_nesting_is_refused_without_recursion_errors():
    data = b""
    for _ in range(200):  # graph > node > attribute > graph > ...
        for tag in (0x32, 0x2A, 0x0A):
            data = bytes([tag]) + _varint(len(data)) + data
    model = b"\x08\x0a\x3a" + _varint(len(data)) + data
    with pytest.raises(ManifestError, match="nested"):
        parse_onnx(model, "deep.onnx")


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
