"""Small bare networks, written node by node, for tests of the exported graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="graphs are built with the onnx package")
ort = pytest.importorskip("onnxruntime", reason="graphs run on onnxruntime")
helper, numpy_helper, TensorProto = onnx.helper, onnx.numpy_helper, onnx.TensorProto
SIDE, CHANNELS = 16, 2


class Bare:
    """A bare network, written node by node."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.rng = np.random.default_rng(0)

    def constant(self, array: Any) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def node(self, op: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        name = output or f"value_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], **attributes))
        return name

    def conv(self, name: str, num_in: int, num_out: int, **options: Any) -> str:
        weight = self.constant(self.rng.normal(0, 0.3, (num_out, num_in, 3, 3)).astype(np.float32))
        bias = self.constant(self.rng.normal(0, 0.3, num_out).astype(np.float32))
        return self.node(
            "Conv", name, weight, bias, kernel_shape=[3, 3], pads=[1, 1, 1, 1], **options
        )

    def upsample(self, name: str) -> str:
        scales = self.constant(np.array([1, 1, 2, 2], np.float32))
        return self.node(
            "Resize",
            name,
            "",
            scales,
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )

    def channels(self, name: str, start: int, stop: int) -> str:
        limits = (self.constant(np.array([each], np.int64)) for each in (start, stop, 1))
        return self.node("Slice", name, *limits)

    def multiply(self, name: str, array: Any, **options: Any) -> str:
        return self.node("Mul", name, self.constant(np.asarray(array, np.float32)), **options)

    def graph(self) -> Any:
        return helper.make_graph(self.nodes, "bare", [], [], initializer=self.constants)


def mirrored(bare: Bare) -> None:
    """Write two heads behind one trunk, as in the `cnn`."""
    trunk = bare.node("Relu", bare.conv("scaled_amplitude", CHANNELS, 5))
    trunk = bare.node("MaxPool", trunk, kernel_shape=[2, 2], strides=[2, 2])
    trunk = bare.node("MaxPool", trunk, kernel_shape=[2, 2], strides=[2, 2])
    for output in ("modulus", "phase"):
        features = bare.node("Relu", bare.conv(trunk, 5, 4))
        features = bare.node("Relu", bare.conv(bare.upsample(features), 4, 6))
        features = bare.node("Relu", bare.conv(features, 6, 3))
        features = bare.node("Tanh", bare.conv(bare.upsample(features), 3, CHANNELS))
        bare.multiply(features, np.pi, output=output)


def bordered(bare: Bare) -> None:
    """Write a center with zeros around it and a border of other channels, as in `ptychopinn`."""
    is_border = np.ones((SIDE, SIDE))
    is_border[4:12, 4:12] = 0
    trunk = bare.node(
        "MaxPool", bare.conv("scaled_amplitude", CHANNELS, 5), kernel_shape=[2, 2], strides=[2, 2]
    )
    trunk = bare.node("MaxPool", trunk, kernel_shape=[2, 2], strides=[2, 2])
    for output in ("modulus", "phase"):
        features = bare.upsample(bare.node("Relu", bare.conv(trunk, 5, 7)))
        inner = bare.conv(bare.channels(features, 0, 4), 4, CHANNELS)
        inner = bare.node("Mul", inner, bare.node("Sigmoid", inner))
        widths = bare.constant(np.array([0, 0, 4, 4, 0, 0, 4, 4], np.int64))
        inner = bare.node("Pad", inner, widths)
        border = bare.conv(bare.channels(features, 4, 7), 3, 3)
        border = bare.conv(bare.upsample(border), 3, CHANNELS)
        swish = bare.node("Mul", border, bare.multiply(bare.node("Sigmoid", border), is_border))
        bare.node("Add", inner, swish, output=output)


NETWORKS = {"mirrored": mirrored, "bordered": bordered}


def built(name: str) -> Any:
    bare = Bare()
    NETWORKS[name](bare)
    return bare.graph()


def run_bare(graph: Any, side: int, amplitude: np.ndarray) -> list[np.ndarray]:
    """Return modulus and phase (batch, C, side, side)."""

    def value(name: str, pixels: int) -> Any:
        shape = ["batch", CHANNELS, pixels, pixels]
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    whole = helper.make_graph(
        graph.node,
        "whole",
        [value("scaled_amplitude", SIDE)],
        [value("modulus", side), value("phase", side)],
        initializer=graph.initializer,
    )
    model = helper.make_model(whole, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    outputs: list[np.ndarray] = session.run(None, {"scaled_amplitude": amplitude})
    return outputs
