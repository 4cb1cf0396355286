"""Equal networks give equal graphs, and a model keeps what is not changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx", reason="graphs are built with the onnx package")

import onnx
from onnx import helper, numpy_helper

from ptychonyx.export.graph.assemble import canonical, with_graph, with_manifest
from ptychonyx.runtime.model.manifest import Manifest, to_metadata

MODEL = Path(__file__).parents[3] / "tests" / "models" / "small-pytorch" / "model.onnx"


def serialized(message: Any) -> bytes:
    return message.SerializeToString(deterministic=True)


def two_heads(names: dict[str, str], order: tuple[int, ...], note: str) -> Any:
    """Return relu(features) · 2 and relu(features) · 3 with these names, notes and order of nodes."""
    trunk, double, triple = (names[each] for each in ("trunk", "double", "triple"))
    nodes = [
        helper.make_node("Relu", ["features"], [trunk], name=f"{note}/relu", doc_string=note),
        helper.make_node("Mul", [trunk, double], ["modulus"], name=f"{note}/double"),
        helper.make_node("Mul", [trunk, triple], ["phase"], name=f"{note}/triple"),
        helper.make_node("Tanh", [trunk], ["unread"]),
    ]
    constants = [
        numpy_helper.from_array(np.array(value, np.float32), name)
        for name, value in ((triple, 3), (double, 2), ("unused", 4))
    ]
    constants[0].doc_string = note
    return helper.make_graph([nodes[i] for i in order], note, [], [], initializer=constants)


def test_names_order_and_notes_of_an_exporter_do_not_matter() -> None:
    first = canonical(
        two_heads({"trunk": "a", "double": "b", "triple": "c"}, (0, 1, 2, 3), "/home/me/one.py")
    )
    second = canonical(
        two_heads({"trunk": "x", "double": "y", "triple": "z"}, (0, 3, 2, 1), "/home/you/two.py")
    )
    assert serialized(first) == serialized(second)
    assert b"/home" not in serialized(first)


def test_what_no_output_depends_on_is_left_out() -> None:
    graph = canonical(two_heads({"trunk": "a", "double": "b", "triple": "c"}, (0, 3, 1, 2), ""))
    assert [node.op_type for node in graph.node] == ["Relu", "Mul", "Mul"]
    assert [numpy_helper.to_array(each) for each in graph.initializer] == [2, 3]


def test_inputs_and_outputs_of_the_bare_network_keep_their_names() -> None:
    graph = canonical(two_heads({"trunk": "a", "double": "b", "triple": "c"}, (0, 1, 2, 3), ""))
    assert graph.node[0].input == ["features"]
    assert [node.output[0] for node in graph.node[1:]] == ["modulus", "phase"]
    assert graph.node[1].input == ["value_0_0", "constant_0"]


def test_canonical_leaves_a_canonical_graph_as_it_is() -> None:
    once = canonical(two_heads({"trunk": "a", "double": "b", "triple": "c"}, (0, 2, 1, 3), "x"))
    again = canonical(once)
    assert serialized(again) == serialized(once)


def test_another_manifest_changes_nothing_but_the_words(
    tiny_manifest: Callable[..., Manifest],
) -> None:
    model, manifest = onnx.load(MODEL), tiny_manifest(exporter_version="7")
    before, graph = serialized(model), serialized(model.graph)
    described = with_manifest(model, manifest)
    assert {each.key: each.value for each in described.metadata_props} == to_metadata(manifest)
    assert described.doc_string.startswith("tiny: ")
    assert described.producer_version == "7"
    assert serialized(described.graph) == graph
    assert serialized(model) == before


def test_another_graph_is_checked() -> None:
    model = onnx.load(MODEL)
    same = with_graph(model, model.graph)
    assert serialized(same) == serialized(model)
    broken = onnx.GraphProto.FromString(model.graph.SerializeToString())
    del broken.node[0]
    with pytest.raises(onnx.checker.ValidationError):
        with_graph(model, broken)
