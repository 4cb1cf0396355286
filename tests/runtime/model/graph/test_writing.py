"""A session gets what was checked, written again: the same graph, and nothing else of the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_files import ModelPath, TinyModel

from ptychonyx.runtime.errors import ManifestError
from ptychonyx.runtime.model.graph import parse_onnx, write_onnx
from ptychonyx.runtime.model.graph.protobuf import (
    bytes_field,
    number_field,
    split_message,
    varint,
)
from ptychonyx.runtime.model.model_file import open_model_file
from ptychonyx.runtime.model.session import Model

onnx = pytest.importorskip("onnx", reason="model files are built with the onnx package")
ort = pytest.importorskip("onnxruntime", reason="models run on onnxruntime")
helper, numpy_helper, TensorProto = onnx.helper, onnx.numpy_helper, onnx.TensorProto

SMALL = sorted((Path(__file__).parents[3] / "models").glob("*/model.onnx"))


def written(model: Any) -> Any:
    return onnx.load_from_string(write_onnx(parse_onnx(model.SerializeToString())))


def assert_equal_graphs(again: Any, model: Any) -> None:
    for kind in ("node", "input", "output"):
        assert list(getattr(again.graph, kind)) == list(getattr(model.graph, kind))
    for one, other in zip(again.graph.initializer, model.graph.initializer, strict=True):
        assert (one.name, one.data_type, one.dims) == (other.name, other.data_type, other.dims)
        arrays = [numpy_helper.to_array(each) for each in (one, other)]
        np.testing.assert_array_equal(*(each.reshape(-1).view(np.uint8) for each in arrays))
    assert (again.ir_version, again.opset_import) == (model.ir_version, model.opset_import)


@pytest.mark.parametrize("path", SMALL, ids=lambda path: path.parent.name)
def test_a_model_is_written_as_it_was(path: Path) -> None:
    model = onnx.load(path)
    for node in model.graph.node:
        for attribute in node.attribute:
            attribute.ClearField("doc_string")
    assert_equal_graphs(written(model), model)


@pytest.mark.parametrize("path", SMALL, ids=lambda path: path.parent.name)
def test_a_model_computes_the_same_bits_as_its_file(path: Path) -> None:
    session = ort.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    amplitude = rng.exponential(10, (7, 1, 64, 64)).astype(np.float32)
    feed = {"amplitude": amplitude, "scale": np.array([0.05], np.float32)}
    (expected,) = session.run(None, feed)
    found = Model(path, provider="cpu").predict(amplitude, 0.05)
    np.testing.assert_array_equal(found[..., None].view(np.float32), expected)


def test_attributes_and_elements_are_written_in_every_way(tiny_model: TinyModel) -> None:
    model = tiny_model()
    model.graph.initializer.extend(
        [
            helper.make_tensor("floats", TensorProto.FLOAT, [2], [0.1, -2.0]),
            helper.make_tensor("wide", TensorProto.INT64, [2], [-1, 2**40]),
            helper.make_tensor("byte", TensorProto.UINT8, [], [200]),
            helper.make_tensor("signed", TensorProto.INT8, [2], [-128, 5]),
            helper.make_tensor("half_precision", TensorProto.FLOAT16, [2], [1.5, -0.25]),
            helper.make_tensor("bits", TensorProto.BFLOAT16, [2], [1.5, -0.25]),
            helper.make_tensor("none", TensorProto.FLOAT, [0], []),
        ]
    )
    values = {"i": -3, "is": [1, -2], "f": 0.1, "fs": [0.1, 2.0], "s": "text"}
    model.graph.node.append(helper.make_node("Odd", ["crop", ""], ["x"], name="me", **values))
    again = written(model)
    odd = again.graph.node.pop()
    expected = model.graph.node.pop()
    assert (odd.input, odd.output, odd.name) == (expected.input, expected.output, "me")
    assert {each.name: helper.get_attribute_value(each) for each in odd.attribute} == {
        each.name: helper.get_attribute_value(each) for each in expected.attribute
    }
    assert_equal_graphs(again, model)


def append(message: bytes, path: tuple[int, ...], extra: bytes) -> bytes:
    """Put bytes behind the fields of a message that lies in the fields of `path`, the last of each."""
    if not path:
        return message + extra
    pieces: list[bytes | memoryview] = []
    number = path[0]
    fields = split_message(memoryview(message))
    for each, values in fields.items():
        for place, value in enumerate(values):
            if isinstance(value, int):
                pieces.append(number_field(each, value))
                continue
            inner = bytes(value)
            if each == number and place == len(values) - 1:
                inner = append(inner, path[1:], extra)
            pieces += bytes_field(each, inner)
    return b"".join(pieces)


def hidden(number: int, content: bytes) -> bytes:
    """Return a field whose key is too large by 2**32: some readers cut it to 32 bits."""
    return varint((number << 3 | 2) + 2**32) + varint(len(content)) + content


@pytest.mark.parametrize("place", [(), (7,), (7, 1), (7, 5), (7, 11), (7, 11, 2)])
def test_a_field_that_only_another_reader_sees_is_refused(
    tiny_model: TinyModel, tmp_path: Path, place: tuple[int, ...]
) -> None:
    node = helper.make_node("Loop", [], ["hidden"]).SerializeToString()
    path = tmp_path / "hidden.onnx"
    path.write_bytes(append(tiny_model().SerializeToString(), place, hidden(1, node)))
    with pytest.raises(ManifestError, match="no field number 536870913"):
        open_model_file(path)


def test_what_is_not_known_does_not_reach_a_session(tiny_model: TinyModel, tmp_path: Path) -> None:
    unknown = b"".join(bytes_field(2000, b"secret"))
    path = tmp_path / "unknown.onnx"
    data = tiny_model().SerializeToString()
    for place in ((), (7,), (7, 1), (7, 5), (7, 11)):
        data = append(data, place, unknown)
    path.write_bytes(data)
    file = open_model_file(path)
    assert data.count(b"secret") == 5
    assert b"secret" not in file.to_session()
    assert onnx.load_from_string(file.to_session()).graph == written(tiny_model()).graph


def test_a_file_that_is_of_two_formats_is_run_as_it_was_checked(
    model_path: ModelPath, tmp_path: Path
) -> None:
    path = tmp_path / "polyglot.onnx"
    path.write_bytes(b"".join(bytes_field(2, b"..ORTM")) + model_path().read_bytes())
    assert path.read_bytes()[4:8] == b"ORTM"
    assert Model(path, provider="cpu").verify().passed
