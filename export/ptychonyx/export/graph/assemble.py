"""Assemble the whole graph, alike for both backends: input, network, output, manifest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ptychonyx.runtime.model.graph.building import IR_VERSION as IR_VERSION
from ptychonyx.runtime.model.graph.building import OPSET as OPSET
from ptychonyx.runtime.model.manifest import (
    INPUT_NAMES,
    METADATA_KEY,
    OUTPUT_NAME,
    Manifest,
    ModelFacts,
    SolverManifest,
    to_metadata,
)
from ptychonyx.training.network.weights import Weights

from .backprojection import backprojection_nodes
from .plain import plain
from .reduce import reduce_operations

SCALED, BARE_INPUT = "scaled_amplitude", "features"
BARE_OUTPUTS = ("modulus", "phase")
INPUT, SCALE = INPUT_NAMES


def assemble(bare: onnx.ModelProto, manifest: Manifest, weights: Weights) -> onnx.ModelProto:
    """Turn a bare network into a model file.

    Before the network, the amplitude is multiplied by the scale, and back-projected if the network
    reads a back-projection. After it, modulus A and phase φ become A·cos φ and A·sin φ on a new last
    axis. The network itself is reduced to the operations that the central M×M needs. Names are
    canonical and the exporter's notes are removed, so that the same run gives the same bytes and no
    path of the exporting machine leaks.

    Parameters
    ----------
    bare : ModelProto
        `features` (batch, features, N, N) in, `modulus` and `phase` (batch, C, N, N) out.
    manifest : Manifest
        Gives N, C and M, and is written into the model.
    weights : mapping of str to float32 array
        Weights of the network; the constants of a back-projection are among them.

    Returns
    -------
    ModelProto
        Checked by `onnx.checker`.
    """
    front, front_constants = backprojection_nodes(SCALED, BARE_INPUT, weights)
    graph = canonical(
        reduce_operations(
            canonical(bare.graph),
            num_channels=manifest.num_channels,
            window_px=manifest.window_px,
            patch_px=manifest.patch_px,
        )
    )
    nodes = [
        helper.make_node("Mul", [INPUT, SCALE], [SCALED if front else BARE_INPUT]),
        *front,
        *graph.node,
        *_tail(),
    ]
    return whole_model(nodes, [*front_constants, *graph.initializer, _last_axis()], manifest)


def assemble_solver(bare: onnx.ModelProto, manifest: SolverManifest) -> onnx.ModelProto:
    """Turn the bare network of a solver into a model file.

    The graph is the network alone, written plainly and with canonical names, so that equal weights
    give the same bytes from either backend.

    Parameters
    ----------
    bare : ModelProto
        `features` (1, features, H, W) in, `change` (1, 2, H, W) out.
    manifest : SolverManifest
        Is written into the model.

    Returns
    -------
    ModelProto
        Checked by `onnx.checker`.
    """
    graph = canonical(plain(bare.graph, OPSET), [*manifest.outputs])
    return whole_model([*graph.node], [*graph.initializer], manifest)


def whole_model(
    nodes: list[onnx.NodeProto], constants: list[onnx.TensorProto], manifest: ModelFacts
) -> onnx.ModelProto:
    """Return the model of a graph with the inputs and outputs that a manifest promises."""
    whole = helper.make_graph(
        nodes,
        "ptychonyx",
        [_value(name, shape) for name, shape in manifest.inputs.items()],
        [_value(name, shape) for name, shape in manifest.outputs.items()],
        initializer=constants,
    )
    model = helper.make_model(
        whole,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="ptychonyx",
        domain="ptychography",
        model_version=1,
    )
    onnx.checker.check_model(model, full_check=True)
    return with_manifest(model, manifest)


def with_manifest(model: onnx.ModelProto, manifest: ModelFacts) -> onnx.ModelProto:
    """Return a copy of a model that carries another manifest; its graph stays as it is."""
    described = onnx.ModelProto()
    described.CopyFrom(model)
    described.producer_version = manifest.exporter_version
    described.doc_string = (
        f"{manifest.name}: {manifest.PURPOSE}. "
        f"Trained with {manifest.backend}. Metadata `{METADATA_KEY}` holds the manifest."
    )
    helper.set_model_props(described, to_metadata(manifest))
    return described


def with_graph(model: onnx.ModelProto, graph: onnx.GraphProto) -> onnx.ModelProto:
    """Return a copy of a model with the nodes and constants of another graph.

    Inputs, outputs and the manifest stay as they are; the copy is checked by `onnx.checker`.
    """
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    changed.graph.CopyFrom(
        helper.make_graph(
            graph.node,
            model.graph.name,
            model.graph.input,
            model.graph.output,
            initializer=graph.initializer,
        )
    )
    onnx.checker.check_model(changed, full_check=True)
    return changed


def canonical(graph: onnx.GraphProto, outputs: Sequence[str] = BARE_OUTPUTS) -> onnx.GraphProto:
    """Rename and reorder a bare graph so that equal networks give equal graphs.

    Nodes come in the order in which a depth-first walk from the outputs reaches them, and tensors
    are numbered in that order. Nodes and constants that no output depends on are left out. Only the
    bare input and outputs keep their names.
    """
    constants = {tensor.name: tensor for tensor in graph.initializer}
    names = {name: name for name in ("", BARE_INPUT, *outputs)}
    used: list[onnx.TensorProto] = []
    nodes = []
    for index, node in enumerate(_ordered(graph, outputs)):
        for source in node.input:
            if source in constants and source not in names:
                names[source] = f"constant_{len(used)}"
                array = numpy_helper.to_array(constants[source])
                used.append(numpy_helper.from_array(array, names[source]))
        for place, name in enumerate(node.output):
            names.setdefault(name, f"value_{index}_{place}")
        nodes.append(_renamed(node, names, f"{node.op_type}_{index}"))
    return helper.make_graph(nodes, "bare", [], [], initializer=used)


def _ordered(graph: onnx.GraphProto, outputs: Sequence[str]) -> list[onnx.NodeProto]:
    """Return the nodes that the outputs depend on, each behind those that it reads."""
    producers = {name: node for node in graph.node for name in node.output}
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

    for output in outputs:
        visit(output)
    return ordered


def _renamed(node: onnx.NodeProto, names: dict[str, str], name: str) -> onnx.NodeProto:
    clean = onnx.NodeProto(op_type=node.op_type, name=name)
    clean.input.extend(names[source] for source in node.input)
    clean.output.extend(names[target] for target in node.output)
    clean.attribute.extend(sorted(node.attribute, key=lambda attribute: attribute.name))
    for attribute in clean.attribute:
        attribute.doc_string = ""
    return clean


def _tail() -> list[onnx.NodeProto]:
    """Return the nodes that turn modulus and phase into real and imaginary part."""
    modulus, phase = BARE_OUTPUTS
    return [
        helper.make_node("Cos", [phase], ["cos_phase"]),
        helper.make_node("Sin", [phase], ["sin_phase"]),
        helper.make_node("Mul", [modulus, "cos_phase"], ["real_part"]),
        helper.make_node("Mul", [modulus, "sin_phase"], ["imaginary_part"]),
        helper.make_node("Unsqueeze", ["real_part", "last_axis"], ["real_last"]),
        helper.make_node("Unsqueeze", ["imaginary_part", "last_axis"], ["imaginary_last"]),
        helper.make_node("Concat", ["real_last", "imaginary_last"], [OUTPUT_NAME], axis=-1),
    ]


def _last_axis() -> onnx.TensorProto:
    return numpy_helper.from_array(np.array([-1], dtype=np.int64), "last_axis")


def _value(name: str, shape: tuple[int | str, ...]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
