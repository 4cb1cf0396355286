"""An ONNX file is read without running it, and what could do harm is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from model_files import TinyModel

from ptychonyx.runtime.model.graph import OnnxError, check_safe, parse_onnx

onnx = pytest.importorskip("onnx", reason="model files are built with the onnx package")
helper, TensorProto = onnx.helper, onnx.TensorProto


def test_the_reader_sees_what_the_onnx_package_sees(tiny_model: TinyModel) -> None:
    model = tiny_model()
    file = parse_onnx(model.SerializeToString())
    assert file.ir_version == model.ir_version
    assert file.opsets == {"": 18}
    metadata = {key: bytes(value).decode() for key, value in file.metadata.items()}
    assert metadata == {entry.key: entry.value for entry in model.metadata_props}
    assert {tensor.name: tensor.dims for tensor in file.tensors} == {
        tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer
    }
    assert [value.shape for value in file.inputs] == [("batch", 1, 8, 8), (1,)]
    assert [value.name for value in file.outputs] == ["object_patches"]
    assert [node.op_type for node in file.nodes] == [node.op_type for node in model.graph.node]


def test_sizes_of_string_tensors_and_packed_dims_are_read() -> None:
    tensor = helper.make_tensor("text", TensorProto.STRING, [2], [b"a", b"b"])
    graph = helper.make_graph([], "g", [], [], initializer=[tensor])
    file = parse_onnx(helper.make_model(graph).SerializeToString())
    assert [(each.name, each.dims) for each in file.tensors] == [("text", (2,))]


def long_row(graph: Any) -> None:
    data = list(range(2**20))
    graph.initializer.append(helper.make_tensor("row", TensorProto.INT32, [len(data)], data))


def many_sides(graph: Any) -> None:
    graph.initializer.append(TensorProto(name="deep", data_type=1, dims=[1] * 1000))


def many_operators(graph: Any) -> None:
    graph.node.extend([helper.make_node("Relu", ["a"], ["b"])] * 10_001)


def long_operators(graph: Any) -> None:
    graph.node.append(helper.make_node("Relu", ["a" * 2**22], ["b"]))


def many_settings(graph: Any) -> None:
    graph.node.append(helper.make_node("Relu", ["a"], ["b"], **{f"a{i}": i for i in range(200)}))


def many_numbers(graph: Any) -> None:
    graph.node.append(helper.make_node("Conv", ["a"], ["b"], pads=[1] * 1000))


def many_inputs(graph: Any) -> None:
    graph.input.extend([helper.make_tensor_value_info("a", 1, [1])] * 100)


@pytest.mark.parametrize(
    ("swell", "match"),
    [
        (long_row, "single numbers"),
        (many_sides, "more than 64 numbers|more than 128 fields"),
        (many_operators, "10001 operators"),
        (long_operators, "1 operators in"),
        (many_settings, "more than 128 fields"),
        (many_numbers, "more than 64"),
        (many_inputs, "100 inputs"),
    ],
)
def test_what_would_take_long_to_read_is_refused(swell: Callable[[Any], None], match: str) -> None:
    graph = helper.make_graph([], "g", [], [])
    swell(graph)
    with pytest.raises(OnnxError, match=match):
        parse_onnx(helper.make_model(graph).SerializeToString())


def test_very_deep_nesting_is_refused_without_recursion_errors() -> None:
    data = b""
    for _ in range(200):  # graph > node > attribute > graph > ...
        for tag in (0x32, 0x2A, 0x0A):
            data = bytes([tag]) + _varint(len(data)) + data
    model = b"\x08\x0a\x3a" + _varint(len(data)) + data
    file = parse_onnx(model)  # only the first of them is looked into
    with pytest.raises(OnnxError, match="a graph of its own"):
        check_safe(file)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
