"""Look inside an ONNX file without running it, so that a file that cannot be trusted never is.

An ONNX file is one protobuf message; a few of its fields are enough to judge it. Field numbers are
from onnx.proto3.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .protobuf import Message, WireError, integer, integers, last_part, parts, split_message, text

FLOAT32 = 1
"""Number of float32 among the data types of ONNX (TensorProto.FLOAT)."""
STANDARD_DOMAINS = ("", "ai.onnx")
"""The two names of the standard operator set."""
MAX_DEPTH = 32
"""Deepest nesting of messages that is read; protobuf itself stops at 100, our graphs need 6."""
MAX_ELEMENTS_PER_BYTE = 4
"""The narrowest tensor type has 2 bits an element."""

Shape = tuple[int | str | None, ...]


class OnnxError(ValueError):
    """A file is not an ONNX file, or must not reach a session.

    The message completes a sentence that names the file: "it keeps the data of `weight` in another
    file".
    """


@dataclass(frozen=True)
class Tensor:
    """A constant stored in the file: an initialiser, or an attribute of a node."""

    name: str
    dims: tuple[int, ...]
    data_type: int
    is_external: bool


@dataclass(frozen=True)
class Value:
    """An input or output of the graph; a dynamic side has its name (or None) in `shape`."""

    name: str
    data_type: int
    shape: Shape


@dataclass(frozen=True)
class OnnxFile:
    """Everything that can be known about an ONNX file without running it.

    Attributes
    ----------
    num_bytes : int
        Size of the file.
    ir_version : int
        Version of the file format.
    num_nodes, num_functions : int
        Operators in all graphs, and functions that the file defines itself.
    opsets : mapping of domain to version
        Operator sets that the file asks for.
    metadata : mapping of key to text
        Free text that travels with the model; the manifest is one of its entries.
    inputs, outputs : tuple of Value
        Inputs and outputs of the main graph.
    tensors : tuple of Tensor
        Constants of all graphs, including subgraphs, attributes and functions.
    node_domains : frozenset of str
        Domains of the operators in all graphs.
    """

    num_bytes: int
    ir_version: int
    num_nodes: int
    num_functions: int
    opsets: Mapping[str, int]
    metadata: Mapping[str, str]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    tensors: tuple[Tensor, ...]
    node_domains: frozenset[str]


def parse_onnx(data: bytes) -> OnnxFile:
    """Read names, shapes, types, domains and metadata of an ONNX file, but no weights.

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
    ptychonyx.runtime.model.onnx_file.OnnxError: it is not an ONNX file, or is damaged or cut short \
(a field ends beyond the data)
    """
    try:
        return _parse(memoryview(data))
    except WireError as error:
        raise OnnxError(f"it is not an ONNX file, or is damaged or cut short ({error})") from error


def check_safe(file: OnnxFile) -> None:
    """Refuse a file that must not reach a session.

    A session would follow external data out of the file, look for foreign operators, and reserve
    memory for any tensor that is declared.

    Raises
    ------
    OnnxError
        Names the tensor or the domain.
    """
    for tensor in file.tensors:
        if tensor.is_external:
            raise OnnxError(
                f"it keeps the data of `{tensor.name}` in another file, but must be whole"
            )
        num_elements = math.prod(tensor.dims)
        if min(tensor.dims, default=0) < 0 or num_elements > MAX_ELEMENTS_PER_BYTE * file.num_bytes:
            raise OnnxError(
                f"it declares `{tensor.name}` with shape {list(tensor.dims)[:8]}, which cannot be "
                f"in a file of {file.num_bytes} bytes"
            )
    foreign = sorted((set(file.opsets) | file.node_domains) - set(STANDARD_DOMAINS))
    if foreign or file.num_functions:
        raise OnnxError(
            "it uses operators outside the ONNX standard "
            f"({', '.join(foreign) or 'local functions'}), but only standard ones run everywhere"
        )


_CHILDREN: dict[str, dict[int, str]] = {
    "model": {7: "graph", 8: "opset", 14: "entry", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "function": {7: "node", 9: "opset", 11: "attribute"},
    "tensor": {},
    "opset": {},
    "entry": {},
}
"""Kind of message -> field number -> kind of the messages in that field."""

_SINGLE = {("model", 7), ("attribute", 5), ("attribute", 6), ("attribute", 22)} | {
    ("sparse", 1),
    ("sparse", 2),
}
"""Fields that protobuf would merge if they came twice; no exporter does that, so it is refused."""


def _parse(data: memoryview) -> OnnxFile:
    model = split_message(data)
    if 7 not in model or not model.get(1):
        raise WireError("it has no graph or no IR version")
    found: dict[str, list[Message]] = {kind: [] for kind in _CHILDREN}
    for kind, message in _walk("model", data, 0):
        found[kind].append(message)
    graph = split_message(last_part(model, 7))
    return OnnxFile(
        num_bytes=len(data),
        ir_version=integer(model, 1),
        num_nodes=len(found["node"]),
        num_functions=len(found["function"]),
        opsets={text(opset, 1): integer(opset, 2) for opset in found["opset"]},
        metadata=_metadata(found["entry"]),
        inputs=tuple(_value(part) for part in parts(graph, 11)),
        outputs=tuple(_value(part) for part in parts(graph, 12)),
        tensors=tuple(_tensor(message) for message in found["tensor"]),
        node_domains=frozenset(text(node, 7) for node in found["node"]),
    )


def _walk(kind: str, data: memoryview, depth: int) -> Iterator[tuple[str, Message]]:
    if depth > MAX_DEPTH:
        raise WireError(f"graphs are nested more than {MAX_DEPTH} deep")
    message = split_message(data)
    yield kind, message
    for number, child in _CHILDREN[kind].items():
        children = parts(message, number)
        if len(children) > 1 and (kind, number) in _SINGLE:
            raise WireError(f"field {number} of a {kind} comes twice")
        for part in children:
            yield from _walk(child, part, depth + 1)


def _tensor(message: Message) -> Tensor:
    # either sign of external data counts: readers differ on which one they believe
    is_external = 13 in message or any(location != 0 for location in message.get(14, []))
    return Tensor(text(message, 8), integers(message, 1), integer(message, 2), is_external)


def _value(data: memoryview) -> Value:
    message = split_message(data)
    tensor_type = split_message(last_part(split_message(last_part(message, 2)), 1))
    shape: list[int | str | None] = []
    for part in parts(split_message(last_part(tensor_type, 2)), 1):
        side = split_message(part)
        shape.append(integer(side, 1) if 1 in side else text(side, 2) or None)
    return Value(text(message, 1), integer(tensor_type, 1), tuple(shape))


def _metadata(entries: list[Message]) -> dict[str, str]:
    metadata: dict[str, str] = {}
    for entry in entries:
        key = text(entry, 1)
        if key in metadata:
            raise WireError(f"metadata {key!r} comes twice")
        metadata[key] = text(entry, 2)
    return metadata
