"""Sizes of intermediate results are known before a session reserves them, and are bounded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ptychonyx.runtime.model.graph import OnnxError, check_sizes, parse_onnx
from ptychonyx.runtime.model.graph.sizes import results

onnx = pytest.importorskip("onnx", reason="model files are built with the onnx package")
helper, numpy_helper = onnx.helper, onnx.numpy_helper

MODELS = sorted((Path(__file__).parents[3] / "models").glob("*/model.onnx"))
IMAGE = (2, 4, 6, 8)

CASES: list[tuple[str, list[Any], dict[str, Any]]] = [
    ("Add", [np.ones((4, 1, 1), np.float32)], {}),
    ("Cast", [], {"to": onnx.TensorProto.FLOAT16}),
    ("Concat", [np.zeros((2, 4, 6, 3), np.float32)], {"axis": -1}),
    ("Conv", [np.zeros((5, 4, 3, 3), np.float32)], {"pads": [1, 0, 1, 2], "strides": [2, 1]}),
    ("Conv", [np.zeros((8, 2, 2, 2), np.float32)], {"group": 2, "dilations": [2, 3]}),
    ("DepthToSpace", [], {"blocksize": 2, "mode": "DCR"}),
    ("MatMul", [np.zeros((3, 1, 1, 8, 5), np.float32)], {}),
    ("MaxPool", [], {"kernel_shape": [2, 2], "strides": [2, 2]}),
    ("Pad", [np.array([0, 0, 1, 2, 0, 0, 3, 4])], {}),
    ("ReduceSum", [np.array([1, -1])], {"keepdims": 0}),
    ("ReduceSum", [np.array([2])], {}),
    ("Reshape", [np.array([0, -1, 16])], {}),
    ("Resize", ["", np.array([1, 1, 2, 1.5], np.float32)], {"mode": "nearest"}),
    ("Resize", ["", "", np.array([2, 4, 5, 9])], {}),
    ("Slice", [np.array([1, -5]), np.array([2**60, -1]), np.array([3, 2]), np.array([2, 1])], {}),
    ("Slice", [np.array([5]), np.array([-9]), np.array([-1]), np.array([-1])], {}),
    ("Tile", [np.array([1, 3, 1, 2])], {}),
    ("Unsqueeze", [np.array([-1, 1])], {}),
]


def one_operator(op_type: str, inputs: list[Any], attributes: dict[str, Any]) -> Any:
    constants = {
        f"input_{place}": each for place, each in enumerate(inputs) if not isinstance(each, str)
    }
    names = [
        f"input_{place}" if f"input_{place}" in constants else "" for place in range(len(inputs))
    ]
    graph = helper.make_graph(
        [helper.make_node(op_type, ["image", *names], ["result"], **attributes)],
        "one",
        [helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, IMAGE)],
        [helper.make_empty_tensor_value_info("result")],
        initializer=[numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def shapes_by_onnx(model: Any) -> dict[str, tuple[int, ...]]:
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    return {
        value.name: tuple(side.dim_value for side in value.type.tensor_type.shape.dim)
        for value in (*inferred.value_info, *inferred.output)
    }


@pytest.mark.parametrize(("op_type", "inputs", "attributes"), CASES)
def test_shapes_are_those_that_the_onnx_package_finds(
    op_type: str, inputs: list[Any], attributes: dict[str, Any]
) -> None:
    model = one_operator(op_type, inputs, attributes)
    ((_, shape),) = results(parse_onnx(model.SerializeToString()), {"image": IMAGE})
    assert shape == shapes_by_onnx(model)["result"]


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.parent.name)
def test_shapes_of_a_whole_model_are_those_that_the_onnx_package_finds(path: Path) -> None:
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 3
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 3
    expected = shapes_by_onnx(model)
    found = results(parse_onnx(path.read_bytes()), {"amplitude": (3, 1, 64, 64), "scale": (1,)})
    num_found = 0
    for node, shape in found:
        assert shape == expected[node.outputs[0]], node
        num_found += 1
    assert num_found == len(expected) == len(model.graph.node)


@pytest.mark.parametrize(
    ("op_type", "inputs", "attributes"),
    [
        ("Tile", [np.array([1, 1, 2**20, 2**20])], {}),
        ("Resize", ["", np.array([1, 1, 1e5, 1e5], np.float32)], {}),
        ("Resize", ["", "", np.array([2, 4, 10**6, 10**6])], {}),
        ("Pad", [np.array([0, 0, 0, 0, 0, 0, 2**40, 0])], {}),
        ("Add", [np.zeros((10**5, 1, 1, 1, 1), np.float32)], {}),
    ],
)
def test_huge_results_are_refused(
    op_type: str, inputs: list[Any], attributes: dict[str, Any]
) -> None:
    file = parse_onnx(one_operator(op_type, inputs, attributes).SerializeToString())
    with pytest.raises(OnnxError, match=rf"operator {op_type} \(`result`\) makes .* larger than"):
        check_sizes(file, {"image": IMAGE})


@pytest.mark.parametrize(
    ("op_type", "inputs", "attributes", "match"),
    [
        ("Tile", [], {}, "do not fit"),
        ("Conv", [np.zeros((5, 4, 9, 9), np.float32)], {}, "result would have shape"),
        ("Conv", [np.zeros((5, 3, 3, 3), np.float32)], {}, "4 channels, its kernel 3"),
        ("Conv", [np.zeros((5, 4, 3, 3), np.float32)], {"strides": [0, 1]}, "no counts"),
        ("Concat", [np.zeros((2, 4, 5, 3), np.float32)], {"axis": -1}, "inputs have shapes"),
        ("Add", [np.zeros((5,), np.float32)], {}, "inputs have shapes"),
        ("Reshape", [np.array([7, -1])], {}, "cannot become"),
        ("DepthToSpace", [], {"blocksize": 3}, "blocks are 3×3"),
        ("Unsqueeze", [np.arange(9)], {}, "would have shape"),
        ("Unsqueeze", [np.arange(100)], {}, "elements"),
    ],
)
def test_operators_that_do_not_fit_are_named(
    op_type: str, inputs: list[Any], attributes: dict[str, Any], match: str
) -> None:
    file = parse_onnx(one_operator(op_type, inputs, attributes).SerializeToString())
    with pytest.raises(
        OnnxError, match=rf"operator {op_type} \(`result`\) cannot be run .*{match}"
    ):
        check_sizes(file, {"image": IMAGE})


def test_sizes_must_not_depend_on_what_is_computed() -> None:
    model = one_operator("Tile", [np.array([1, 1, 1, 1])], {})
    model.graph.node.insert(0, helper.make_node("Add", ["input_0", "input_0"], ["repeats"]))
    model.graph.node[1].input[1] = "repeats"
    with pytest.raises(OnnxError, match="input 1 is no constant"):
        check_sizes(parse_onnx(model.SerializeToString()), {"image": IMAGE})


def test_an_operator_that_reads_nothing_known_is_named() -> None:
    model = one_operator("Relu", [], {})
    model.graph.node[0].input[0] = "nowhere"
    with pytest.raises(OnnxError, match="reads `nowhere`, which nothing before it gives"):
        check_sizes(parse_onnx(model.SerializeToString()), {"image": IMAGE})
