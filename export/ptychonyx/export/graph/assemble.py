"""One graph for both backends: canonical names, the common head and tail, the manifest."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ptychonyx.runtime.model.manifest import METADATA_KEY, Manifest
from ptychonyx.training.network.weights import Weights

from .backprojection import backprojection_nodes
from .reduce import reduce_operations

OPSET = 18
"""The newest that tf2onnx writes."""
IR_VERSION = 10
"""onnxruntime 1.20 and later read it."""
SCALED, BARE_INPUT = "scaled_amplitude", "features"
BARE_OUTPUTS = ("modulus", "phase")
INPUT, SCALE, OUTPUT = "amplitude", "scale", "object_patches"


def assemble(bare: onnx.ModelProto, manifest: Manifest, weights: Weights) -> onnx.ModelProto:
    """Turn a bare network into a model file.

    In front: amplitude · scale, and the back-projection if the network sees one. Behind: A·cos φ
    and A·sin φ as the last axis. Between, only what the central M×M needs, in as few operations as
    `reduce` knows. Names are canonical and exporters' notes are removed, so that the same run gives
    the same bytes and no path of the exporting machine leaks.

    Parameters
    ----------
    bare : ModelProto
        `features` (batch, features, N, N) in, `modulus` and `phase` (batch, C, N, N) out.
    manifest : Manifest
        Says N, C and M, and is written into the model.
    weights : mapping of str to float32 array
        Hold the constants of a back-projection.

    Returns
    -------
    ModelProto
        Checked by `onnx.checker`.
    """
    window_px, patch_px = manifest.window_px, manifest.patch_px
    front, front_constants = backprojection_nodes(SCALED, BARE_INPUT, weights)
    graph = canonical(
        reduce_operations(
            canonical(bare.graph),
            num_channels=manifest.num_channels,
            window_px=window_px,
            patch_px=patch_px,
        )
    )
    whole = helper.make_graph(
        [
            helper.make_node("Mul", [INPUT, SCALE], [SCALED if front else BARE_INPUT]),
            *front,
            *graph.node,
            *_tail(),
        ],
        "ptychonyx",
        [
            _value(INPUT, ["batch", manifest.num_channels, window_px, window_px]),
            _value(SCALE, [1]),
        ],
        [_value(OUTPUT, ["batch", manifest.num_channels, patch_px, patch_px, 2])],
        initializer=[*front_constants, *graph.initializer, _last_axis()],
    )
    return _described(whole, manifest)


def with_manifest(
    parent: onnx.ModelProto, graph: onnx.GraphProto, manifest: Manifest
) -> onnx.ModelProto:
    """Return a model of the parent's inputs and outputs with another graph between them."""
    between = helper.make_graph(
        graph.node,
        parent.graph.name,
        parent.graph.input,
        parent.graph.output,
        initializer=graph.initializer,
    )
    return _described(between, manifest)


def _described(graph: onnx.GraphProto, manifest: Manifest) -> onnx.ModelProto:
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="ptychonyx",
        producer_version=manifest.exporter_version,
        domain="ptychography",
        model_version=1,
        doc_string=f"{manifest.name}: diffraction amplitude to complex object patches. "
        f"Trained with {manifest.backend}. Metadata `{METADATA_KEY}` holds the manifest.",
    )
    helper.set_model_props(model, {METADATA_KEY: manifest.to_json()})
    onnx.checker.check_model(model, full_check=True)
    return model


def canonical(graph: onnx.GraphProto) -> onnx.GraphProto:
    """Rename and reorder a bare graph so that equal networks give equal graphs.

    Nodes come in the order in which a walk from the outputs needs them; tensors are numbered in
    that order; only the bare inputs and outputs keep their names.
    """
    producers = {name: node for node in graph.node for name in node.output}
    constants = {tensor.name: tensor for tensor in graph.initializer}
    ordered: list[onnx.NodeProto] = []
    seen: set[int] = set()

    def visit(name: str) -> None:
        node = producers.get(name)
        if node is None or id(node) in seen:
            return
        seen.add(id(node))
        for source in node.input:
            visit(source)
        ordered.append(node)

    for output in BARE_OUTPUTS:
        visit(output)
    names = {name: name for name in ("", BARE_INPUT, *BARE_OUTPUTS)}
    used: list[onnx.TensorProto] = []
    nodes = []
    for index, node in enumerate(ordered):
        for source in node.input:
            if source in constants and source not in names:
                names[source] = f"constant_{len(used)}"
                array = numpy_helper.to_array(constants[source])
                used.append(numpy_helper.from_array(array, names[source]))
        for place, name in enumerate(node.output):
            names.setdefault(name, f"value_{index}_{place}")
        nodes.append(_renamed(node, names, f"{node.op_type}_{index}"))
    return helper.make_graph(nodes, "bare", [], [], initializer=used)


def _renamed(node: onnx.NodeProto, names: dict[str, str], name: str) -> onnx.NodeProto:
    clean = onnx.NodeProto(op_type=node.op_type, name=name)
    clean.input.extend(names[source] for source in node.input)
    clean.output.extend(names[target] for target in node.output)
    clean.attribute.extend(sorted(node.attribute, key=lambda attribute: attribute.name))
    for attribute in clean.attribute:
        attribute.doc_string = ""
    return clean


def _tail() -> list[onnx.NodeProto]:
    modulus, phase = BARE_OUTPUTS
    return [
        helper.make_node("Cos", [phase], ["cos_phase"]),
        helper.make_node("Sin", [phase], ["sin_phase"]),
        helper.make_node("Mul", [modulus, "cos_phase"], ["real_part"]),
        helper.make_node("Mul", [modulus, "sin_phase"], ["imaginary_part"]),
        helper.make_node("Unsqueeze", ["real_part", "last_axis"], ["real_last"]),
        helper.make_node("Unsqueeze", ["imaginary_part", "last_axis"], ["imaginary_last"]),
        helper.make_node("Concat", ["real_last", "imaginary_last"], [OUTPUT], axis=-1),
    ]


def _last_axis() -> onnx.TensorProto:
    return numpy_helper.from_array(np.array([-1], dtype=np.int64), "last_axis")


def _value(name: str, shape: list[int | str]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
