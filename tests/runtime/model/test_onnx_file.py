"""An ONNX file is read without running it, and what could do harm is refused."""

from __future__ import annotations

import pytest
from model_files import TinyModel

from ptychonyx.runtime.model.onnx_file import OnnxError, parse_onnx

onnx = pytest.importorskip("onnx", reason="model files are built with the onnx package")
helper, TensorProto = onnx.helper, onnx.TensorProto


def test_the_reader_sees_what_the_onnx_package_sees(tiny_model: TinyModel) -> None:
    model = tiny_model()
    file = parse_onnx(model.SerializeToString())
    assert file.ir_version == model.ir_version
    assert file.opsets == {"": 18}
    assert file.metadata == {entry.key: entry.value for entry in model.metadata_props}
    assert {tensor.name: tensor.dims for tensor in file.tensors} == {
        tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer
    }
    assert [value.shape for value in file.inputs] == [("batch", 1, 8, 8), (1,)]
    assert [value.name for value in file.outputs] == ["object_patches"]
    assert file.num_nodes == len(model.graph.node)


def test_sizes_of_string_tensors_and_packed_dims_are_read() -> None:
    tensor = helper.make_tensor("text", TensorProto.STRING, [2], [b"a", b"b"])
    graph = helper.make_graph([], "g", [], [], initializer=[tensor])
    file = parse_onnx(helper.make_model(graph).SerializeToString())
    assert [(each.name, each.dims) for each in file.tensors] == [("text", (2,))]


def test_very_deep_nesting_is_refused_without_recursion_errors() -> None:
    data = b""
    for _ in range(200):  # graph > node > attribute > graph > ...
        for tag in (0x32, 0x2A, 0x0A):
            data = bytes([tag]) + _varint(len(data)) + data
    model = b"\x08\x0a\x3a" + _varint(len(data)) + data
    with pytest.raises(OnnxError, match="nested"):
        parse_onnx(model)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
