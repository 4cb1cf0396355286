"""A graph that is put together by hand is what the onnx package would write, and computes."""

from __future__ import annotations

import numpy as np
import pytest

from ptychonyx.runtime.model.graph.building import IR_VERSION, OPSET, GraphBuilder

onnx = pytest.importorskip("onnx", reason="reads what was written")
ort = pytest.importorskip("onnxruntime", reason="graphs run on onnxruntime")


def halves_and_sums() -> bytes:
    """Return a graph: the first half of each row, and the sum of the second half."""
    graph = GraphBuilder()
    first, second = graph.split("x", [2, 2], axis=1)
    graph.add("Identity", first, result="first")
    axes = graph.constant(np.array([1]))
    assert graph.constant(np.array([1])) == axes
    graph.add("ReduceSum", second, axes, settings={"keepdims": 0}, result="sums")
    return graph.to_bytes({"x": ("batch", 4)}, {"first": ("batch", 2), "sums": ("batch",)})


def test_what_is_written_passes_the_check_of_the_onnx_package() -> None:
    model = onnx.load_from_string(halves_and_sums())
    onnx.checker.check_model(model, full_check=True)
    assert (model.ir_version, model.opset_import[0].version) == (IR_VERSION, OPSET)
    assert len(model.graph.initializer) == 2  # equal constants are kept once


def test_what_is_written_computes() -> None:
    session = ort.InferenceSession(halves_and_sums(), providers=["CPUExecutionProvider"])
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    first, sums = session.run(["first", "sums"], {"x": x})
    np.testing.assert_array_equal(first, x[:, :2])
    np.testing.assert_array_equal(sums, x[:, 2:].sum(axis=1))


def test_the_same_graph_has_the_same_bytes() -> None:
    assert halves_and_sums() == halves_and_sums()
