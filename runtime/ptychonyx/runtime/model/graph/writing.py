"""Write what was read of an ONNX file as an ONNX file again.

A session gets these bytes and never those of the file. Whatever another reader would see in the
file besides what ours saw is not in them.
"""

from __future__ import annotations

from collections.abc import Iterable

from .onnx_file import FLOAT, FLOATS, INT, INTS, STRING, Attribute, Node, OnnxFile, Tensor, Value
from .protobuf import bytes_field, float_field, number_field

Pieces = list[bytes | memoryview]


def write_onnx(file: OnnxFile) -> bytes:
    """Return an ONNX file that computes what another does, without its metadata.

    Parameters
    ----------
    file : OnnxFile
        Found safe by `check_safe`.

    Returns
    -------
    bytes
        Equal graphs give equal bytes. Weights are copied once.
    """
    graph: Pieces = [*bytes_field(2, b"ptychonyx")]
    for number, messages in (
        (1, map(_node, file.nodes)),
        (5, map(_tensor, file.tensors)),
        (11, map(_value, file.inputs)),
        (12, map(_value, file.outputs)),
    ):
        for message in messages:
            graph += bytes_field(number, *message)
    model: Pieces = [number_field(1, file.ir_version), *bytes_field(7, *graph)]
    for domain, version in file.opsets.items():
        model += bytes_field(8, *_text(1, domain), number_field(2, version))
    return b"".join(model)


def _node(node: Node) -> Pieces:
    pieces = [*_texts(1, node.inputs), *_texts(2, node.outputs)]
    pieces += [*(_text(3, node.name) if node.name else ()), *_text(4, node.op_type)]
    for attribute in node.attributes:
        pieces += bytes_field(5, *_attribute(attribute))
    return pieces


def _attribute(attribute: Attribute) -> Pieces:
    kind, value = attribute.kind, attribute.value
    pieces: Pieces = [*_text(1, attribute.name), number_field(20, kind)]
    if isinstance(value, bytes):
        if kind == STRING:
            return pieces + bytes_field(4, value)
        number = {FLOAT: 2, FLOATS: 7}[kind]
        return pieces + [
            float_field(number, value[start : start + 4]) for start in range(0, len(value), 4)
        ]
    number = {INT: 3, INTS: 8}[kind]
    return pieces + [number_field(number, each) for each in value]


def _tensor(tensor: Tensor) -> Pieces:
    return [
        *(number_field(1, side) for side in tensor.dims),
        number_field(2, tensor.data_type),
        *_text(8, tensor.name),
        *bytes_field(9, tensor.raw),
    ]


def _value(value: Value) -> Pieces:
    sides: Pieces = []
    for side in value.shape:
        if isinstance(side, int):
            sides += bytes_field(1, number_field(1, side))
        else:
            sides += bytes_field(1, *_text(2, side or ""))
    shape = bytes_field(2, *sides)
    tensor_type = bytes_field(1, number_field(1, value.data_type), *shape)
    return [*_text(1, value.name), *bytes_field(2, *tensor_type)]


def _text(number: int, value: str) -> Pieces:
    return bytes_field(number, value.encode("utf-8"))


def _texts(number: int, values: Iterable[str]) -> Pieces:
    return [piece for value in values for piece in _text(number, value)]
