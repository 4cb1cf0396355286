"""What a session must not run is refused: subgraphs, operators that nothing of ours has, odd constants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from model_files import TinyModel

from ptychonyx.runtime.model.graph import OnnxError, check_safe, parse_onnx

onnx = pytest.importorskip("onnx", reason="model files are built with the onnx package")
helper, numpy_helper = onnx.helper, onnx.numpy_helper


def with_node(op_type: str, **attributes: Any) -> Callable[[Any], None]:
    def spoil(model: Any) -> None:
        model.graph.node.append(helper.make_node(op_type, ["crop"], ["unused"], **attributes))

    return spoil


def with_subgraph(op_type: str, name: str) -> Callable[[Any], None]:
    return with_node(op_type, **{name: helper.make_graph([], "inner", [], [])})


def graph_in_a_known_operator(model: Any) -> None:
    attribute = helper.make_attribute("axis", helper.make_graph([], "inner", [], []))
    attribute.type = onnx.AttributeProto.INT
    model.graph.node[-1].attribute.append(attribute)


def function(model: Any) -> None:
    model.functions.add(name="f", domain="")


def training(model: Any) -> None:
    model.training_info.add()


def sparse(model: Any) -> None:
    model.graph.sparse_initializer.add()


def same_name(model: Any) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.array(2, np.float32), "half"))


def short_data(model: Any) -> None:
    model.graph.initializer[0].raw_data = b"1234"


def text_constant(model: Any) -> None:
    model.graph.initializer.append(
        helper.make_tensor("words", onnx.TensorProto.STRING, [1], [b"a"])
    )


def double_constant(model: Any) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(2), "wide"))


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        *(
            (with_subgraph(*each), "a graph of its own")
            for each in (("Loop", "body"), ("Scan", "body"))
        ),
        (with_subgraph("If", "then_branch"), "a graph of its own"),
        (graph_in_a_known_operator, "a graph of its own"),
        *(
            (with_node(name), rf"operator {name} \(`unused`\) is none of those")
            for name in ("Loop", "ConstantOfShape", "Expand", "Range", "RandomNormal", "Constant")
        ),
        (with_node("Conv", auto_pad="SAME_UPPER"), "attributes \\(auto_pad\\)"),
        (function, "functions"),
        (training, "training"),
        (sparse, "sparse tensors"),
        (same_name, "`half` twice"),
        (short_data, "`starts` has shape \\[2\\], but 4 bytes"),
        (text_constant, "`words` has ONNX type 8"),
        (double_constant, "`wide` has ONNX type 11"),
    ],
)
def test_what_no_model_of_ours_has_is_refused(
    tiny_model: TinyModel, spoil: Callable[[Any], None], match: str
) -> None:
    model = tiny_model()
    check_safe(parse_onnx(model.SerializeToString()))
    spoil(model)
    with pytest.raises(OnnxError, match=match):
        check_safe(parse_onnx(model.SerializeToString()))
