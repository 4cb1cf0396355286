"""Refuse an ONNX file that must not reach a session."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator

import numpy as np

from .onnx_file import (
    DTYPES,
    FLOAT,
    FLOATS,
    GRAPH,
    GRAPHS,
    INT,
    INTS,
    STRING,
    Node,
    OnnxError,
    OnnxFile,
    Tensor,
)

STANDARD_DOMAINS = ("", "ai.onnx")
"""The two names of the standard operator set."""
MAX_RANK = 8
"""Most axes of a tensor; ours have 5."""

OPERATORS: dict[str, frozenset[str]] = {
    "Add": frozenset(),
    "AveragePool": frozenset({"kernel_shape", "pads", "strides", "dilations"}),
    "Cast": frozenset({"to", "saturate"}),
    "Concat": frozenset({"axis"}),
    "Conv": frozenset({"kernel_shape", "pads", "strides", "dilations", "group"}),
    "Cos": frozenset(),
    "DepthToSpace": frozenset({"blocksize", "mode"}),
    "DequantizeLinear": frozenset({"axis"}),
    "Div": frozenset(),
    "Greater": frozenset(),
    "LeakyRelu": frozenset({"alpha"}),
    "Log": frozenset(),
    "MatMul": frozenset(),
    "MaxPool": frozenset({"kernel_shape", "pads", "strides", "dilations"}),
    "Mul": frozenset(),
    "Pad": frozenset({"mode"}),
    "QuantizeLinear": frozenset({"axis", "saturate"}),
    "ReduceSum": frozenset({"keepdims", "noop_with_empty_axes"}),
    "Relu": frozenset(),
    "Reshape": frozenset({"allowzero"}),
    "Resize": frozenset({"mode", "coordinate_transformation_mode", "nearest_mode"}),
    "Sigmoid": frozenset(),
    "Sin": frozenset(),
    "Slice": frozenset(),
    "Softplus": frozenset(),
    "Sub": frozenset(),
    "Tanh": frozenset(),
    "Tile": frozenset(),
    "Unsqueeze": frozenset(),
    "Where": frozenset(),
}
"""Operator that our exporters and importers write, for both kinds and all precisions -> its attributes."""


def check_safe(file: OnnxFile) -> None:
    """Refuse a file that must not reach a session.

    A session would follow external data out of the file, look for foreign operators, run loops that
    never end, and reserve memory for any tensor that is declared.

    Raises
    ------
    OnnxError
        Names the tensor, the operator or the domain.
    """
    for problem in _problems(file):
        raise OnnxError(problem)


def _problems(file: OnnxFile) -> Iterator[str]:
    if file.extras:
        yield f"it has {' and '.join(file.extras)}, but only one plain graph runs everywhere"
    foreign = {*file.opsets, *(node.domain for node in file.nodes)} - set(STANDARD_DOMAINS)
    if foreign:
        yield (
            f"it uses operators outside the ONNX standard ({_shown(*sorted(foreign))}), but only "
            "standard ones run everywhere"
        )
    for tensor in file.tensors:
        yield from _problems_of_tensor(tensor)
    for node in file.nodes:
        yield from _problems_of_node(node)
    names = Counter(
        [
            *(value.name for value in file.inputs),
            *(tensor.name for tensor in file.tensors),
            *(name for node in file.nodes for name in node.outputs if name),
        ]
    )
    yield from (f"it has `{_shown(name)}` twice" for name, num in names.items() if num > 1)


def _problems_of_tensor(tensor: Tensor) -> Iterator[str]:
    name, shape = _shown(tensor.name), list(tensor.dims)[:MAX_RANK]
    if tensor.is_external:
        yield f"it keeps the data of `{name}` in another file, but must be whole"
    if tensor.data_type not in DTYPES:
        yield f"its constant `{name}` has ONNX type {tensor.data_type}, which no model of ours has"
    elif min(tensor.dims, default=0) < 0 or len(tensor.dims) > MAX_RANK:
        yield f"its constant `{name}` has shape {shape}, which nothing can have"
    elif math.prod(tensor.dims) * np.dtype(DTYPES[tensor.data_type]).itemsize != len(tensor.raw):
        yield f"its constant `{name}` has shape {shape}, but {len(tensor.raw)} bytes"


def _problems_of_node(node: Node) -> Iterator[str]:
    where = f"its operator {_shown(node.op_type)} (`{_shown(*node.outputs)}`)"
    if any(each.kind in (GRAPH, GRAPHS) for each in node.attributes):
        yield f"{where} has a graph of its own, as loops and branches have; those are not run"
    if node.op_type not in OPERATORS:
        yield f"{where} is none of those that Ptychonyx exports; only those are run"
        return
    found = [attribute.name for attribute in node.attributes]
    unknown = set(found) - OPERATORS[node.op_type]
    if unknown or len(set(found)) != len(found):
        yield f"{where} has attributes ({_shown(*found)}) that Ptychonyx does not export"
    for attribute in node.attributes:
        if attribute.kind not in (FLOAT, INT, STRING, FLOATS, INTS):
            yield f"{where} has an attribute `{_shown(attribute.name)}` of type {attribute.kind}"
        num_bytes = len(attribute.value)
        if (attribute.kind == FLOAT and num_bytes != 4) or (
            attribute.kind == FLOATS and num_bytes % 4
        ):
            yield f"{where} has a damaged attribute `{_shown(attribute.name)}`"


def _shown(*names: str) -> str:
    """Return names as a message may show them: short, and without control characters."""
    text = ", ".join(name[:40] for name in names[:4])
    return "".join(letter if letter.isprintable() else "?" for letter in text)
