"""Look inside an ONNX file without running it, so that a file that cannot be trusted never is.

An ONNX file is one protobuf message; a few of its fields are enough to judge it and to write it again.
Field numbers are from onnx.proto3. Fields that say nothing about what is computed (documentation, names
of producers, shapes of intermediate results) are passed over, and so is what is not known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .protobuf import Message, WireError, integer, integers, last_part, parts, split_message, text

FLOAT32 = 1
"""Number of float32 among the data types of ONNX (TensorProto.FLOAT)."""
DTYPES: dict[int, str] = {
    FLOAT32: "<f4",
    2: "|u1",
    3: "|i1",
    6: "<i4",
    7: "<i8",
    9: "|u1",
    10: "<u2",
    16: "<u2",
}
"""Data type of the constants in our files -> NumPy's; of bool, float16 and bfloat16 the bits."""
FLOAT_DATA, RAW_DATA, WHOLE_ROWS = 4, 9, (5, 7)
"""Fields of a tensor that keep its elements: as float32, as bytes, or in any row of numbers."""
MAX_ROW_BYTES = 2**20
"""Most bytes of all rows of whole numbers, which are read one by one; exporters write only few so."""
MAX_NODES, MAX_NODE_BYTES = 10_000, 2**22
"""Most operators, and bytes of all of them; ours have about 150, in 20 kB."""
MAX_IN_NODE, MAX_IN_ATTRIBUTE, MAX_IN_TENSOR, MAX_IN_ENTRY = 128, 64, 128, 8
"""Most fields of an operator, of one of its settings, of a constant, and of an entry of metadata."""
MAX_VALUES = 16
"""Most inputs or outputs of a graph; ours has 2."""
MAX_NUMBERS = 64
"""Most numbers of an attribute, and most sides of a tensor."""

Shape = tuple[int | str | None, ...]


class OnnxError(ValueError):
    """A file is not an ONNX file, or must not reach a session.

    The message completes a sentence that names the file: "it keeps the data of `weight` in another
    file".
    """


@dataclass(frozen=True)
class Tensor:
    """A constant stored in the file.

    Attributes
    ----------
    name : str
    dims : tuple of int
    data_type : int
        Number among the data types of ONNX.
    is_external : bool
        Whether its data lie in another file.
    raw : memoryview
        Its elements, little-endian, in whichever of its ways the file keeps them.
    """

    name: str
    dims: tuple[int, ...]
    data_type: int
    is_external: bool
    raw: memoryview


FLOAT, INT, STRING, GRAPH, FLOATS, INTS, GRAPHS = 1, 2, 3, 5, 6, 7, 10
"""Types of an attribute (AttributeProto)."""


@dataclass(frozen=True)
class Attribute:
    """A setting of an operator.

    Attributes
    ----------
    name : str
    kind : int
        Type of an attribute, as above.
    value : bytes or tuple of int
        Bytes of a text or of float32 numbers, or whole numbers.
    """

    name: str
    kind: int
    value: bytes | tuple[int, ...]


@dataclass(frozen=True)
class Node:
    """An operator of the graph."""

    op_type: str
    domain: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: tuple[Attribute, ...]


@dataclass(frozen=True)
class Value:
    """An input or output of the graph; a dynamic side has its name (or None) in `shape`."""

    name: str
    data_type: int
    shape: Shape


@dataclass(frozen=True)
class OnnxFile:
    """What an ONNX file computes, and the metadata that travel with it.

    Attributes
    ----------
    num_bytes : int
        Size of the file.
    ir_version : int
        Version of the file format.
    opsets : mapping of domain to version
        Operator sets that the file asks for.
    metadata : mapping of key to bytes
        Free text that travels with the model; the manifest is one of its entries.
    nodes : tuple of Node
        Operators, in the order of the file.
    tensors : tuple of Tensor
        Constants of the graph.
    inputs, outputs : tuple of Value
        Inputs and outputs of the graph.
    extras : tuple of str
        What the file has besides one plain graph: functions, training, sparse tensors.
    """

    num_bytes: int
    ir_version: int
    opsets: Mapping[str, int]
    metadata: Mapping[str, memoryview]
    nodes: tuple[Node, ...]
    tensors: tuple[Tensor, ...]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    extras: tuple[str, ...]


def parse_onnx(data: bytes) -> OnnxFile:
    """Read the graph and the metadata of an ONNX file, without a copy of its weights.

    Parameters
    ----------
    data : bytes
        The whole file.

    Raises
    ------
    OnnxError
        If it is no ONNX file, or only a part of one.

    Examples
    --------
    >>> parse_onnx(b"a text")
    Traceback (most recent call last):
    ...
    ptychonyx.runtime.model.graph.onnx_file.OnnxError: it is not an ONNX file, or is damaged or cut \
short (a field ends beyond the data)
    """
    try:
        return _parse(memoryview(data))
    except WireError as error:
        raise OnnxError(f"it is not an ONNX file, or is damaged or cut short ({error})") from error


