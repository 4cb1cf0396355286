"""Read the network of a foreign ONNX file: checked, with a dynamic batch and today's operators."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import helper, numpy_helper, version_converter

from ptychonyx.runtime.model.graph import OnnxError, check_safe, check_sizes, parse_onnx
from ptychonyx.runtime.model.graph.onnx_file import FLOAT32, GRAPH, GRAPHS, OnnxFile
from ptychonyx.runtime.model.graph.safety import STANDARD_DOMAINS
from ptychonyx.runtime.model.graph.sizes import results
from ptychonyx.runtime.model.model_file import MAX_NUM_BYTES

from ..graph.assemble import BARE_INPUT, IR_VERSION, OPSET, canonical
from ..graph.plain import plain

TRIED_BATCH = 3
"""Batch that the network is checked with: no usual side of an image, and no usual fixed batch."""


@dataclass(frozen=True, eq=False)
class ForeignNetwork:
    """A network of another project, as it was and as it goes into a model file.

    Attributes
    ----------
    native : bytes
        The graph as it was, with its own operator set and batch: what proofs are computed with.
    graph : GraphProto
        The same with today's operators and a dynamic batch; reads `features`.
    outputs : tuple of str
        Names of the outputs in `graph`, in the order of the file.
    num_channels : tuple of int
        Channels of each output.
    window_px : int
        Side of its input.
    batch : int or None
        Its fixed batch; None if the batch is dynamic.
    digest : str
        sha256 of the file.
    opset, ir_version : int
    producer, producer_version : str
        As the file states them; empty if it does not.
    """

    native: bytes
    graph: onnx.GraphProto
    outputs: tuple[str, ...]
    num_channels: tuple[int, ...]
    window_px: int
    batch: int | None
    digest: str
    opset: int
    ir_version: int
    producer: str
    producer_version: str


def read_foreign(path: Path) -> ForeignNetwork:
    """Read a foreign ONNX file; nothing of it is run before it was found safe.

    Raises
    ------
    ValueError
        If it is too large or no ONNX file, has operators that the runtime does not run, data in
        other files, or an input or outputs that are no square images.
    """
    data = _read_bytes(path)
    try:
        parsed = parse_onnx(data)
        _check_structure(parsed)
        model = onnx.load_model_from_string(data)
        _fold_constants(model)
        window_px, batch = _input_sides(parsed, model)
        graph, outputs = _modern(model)
        num_channels = _check_graph(graph, outputs, window_px)
    except OnnxError as error:
        raise ValueError(
            f"{path} cannot be imported: {error}. Needed is one plain network from an image "
            "(batch, 1, n, n) to images; export it again without that."
        ) from error
    return ForeignNetwork(
        native=_native(model),
        graph=graph,
        outputs=outputs,
        num_channels=num_channels,
        window_px=window_px,
        batch=batch,
        digest=hashlib.sha256(data).hexdigest(),
        opset=max(model.opset_import, key=lambda each: each.version).version,
        ir_version=parsed.ir_version,
        producer=model.producer_name,
        producer_version=model.producer_version,
    )


def _read_bytes(path: Path) -> bytes:
    if not path.is_file() or not 0 < path.stat().st_size <= MAX_NUM_BYTES:
        raise ValueError(
            f"{path} is no file of 1 to {MAX_NUM_BYTES} bytes; give an ONNX file of that size."
        )
    return path.read_bytes()


def _check_structure(file: OnnxFile) -> None:
    """Refuse what the onnx package must not see: other files, graphs in graphs, foreign operators."""
    if file.extras:
        raise OnnxError(f"it has {' and '.join(file.extras)}")
    foreign = {*file.opsets, *(node.domain for node in file.nodes)} - set(STANDARD_DOMAINS)
    if foreign:
        raise OnnxError(f"it uses operators outside the ONNX standard ({sorted(foreign)[0][:40]})")
    for tensor in file.tensors:
        if tensor.is_external:
            raise OnnxError(f"it keeps the data of `{tensor.name[:40]}` in another file")
    for node in file.nodes:
        if any(each.kind in (GRAPH, GRAPHS) for each in node.attributes):
            raise OnnxError(f"its operator {node.op_type[:40]} has a graph of its own")


def _fold_constants(model: onnx.ModelProto) -> None:
    """Keep constants as such, which some exporters write as operators without an input."""
    kept = []
    for node in model.graph.node:
        if node.op_type != "Constant":
            kept.append(node)
            continue
        values = [each.t for each in node.attribute if each.name == "value"]
        if len(values) != 1 or values[0].external_data or values[0].data_location:
            raise OnnxError(f"its constant `{node.output[0][:40]}` is no array within the file")
        array = numpy_helper.to_array(values[0])
        model.graph.initializer.append(numpy_helper.from_array(array, node.output[0]))
    del model.graph.node[:]
    model.graph.node.extend(kept)
    del model.graph.value_info[:]


def _native(model: onnx.ModelProto) -> bytes:
    """Return a graph as it is, in a version of the file format that onnxruntime reads."""
    native = onnx.ModelProto()
    native.CopyFrom(model)
    native.ir_version = min(model.ir_version, IR_VERSION)
    return native.SerializeToString()


def _input_sides(file: OnnxFile, model: onnx.ModelProto) -> tuple[int, int | None]:
    """Return side and fixed batch of the only input; old files list their constants as inputs."""
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in file.inputs if value.name not in constants]
    shapes = [value.shape for value in inputs]
    if len(inputs) == 1 and inputs[0].data_type == FLOAT32 and len(shapes[0]) == 4:
        batch, channels, height, width = shapes[0]
        if channels == 1 and isinstance(height, int) and height == width and height > 0:
            return height, batch if isinstance(batch, int) and batch > 0 else None
    raise OnnxError(f"its inputs have shapes {shapes}, not one (batch, 1, n, n) of float32")


def _modern(model: onnx.ModelProto) -> tuple[onnx.GraphProto, tuple[str, ...]]:
    """Return the graph with today's operators and plain names, and the names of its outputs."""
    constants = {tensor.name for tensor in model.graph.initializer}
    source = next(each for each in model.graph.input if each.name not in constants)
    dynamic = onnx.ModelProto()
    dynamic.CopyFrom(model)
    kept = helper.make_tensor_value_info(
        source.name,
        FLOAT32,
        ["batch", *(side.dim_value for side in source.type.tensor_type.shape.dim[1:])],
    )
    del dynamic.graph.input[:]
    dynamic.graph.input.append(kept)
    dynamic.ir_version = max(dynamic.ir_version, 4)  # constants need not be inputs from 4 on
    for output in dynamic.graph.output:
        output.type.tensor_type.ClearField("shape")
    try:
        converted = version_converter.convert_version(dynamic, OPSET).graph
    except RuntimeError as error:
        raise OnnxError(f"its operators could not be converted ({str(error)[:200]})") from error
    names = {source.name: BARE_INPUT}
    names |= {each.name: f"foreign_{place}" for place, each in enumerate(converted.output)}

    def renamed(name: str) -> str:
        """Return our name of a tensor: theirs may be one of ours, and gets a sign before it."""
        return names.get(name, name and f"/{name}")

    for node in converted.node:
        node.input[:] = map(renamed, node.input)
        node.output[:] = map(renamed, node.output)
    for tensor in converted.initializer:
        tensor.name = renamed(tensor.name)
    outputs = tuple(names[each.name] for each in converted.output)
    return canonical(plain(converted, OPSET), outputs), outputs


def _check_graph(
    graph: onnx.GraphProto, outputs: tuple[str, ...], window_px: int
) -> tuple[int, ...]:
    """Refuse a graph that the runtime would; return the channels of each output."""
    shape = (TRIED_BATCH, 1, window_px, window_px)
    whole = helper.make_graph(
        graph.node,
        "foreign",
        [helper.make_tensor_value_info(BARE_INPUT, FLOAT32, shape)],
        [helper.make_tensor_value_info(name, FLOAT32, None) for name in outputs],
        initializer=graph.initializer,
    )
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(whole, opset_imports=opsets, ir_version=IR_VERSION)
    file = parse_onnx(model.SerializeToString())
    check_safe(file)
    check_sizes(file, {BARE_INPUT: shape})
    found = {node.outputs[0]: sides for node, sides in results(file, {BARE_INPUT: shape})}
    shapes = [found.get(name, ()) for name in outputs]
    for each in shapes:
        if len(each) != 4 or each[0] != TRIED_BATCH or each[2:] != shape[2:]:
            raise OnnxError(
                f"from {shape} it makes outputs of shapes {shapes}, not (batch, channels, n, n): "
                "its batch or another side is fixed within it"
            )
    return tuple(each[1] for each in shapes)
