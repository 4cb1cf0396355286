"""The yardstick is a matrix product, and its file is what the onnx package writes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ptychonyx.runtime.model.tuning import YARDSTICK, MatrixProduct

ort = pytest.importorskip("onnxruntime", reason="models run on onnxruntime")


def test_the_file_is_what_the_onnx_package_writes() -> None:
    onnx = pytest.importorskip("onnx", reason="builds the file anew")
    helper = onnx.helper

    def square(name: str) -> Any:
        return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", "n"])

    node = helper.make_node("MatMul", ["a", "b"], ["c"])
    graph = helper.make_graph([node], "matmul", [square("a"), square("b")], [square("c")])
    opsets = [onnx.OperatorSetIdProto(version=18)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    assert model.SerializeToString(deterministic=True) == YARDSTICK.read_bytes()


def test_the_file_multiplies_matrices_of_any_side() -> None:
    session = ort.InferenceSession(YARDSTICK.read_bytes(), providers=["CPUExecutionProvider"])
    for side in (3, 40):
        a, b = np.random.default_rng(0).random((2, side, side), dtype=np.float32)
        np.testing.assert_allclose(session.run(None, {"a": a, "b": b})[0], a @ b, rtol=1e-6)


def test_the_yardstick_runs_and_knows_its_operations() -> None:
    product = MatrixProduct(1, side=16)
    results = product.run()
    assert isinstance(results, list)
    (result,) = results
    assert result.shape == (16, 16)
    assert product.num_operations == 2 * 16**3