def _parse(data: memoryview) -> OnnxFile:
    model = split_message(data)
    graphs = parts(model, 7)
    if not graphs or not model.get(1):
        raise WireError("it has no graph or no IR version")
    if len(graphs) > 1:
        raise WireError("it has several graphs")
    graph = split_message(graphs[0])
    found = (("functions", model, 25), ("training", model, 20), ("sparse tensors", graph, 15))
    return OnnxFile(
        num_bytes=len(data),
        ir_version=integer(model, 1),
        opsets=_opsets(model),
        metadata=_metadata(model),
        nodes=_nodes(parts(graph, 1)),
        tensors=_tensors(parts(graph, 5)),
        inputs=_values(parts(graph, 11)),
        outputs=_values(parts(graph, 12)),
        extras=tuple(name for name, message, number in found if number in message),
    )


def _nodes(found: list[memoryview]) -> tuple[Node, ...]:
    num_bytes = sum(map(len, found))
    if len(found) > MAX_NODES or num_bytes > MAX_NODE_BYTES:
        raise WireError(f"it has {len(found)} operators in {num_bytes} bytes, far more than ours")
    return tuple(map(_node, found))


def _tensors(found: list[memoryview]) -> tuple[Tensor, ...]:
    messages = [split_message(part, most=MAX_IN_TENSOR) for part in found]
    rows = (len(part) for message in messages for row in WHOLE_ROWS for part in parts(message, row))
    if sum(rows) > MAX_ROW_BYTES:
        raise WireError("its constants keep many elements as single numbers")
    return tuple(map(_tensor, messages))


def _node(data: memoryview) -> Node:
    message = split_message(data, most=MAX_IN_NODE)
    return Node(
        op_type=text(message, 4),
        domain=text(message, 7),
        name=text(message, 3),
        inputs=_texts(message, 1),
        outputs=_texts(message, 2),
        attributes=tuple(_attribute(part) for part in parts(message, 5)),
    )


def _attribute(data: memoryview) -> Attribute:
    message = split_message(data, most=MAX_IN_ATTRIBUTE)
    kind = integer(message, 20)
    # a graph counts whatever type is stated: readers differ on which one they believe
    for number, graph in ((6, GRAPH), (11, GRAPHS)):
        kind = graph if number in message else kind
    value: bytes | tuple[int, ...] = b""
    if kind in (INT, INTS):
        value = (integer(message, 3),) if kind == INT else integers(message, 8, most=MAX_NUMBERS)
    elif kind in (FLOAT, STRING, FLOATS):
        # of a row of floats, each may stand alone, or all together
        number = {FLOAT: 2, STRING: 4, FLOATS: 7}[kind]
        value = (
            b"".join(parts(message, number))
            if kind == FLOATS
            else bytes(last_part(message, number))
        )
    return Attribute(text(message, 1), kind, value)


def _tensor(message: Message) -> Tensor:
    # either sign of external data counts: readers differ on which one they believe
    is_external = 13 in message or any(location != 0 for location in message.get(14, []))
    return Tensor(
        name=text(message, 8),
        dims=integers(message, 1, most=MAX_NUMBERS),
        data_type=integer(message, 2),
        is_external=is_external,
        raw=_elements(message),
    )


def _elements(message: Message) -> memoryview:
    """Return the elements of a tensor, from the one field that keeps them."""
    found = [number for number in (FLOAT_DATA, *WHOLE_ROWS, RAW_DATA) if number in message]
    if len(found) > 1:
        raise WireError("a tensor keeps its elements twice")
    if found in ([], [RAW_DATA]):
        return last_part(message, RAW_DATA)
    (number,) = found
    if number == FLOAT_DATA:
        return memoryview(b"".join(parts(message, number)))
    dtype = DTYPES.get(integer(message, 2))
    if dtype is None:
        return memoryview(b"")
    values = np.array(integers(message, number, most=MAX_ROW_BYTES), np.int64).astype(dtype)
    return memoryview(values.tobytes())


def _values(found: list[memoryview]) -> tuple[Value, ...]:
    if len(found) > MAX_VALUES:
        raise WireError(f"it has {len(found)} inputs or outputs")
    return tuple(map(_value, found))


def _value(data: memoryview) -> Value:
    message = split_message(data)
    tensor_type = split_message(last_part(split_message(last_part(message, 2)), 1))
    shape: list[int | str | None] = []
    for part in parts(split_message(last_part(tensor_type, 2)), 1):
        side = split_message(part)
        shape.append(integer(side, 1) if 1 in side else text(side, 2) or None)
    return Value(text(message, 1), integer(tensor_type, 1), tuple(shape))


def _opsets(model: Message) -> dict[str, int]:
    found = [split_message(part, most=MAX_IN_ENTRY) for part in parts(model, 8)]
    opsets = {text(opset, 1): integer(opset, 2) for opset in found}
    if len(opsets) != len(found):
        raise WireError("an operator set comes twice")
    return opsets


def _metadata(model: Message) -> dict[str, memoryview]:
    metadata: dict[str, memoryview] = {}
    for part in parts(model, 14):
        entry = split_message(part, most=MAX_IN_ENTRY)
        key = text(entry, 1)
        if key in metadata:
            raise WireError(f"metadata {key[:80]!r} comes twice")
        metadata[key] = last_part(entry, 2)
    return metadata


def _texts(message: Message, number: int) -> tuple[str, ...]:
    try:
        return tuple(str(part, "utf-8") for part in parts(message, number))
    except UnicodeDecodeError as error:
        raise WireError(f"field {number} is not text") from error
