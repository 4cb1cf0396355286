"""Conversions of a float32 graph to fewer bits: graph in, graph out.

The heads, from the last convolution on, stay in float32 in every precision: they are a hundredth of
the operations and decide about phase and amplitude. Input and output of the graph are float32 too.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from ptychonyx.runtime.model.start import import_onnxruntime

import_onnxruntime()  # comes first, since it forbids telemetry
from onnxruntime.quantization import (  # noqa: E402
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)

INNER_OPS = (
    "AveragePool",
    "Concat",
    "Conv",
    "DepthToSpace",
    "LeakyRelu",
    "MaxPool",
    "Relu",
    "Resize",
    "Slice",
)
"""Operators that are converted, from the first convolution up to the heads."""
PREPARED = "onnx.quant.pre_process"
"""Marks the model as pre-processed, so that onnxruntime's quantiser does not warn; this graph needs
no pre-processing."""

Inputs = Mapping[str, NDArray[np.float32]]
"""Input name of the graph -> one batch."""


def to_int8(model: onnx.ModelProto, batches: Iterable[Inputs]) -> onnx.GraphProto:
    """Quantise the inner nodes to 8 bits.

    Parameters
    ----------
    model : ModelProto
        A float32 model.
    batches : iterable of mapping from str to float32 array
        Inputs of the model. The range that a feature has on them becomes 256 levels; what lies
        outside of it is clipped later. Weights have the levels of their output channel.
    """
    prepared = onnx.ModelProto.FromString(model.SerializeToString())
    helper.set_model_props(prepared, {PREPARED: "onnxruntime.quant"})
    for index, node in enumerate(prepared.graph.node):
        node.name = f"{node.op_type}_{index}"
    inner = {node.name for node in inner_nodes(prepared.graph)}
    with tempfile.TemporaryDirectory() as folder:  # the quantiser writes files only
        quantised = Path(folder) / "quantised.onnx"
        quantize_static(
            prepared,
            quantised,
            _Batches(batches),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=list(INNER_OPS),
            nodes_to_exclude=[node.name for node in prepared.graph.node if node.name not in inner],
            calibrate_method=CalibrationMethod.MinMax,
        )
        return onnx.load(quantised).graph


class _Batches(CalibrationDataReader):
    """Hands batches to onnxruntime's quantiser in the way it asks for them."""

    def __init__(self, batches: Iterable[Inputs]) -> None:
        self._batches = iter(batches)

    def get_next(self) -> Inputs | None:
        """Return the next batch, or None after the last."""
        return next(self._batches, None)


def to_float16(model: onnx.ModelProto, batches: Iterable[Inputs]) -> onnx.GraphProto:
    """Compute the inner nodes in float16; a cast stands where they begin and where they end.

    `onnxruntime.transformers.float16` with the other nodes in its block list puts a cast on each
    side of every blocked node (43 casts instead of 3 in a `cnn`) and leaves nodes in an order that
    `onnx.checker` refuses.
    """
    graph = onnx.GraphProto.FromString(model.graph.SerializeToString())
    inner = inner_nodes(graph)
    made = {node.output[0] for node in inner}
    weights = {name for node in inner if node.op_type == "Conv" for name in node.input[1:]}
    for tensor in graph.initializer:
        if tensor.name in weights:
            _replace(tensor, numpy_helper.to_array(tensor).astype(np.float16))
    casts: dict[tuple[str, int], str] = {}
    nodes: list[onnx.NodeProto] = []

    def cast(name: str, to: int) -> str:
        if (name, to) not in casts:
            casts[name, to] = f"{name}_as_{'half' if to == TensorProto.FLOAT16 else 'float'}"
            nodes.append(helper.make_node("Cast", [name], [casts[name, to]], to=to))
        return casts[name, to]

    for node in graph.node:
        is_inner = node.output[0] in made
        for place, name in enumerate(node.input):
            is_image = place == 0 or node.op_type == "Concat"
            if is_inner and is_image and name not in made:
                node.input[place] = cast(name, TensorProto.FLOAT16)
            elif not is_inner and name in made:
                node.input[place] = cast(name, TensorProto.FLOAT)
        nodes.append(node)
    return helper.make_graph(nodes, graph.name, [], [], initializer=graph.initializer)


def to_bfloat16(model: onnx.ModelProto, batches: Iterable[Inputs]) -> onnx.GraphProto:
    """Store the kernels of the inner nodes in bfloat16.

    Opset 18 has no convolution in bfloat16, so a cast widens each kernel when the model is loaded.
    """
    graph = onnx.GraphProto.FromString(model.graph.SerializeToString())
    kernels = {node.input[1] for node in inner_nodes(graph) if node.op_type == "Conv"}
    widened = []
    for tensor in graph.initializer:
        if tensor.name in kernels:
            name = tensor.name
            tensor.name = f"{name}_bfloat16"
            _replace(tensor, numpy_helper.to_array(tensor).astype(ml_dtypes.bfloat16))
            widened.append(helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT))
    nodes = [*widened, *graph.node]
    return helper.make_graph(nodes, graph.name, [], [], initializer=graph.initializer)


def inner_nodes(graph: onnx.GraphProto) -> list[onnx.NodeProto]:
    """Return the nodes to convert: from the first convolution up to what the heads read."""
    heads = _head_convolutions(graph)
    producers = {name: node for node in graph.node for name in node.output}
    before_heads: set[str] = set()
    waiting = [name for node in graph.node if node.output[0] in heads for name in node.input]
    while waiting:
        name = waiting.pop()
        if name in producers and name not in before_heads:
            before_heads.add(name)
            waiting += producers[name].input
    after_first: set[str] = set()
    for node in graph.node:
        if node.op_type == "Conv" or after_first & set(node.input):
            after_first.add(node.output[0])
    inner = before_heads & after_first
    return [node for node in graph.node if node.output[0] in inner and node.op_type in INNER_OPS]


def _head_convolutions(graph: onnx.GraphProto) -> set[str]:
    """Return the outputs of the convolutions that no other convolution follows."""
    producers = {name: node for node in graph.node for name in node.output}
    found: set[str] = set()
    waiting = [graph.output[0].name]
    while waiting:
        node = producers.get(waiting.pop())
        if node is None:
            continue
        if node.op_type == "Conv":
            found.add(node.output[0])
        else:
            waiting += node.input
    return found


def _replace(tensor: onnx.TensorProto, array: NDArray[Any]) -> None:
    tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))


Convert = Callable[[onnx.ModelProto, Iterable[Inputs]], onnx.GraphProto]
CONVERSIONS: dict[str, Convert] = {
    "float16": to_float16,
    "bfloat16": to_bfloat16,
    "int8": to_int8,
}
"""Precision -> function that returns the graph in it; only int8 reads the batches of inputs."""
