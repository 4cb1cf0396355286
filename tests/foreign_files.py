"""Networks as other projects publish them: old operators, a fixed batch, no metadata."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np


def foreign_network(
    *, num_images: int = 1, batch: int | str = 8, side_px: int = 32, last: str = "Tanh"
) -> Any:
    """Return a small network as PyTorch 1.11 writes it: opset 12, constants as operators."""
    from onnx import helper, numpy_helper

    rng = np.random.default_rng(0)
    shapes = {"up": (4, 1, 3, 3), "down": (num_images, 4, 3, 3)}
    constants = [
        numpy_helper.from_array(rng.normal(size=shape).astype(np.float32) / 4, name)
        for name, shape in shapes.items()
    ]
    constants.append(numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales"))
    empty = numpy_helper.from_array(np.zeros(0, np.float32))
    pi = numpy_helper.from_array(np.array(np.pi, np.float32))
    said: dict[str, Any] = {
        "dilations": [1, 1],
        "group": 1,
        "pads": [1, 1, 1, 1],
        "strides": [1, 1],
    }
    nodes = [
        helper.make_node("Conv", ["input.1", "up"], ["1"], kernel_shape=[3, 3], **said),
        helper.make_node("Relu", ["1"], ["2"]),
        helper.make_node("MaxPool", ["2"], ["3"], kernel_shape=[2, 2], strides=[2, 2], ceil_mode=0),
        helper.make_node("Constant", [], ["nowhere"], value=empty),
        helper.make_node(
            "Resize",
            ["3", "nowhere", "scales"],
            ["4"],
            mode="linear",
            coordinate_transformation_mode="pytorch_half_pixel",
            cubic_coeff_a=-0.75,
        ),
        helper.make_node("Conv", ["4", "down"], ["5"], kernel_shape=[3, 3], **said),
        helper.make_node(last, ["5"], ["6"]),
        helper.make_node("Constant", [], ["pi"], value=pi),
        helper.make_node("Mul", ["6", "pi"], ["94"]),
    ]
    graph = helper.make_graph(
        nodes,
        "torch-jit-export",
        [helper.make_tensor_value_info("input.1", 1, [batch, 1, side_px, side_px])],
        [helper.make_tensor_value_info("94", 1, [batch, num_images, side_px, side_px])],
        initializer=constants,
    )
    opset = [helper.make_opsetid("", 12)]
    return helper.make_model(graph, opset_imports=opset, ir_version=7, producer_name="pytorch")


def write(model: Any, folder: Path) -> Path:
    """Write a foreign network; return its path."""
    path = folder / "net.onnx"
    path.write_bytes(model.SerializeToString())
    return path
