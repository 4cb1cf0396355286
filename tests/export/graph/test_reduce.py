"""A reduced graph gives the central pixels of the whole one, for fewer products."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ptychonyx.export.graph.reduce import polyphase, reduce_operations

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
    """Two outputs behind one trunk, as the `cnn`."""
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
    """A center with zeros around it and a border of other channels, as the `ptychopinn`."""
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


def run(graph: Any, side: int, amplitude: np.ndarray) -> list[np.ndarray]:
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
    return session.run(None, {"scaled_amplitude": amplitude})


@pytest.mark.parametrize("side", [1, 2, 5, 6, 7, 8, 9, 10, 13, 14, 15, 16])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_center_is_what_the_whole_graph_gives(name: str, side: int) -> None:
    amplitude = np.random.default_rng(1).random((3, CHANNELS, SIDE, SIDE), dtype=np.float32)
    graph = built(name)
    reduced = reduce_operations(graph, num_channels=CHANNELS, window_px=SIDE, patch_px=side)
    start = (SIDE - side) // 2
    for whole, center in zip(
        run(graph, SIDE, amplitude), run(reduced, side, amplitude), strict=True
    ):
        expected = whole[..., start : start + side, start : start + side]
        assert np.ptp(expected) > 0
        np.testing.assert_allclose(center, expected, atol=1e-5)


def test_nothing_is_upsampled_and_nothing_of_a_border_is_left() -> None:
    whole, center = (
        reduce_operations(built("bordered"), num_channels=CHANNELS, window_px=SIDE, patch_px=side)
        for side in (16, 8)
    )
    assert {node.op_type for node in whole.node} >= {"DepthToSpace", "Pad", "Add"}
    ops = {node.op_type for node in center.node}
    assert ops == {"Conv", "MaxPool", "Relu", "Mul", "Sigmoid", "DepthToSpace", "Slice"}
    # the channels of the border are not computed either
    shapes = {tuple(tensor.dims) for tensor in center.initializer}
    assert (4, 5, 3, 3) in shapes
    assert (7, 5, 3, 3) not in shapes


def test_polyphase_kernels_interleave_to_the_convolution_of_the_upsampled_image() -> None:
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(1, 1, 3, 3)).astype(np.float32)
    image = rng.normal(size=(5, 5))
    doubled = image.repeat(2, axis=0).repeat(2, axis=1)

    def correlate(of: np.ndarray, taps: np.ndarray) -> np.ndarray:
        windows = np.lib.stride_tricks.sliding_window_view(of, taps.shape)
        return np.einsum("yxab,ab->yx", windows, taps)

    expected = correlate(doubled, kernel[0, 0].astype(np.float64))
    phases = [correlate(image, taps[0].astype(np.float64)) for taps in polyphase(kernel)]
    interleaved = np.empty((8, 8))
    for index, phase in enumerate(phases):
        interleaved[index // 2 :: 2, index % 2 :: 2] = phase
    np.testing.assert_allclose(interleaved, expected, atol=1e-5)


def test_an_unknown_operator_is_named() -> None:
    bare = Bare()
    bare.node("Elu", "scaled_amplitude", output="modulus")
    bare.node("Relu", "scaled_amplitude", output="phase")
    with pytest.raises(RuntimeError, match=r"Elu.*teach `ptychonyx.export.graph.reduce`"):
        reduce_operations(bare.graph(), num_channels=CHANNELS, window_px=SIDE, patch_px=8)
