"""Write a bare graph plainly: nothing in it that says what would hold without it.

Exporters differ in what they spell out. One writes the attributes that an operator has anyway, the
other leaves them away; one gives an optional input as an empty tensor, the other not at all; and equal
constants may be kept once or several times.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

OPTIONAL_INPUTS = {"Resize": (1,)}
"""Operator -> places of inputs that mean the same if they are empty: the region of interest."""
IMPLIED = {"dilations": 1, "strides": 1, "pads": 0}
"""Attribute of an operator on images -> the value of every element that it has if it is left out."""

PADS_COUNT = "count_include_pad"
"""Attribute of a mean that says whether pads count: it says nothing where there are none."""


def plain(graph: onnx.GraphProto, opset: int) -> onnx.GraphProto:
    """Return an equal graph without attributes, inputs and constants that can be left out.

    Parameters
    ----------
    graph : GraphProto
    opset : int
        Version of the standard operators that it uses.
    """
    constants = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
    empty = {name for name, array in constants.items() if array.size == 0}
    same = _first_equal(constants)
    nodes = []
    for node in graph.node:
        optional = OPTIONAL_INPUTS.get(node.op_type, ())
        inputs = [
            "" if place in optional and name in empty else same.get(name, name)
            for place, name in enumerate(node.input)
        ]
        clean = helper.make_node(node.op_type, inputs, [*node.output])
        clean.attribute.extend(
            each for each in node.attribute if not _is_implied(node, each, opset)
        )
        nodes.append(clean)
    return helper.make_graph(nodes, graph.name, [], [], initializer=graph.initializer)


def _first_equal(constants: dict[str, Any]) -> dict[str, str]:
    """Return for each constant the name of the first one that is equal."""
    first: dict[tuple[Any, ...], str] = {}
    return {
        name: first.setdefault((array.dtype.str, array.shape, array.tobytes()), name)
        for name, array in constants.items()
    }


def _is_implied(node: onnx.NodeProto, attribute: onnx.AttributeProto, opset: int) -> bool:
    value = helper.get_attribute_value(attribute)
    if attribute.name == PADS_COUNT:
        return all(set(each.ints) <= {0} for each in node.attribute if each.name == "pads")
    if attribute.name in IMPLIED:
        return bool(np.all(np.asarray(value) == IMPLIED[attribute.name]))
    default = onnx.defs.get_schema(node.op_type, opset).attributes[attribute.name].default_value
    known = default.type != onnx.AttributeProto.UNDEFINED
    return known and helper.get_attribute_value(default) == value
