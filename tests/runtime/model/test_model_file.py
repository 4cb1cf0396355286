"""A model file gives its manifest and digest; what is unsafe, damaged or not exported gives neither."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_files import ModelPath, TinyManifest, TinyModel, document_of, redescribe

from ptychonyx.runtime.errors import ManifestError
from ptychonyx.runtime.model.model_file import (
    NativeNetwork,
    check_model,
    load_manifest,
    open_model_file,
    recognise_native,
)
from ptychonyx.runtime.model.session import Model

onnx = pytest.importorskip("onnx", reason="model files are built with the onnx package")
helper, TensorProto = onnx.helper, onnx.TensorProto


def test_a_model_file_is_its_bytes_its_manifest_and_its_digest(
    model_path: ModelPath, tiny_manifest: TinyManifest
) -> None:
    path = model_path()
    file = open_model_file(str(path))
    assert file.path == path
    assert file.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert file.manifest.to_json() == tiny_manifest().to_json()
    assert load_manifest(path).to_json() == file.manifest.to_json()


def without_manifest(model: Any) -> bytes:
    del model.metadata_props[:]
    return model.SerializeToString()


def external_initialiser(model: Any) -> bytes:
    tensor = model.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    return model.SerializeToString()


def external_data_without_location_flag(model: Any) -> bytes:
    model.graph.initializer[0].external_data.add(key="location", value="weights.bin")
    return model.SerializeToString()


def external_attribute(model: Any) -> bytes:
    tensor = TensorProto(name="hidden", data_type=TensorProto.FLOAT, dims=[2])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../weights.bin")
    model.graph.node.append(helper.make_node("Constant", [], ["unused"], value=tensor))
    return model.SerializeToString()


def external_in_subgraph(model: Any) -> bytes:
    tensor = TensorProto(name="hidden", data_type=TensorProto.FLOAT, dims=[2])
    tensor.data_location = TensorProto.EXTERNAL
    branch = helper.make_graph([], "branch", [], [], initializer=[tensor])
    node = helper.make_node("If", ["half"], ["unused"], then_branch=branch, else_branch=branch)
    model.graph.node.append(node)
    return model.SerializeToString()


def oversized(model: Any) -> bytes:
    tensor = TensorProto(name="huge", data_type=TensorProto.FLOAT, dims=[2**20, 2**20])
    model.graph.initializer.append(tensor)
    return model.SerializeToString()


def negative_size(model: Any) -> bytes:
    model.graph.initializer.append(TensorProto(name="odd", data_type=1, dims=[-1, -1]))
    return model.SerializeToString()


def foreign_node(model: Any) -> bytes:
    model.graph.node[0].domain = "com.example"
    return model.SerializeToString()


def foreign_opset(model: Any) -> bytes:
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    return model.SerializeToString()


def newer_schema(model: Any) -> bytes:
    redescribe(model, document_of(model).replace('"schema_version":"1.', '"schema_version":"2.'))
    return model.SerializeToString()


def manifest_is_not_json(model: Any) -> bytes:
    redescribe(model, "hello")
    return model.SerializeToString()


def manifest_is_changed(model: Any) -> bytes:
    entry = model.metadata_props[0]
    entry.value = entry.value.replace('"license":"MIT"', '"license":"MIX"')
    return model.SerializeToString()


def digest_is_changed(model: Any) -> bytes:
    model.metadata_props[1].value = "\u03c3" * 64
    return model.SerializeToString()


def digest_is_longer(model: Any) -> bytes:
    model.metadata_props[1].value += "0"
    return model.SerializeToString()


def digest_is_missing(model: Any) -> bytes:
    del model.metadata_props[1]
    return model.SerializeToString()


def two_manifests(model: Any) -> bytes:
    model.metadata_props.add(key="ptychonyx", value="{}")
    return model.SerializeToString()


def input_shape_differs(model: Any) -> bytes:
    model.graph.input[0].type.tensor_type.shape.dim[3].dim_value = 16
    return model.SerializeToString()


def fixed_batch(model: Any) -> bytes:
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    return model.SerializeToString()


def output_type_differs(model: Any) -> bytes:
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.DOUBLE
    return model.SerializeToString()


def other_names(model: Any) -> bytes:
    model.graph.output[0].name = "crop"
    return model.SerializeToString()


def opset_differs(model: Any) -> bytes:
    model.opset_import[0].version = 17
    return model.SerializeToString()


BAD_MODELS = [
    (
        without_manifest,
        r"without a `ptychonyx` manifest.*`ptychonyx export RUN -o model.onnx`, or .*ptychonyx import`",
    ),
    (lambda model: model.SerializeToString()[:900], "cut short"),
    (lambda model: b"", "0 bytes"),
    (lambda model: b"PK\x03\x04" + bytes(200), "not an ONNX file"),
    (lambda model: b"version https://git-lfs.github.com/spec/v1\n", "not an ONNX file"),
    (external_initialiser, "another file"),
    (external_data_without_location_flag, "another file"),
    (external_attribute, r"operator Constant \(`unused`\) is none of those"),
    (external_in_subgraph, r"operator If \(`unused`\) has a graph of its own"),
    (oversized, r"`huge` has shape \[1048576, 1048576\], but 0 bytes"),
    (negative_size, "`odd`"),
    (foreign_node, r"outside the ONNX standard \(com.example\)"),
    (foreign_opset, r"outside the ONNX standard \(com.microsoft\)"),
    (newer_schema, r"schema version 2\.\d+.*newer Ptychonyx"),
    (manifest_is_not_json, "not JSON"),
    (manifest_is_changed, r"sha256 \w{8}…, but the file notes '\w{8}': .*changed after the export"),
    (digest_is_changed, "changed after the export"),
    (digest_is_longer, "changed after the export"),
    (digest_is_missing, r"1\.\d+, but the file has no `ptychonyx_sha256`"),
    (two_manifests, "comes twice"),
    (input_shape_differs, r"`amplitude`.*\('batch', 1, 8, 16\).*promises"),
    (fixed_batch, r"`amplitude`.*\(1, 1, 8, 8\).*promises"),
    (output_type_differs, r"`object_patches`.*type 11"),
    (other_names, r"outputs \['crop'\]"),
    (opset_differs, "opset 17, but its manifest says 18"),
]


@pytest.mark.parametrize(("spoil", "match"), BAD_MODELS)
def test_bad_model_is_refused_before_a_session(
    tiny_model: TinyModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[Any], bytes],
    match: str,
) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(spoil(tiny_model()))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # asking for a session would fail
    for open_it in (open_model_file, Model):
        with pytest.raises(ManifestError, match=match) as caught:
            open_it(path)
        assert str(path) in str(caught.value)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_an_older_manifest_needs_no_sha256(tiny_model: TinyModel, version: str) -> None:
    model = tiny_model(schema_version=version)
    del model.metadata_props[1]
    assert check_model(model.SerializeToString(), "old.onnx")[1].schema_version == version


def test_an_older_manifest_with_a_wrong_sha256_is_refused(tiny_model: TinyModel) -> None:
    with pytest.raises(ManifestError, match="changed after the export"):
        check_model(manifest_is_changed(tiny_model(schema_version="1.1")), "old.onnx")


@pytest.mark.parametrize("version", ["1.3", "1.10", "1.999999999"])
def test_a_newer_manifest_needs_one_too(tiny_model: TinyModel, version: str) -> None:
    with pytest.raises(ManifestError, match="has no `ptychonyx_sha256`"):
        check_model(digest_is_missing(tiny_model(schema_version=version)), "new.onnx")


def test_any_changed_letter_of_a_manifest_is_noticed(tiny_model: TinyModel) -> None:
    data = tiny_model().SerializeToString()
    start = data.index(b'{"architecture"')
    for place in range(start, data.index(b"ptychonyx_sha256"), 7):
        changed = bytearray(data)
        changed[place] ^= 1
        with pytest.raises(ManifestError):
            check_model(bytes(changed), "changed.onnx")


def test_a_file_cut_anywhere_is_refused(tiny_model: TinyModel) -> None:
    data = tiny_model().SerializeToString()
    for length in range(0, len(data) - 1, 7):
        with pytest.raises(ManifestError):
            check_model(data[:length], "cut.onnx")


def test_random_damage_raises_nothing_but_manifest_errors(tiny_model: TinyModel) -> None:
    data = tiny_model().SerializeToString()
    rng = np.random.default_rng(0)
    num_refused = 0
    for _ in range(500):
        damaged = bytearray(data)
        for place in rng.integers(0, len(data), size=3):
            damaged[place] = rng.integers(0, 256)
        try:
            check_model(bytes(damaged), "damaged.onnx")
        except ManifestError:
            num_refused += 1
    assert num_refused > 100


@pytest.mark.parametrize(
    ("name", "backend"),
    [
        ("last.ckpt", "pytorch"),
        ("net.pt", "pytorch"),
        ("net.pth", "pytorch"),
        ("best.keras", "tensorflow"),
        ("best.weights.h5", "tensorflow"),
        ("best.h5", "tensorflow"),
        ("weights.safetensors", "tensorflow or pytorch"),
    ],
)
def test_native_checkpoint_names_its_backend(tmp_path: Path, name: str, backend: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"weights")
    with pytest.raises(ManifestError, match=rf"checkpoint of {backend}.*`ptychonyx export RUN -o"):
        open_model_file(path)


@pytest.mark.parametrize("backend", ["tensorflow", "pytorch"])
@pytest.mark.parametrize("part", ["", "weights.safetensors", "checkpoints/epoch-00003.ckpt"])
def test_run_folder_and_its_files_name_the_backend(tmp_path: Path, backend: str, part: str) -> None:
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "config.yaml").write_text(f"epochs: 3\nbackend: {backend}\n")
    (run / "weights.safetensors").write_bytes(b"weights")
    (run / "checkpoints/epoch-00003.ckpt").write_bytes(b"weights")
    with pytest.raises(ManifestError, match=rf"of {backend}, but.*`ptychonyx export {run} -o"):
        open_model_file(run / part)


def test_unreadable_config_names_both_backends(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "config.yaml").write_text("{ not: [yaml")
    with pytest.raises(ManifestError, match="run folder of tensorflow or pytorch"):
        open_model_file(tmp_path)


def test_missing_file_and_plain_folder(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="There is no file"):
        open_model_file(tmp_path / "nowhere.onnx")
    with pytest.raises(ManifestError, match="is a folder"):
        open_model_file(tmp_path)


@pytest.mark.parametrize(
    ("line", "backend"),
    [
        ("backend: pytorch", "pytorch"),
        ("backend: 'tensorflow'  # the default", "tensorflow"),
        ("backend:\tpytorch\r", "pytorch"),
        ("backend: jax", "tensorflow or pytorch"),
        ("# backend: pytorch", "tensorflow or pytorch"),
        ("other:\n  backend: pytorch", "tensorflow or pytorch"),
        ("\xff", "tensorflow or pytorch"),
    ],
)
def test_a_run_names_its_backend_in_one_line_of_its_settings(
    tmp_path: Path, line: str, backend: str
) -> None:
    (tmp_path / "config.yaml").write_bytes(f"epochs: 3\n{line}\nseed: 0\n".encode("latin-1"))
    (tmp_path / "weights.safetensors").touch()
    assert recognise_native(tmp_path) == NativeNetwork("run folder", backend, tmp_path)
    assert recognise_native(tmp_path / "weights.safetensors") == NativeNetwork(
        "native checkpoint", backend, tmp_path
    )


def test_the_settings_that_a_run_writes_are_understood(tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml", reason="a run's settings are YAML")
    (tmp_path / "checkpoints").mkdir()
    for backend in ("tensorflow", "pytorch"):
        (tmp_path / "config.yaml").write_text(yaml.safe_dump({"epochs": 3, "backend": backend}))
        assert recognise_native(tmp_path) == NativeNetwork("run folder", backend, tmp_path)


def test_other_files_and_folders_are_not_native(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("backend: pytorch")
    assert recognise_native(tmp_path) is None
    (tmp_path / "model.onnx").touch()
    assert recognise_native(tmp_path / "model.onnx") is None
