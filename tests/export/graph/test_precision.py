"""Conversions to fewer bits leave the heads, the input and the output in float32."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("onnx", reason="graphs are built with the onnx package")
pytest.importorskip("onnxruntime", reason="graphs run on onnxruntime")

import onnx
import onnxruntime as ort

from ptychonyx.export.graph.assemble import with_graph
from ptychonyx.export.graph.precision import CONVERSIONS

MODEL = Path(__file__).parents[3] / "tests" / "models" / "small-pytorch" / "model.onnx"
Inputs = Mapping[str, NDArray[np.float32]]


def some_inputs(mean: float) -> Inputs:
    rng = np.random.default_rng(0)
    amplitude = rng.exponential(mean, (8, 1, 64, 64)).astype(np.float32)
    return {"amplitude": amplitude, "scale": np.array([0.05], dtype=np.float32)}


def run(model: onnx.ModelProto, inputs: Inputs) -> NDArray[np.float32]:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    patches: NDArray[np.float32] = session.run(None, inputs)[0]
    return patches


@pytest.mark.parametrize("precision", CONVERSIONS)
def test_heads_stay_in_float32(precision: str) -> None:
    graph = CONVERSIONS[precision](onnx.load(MODEL), [some_inputs(10)])
    producers = {name: node for node in graph.node for name in node.output}
    weights = {tensor.name for tensor in graph.initializer if tensor.data_type == 1}
    heads = [producers[node.input[0]] for node in graph.node if node.op_type in ("Sigmoid", "Tanh")]
    assert [head.op_type for head in heads] == ["Conv", "Conv"]
    for node in graph.node:
        if node.op_type == "Conv":
            assert (node.input[1] in weights) == (node in heads)


@pytest.mark.parametrize("precision", CONVERSIONS)
def test_a_conversion_leaves_the_model_it_is_given(precision: str) -> None:
    model = onnx.load(MODEL)
    before = model.SerializeToString(deterministic=True)
    with_graph(model, CONVERSIONS[precision](model, [some_inputs(10)]))
    assert model.SerializeToString(deterministic=True) == before


def test_int8_holds_in_the_range_it_was_calibrated_in() -> None:
    model, inputs = onnx.load(MODEL), some_inputs(10)
    whole = run(model, inputs)
    right, narrow = (
        np.abs(run(with_graph(model, CONVERSIONS["int8"](model, [batch])), inputs) - whole).mean()
        for batch in (inputs, some_inputs(0.5))
    )
    assert 5 * right < narrow
