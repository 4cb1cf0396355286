"""The back-projection as nodes of the model file, the same for both backends.

ONNX has a Fourier transform, but not every provider computes it; every provider computes matrix
products. With W[r, k] = exp(2πi·r·(k − N/2)/N)/√N, amplitudes a and spectrum u of a mode give its
exit wave W·(a·u)·Wᵀ. The real part of an image lies above its imaginary part, as 2N rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from ptychonyx.training.network.backprojection import OBJECT, SPECTRUM
from ptychonyx.training.network.weights import Weights

Nodes = list[onnx.NodeProto]
Constants = list[onnx.TensorProto]


def backprojection_nodes(scaled: str, features: str, weights: Weights) -> tuple[Nodes, Constants]:
    """Return the nodes that turn scaled amplitudes into the features of the network.

    Parameters
    ----------
    scaled, features : str
        Names of the input (batch, C, N, N) and the output (batch, 3C, N, N).
    weights : mapping of str to float32 array
        Weights of the network; the constants of a back-projection are among them.

    Returns
    -------
    (list of NodeProto, list of TensorProto)
        Nodes and initialisers; empty for a network that reads no back-projection.
    """
    if SPECTRUM not in weights:
        return [], []
    arrays = _arrays(weights[SPECTRUM], weights[OBJECT])
    nodes = [
        _node("Unsqueeze", [scaled, "mode_axis"], "one_mode"),
        _node("Tile", ["one_mode", "twice"], "doubled"),
        _node("Mul", ["doubled", "spectrum"], "lent"),
        _node("MatMul", ["down", "lent"], "half_way"),
        _node("MatMul", ["half_way", "across"], "products"),
        _node("Slice", ["products", "upper_left", "middle", "image_axes"], "product_rr"),
        _node("Slice", ["products", "upper_right", "right_middle", "image_axes"], "product_ri"),
        _node("Slice", ["products", "lower_left", "lower_middle", "image_axes"], "product_ir"),
        _node("Slice", ["products", "middle", "end", "image_axes"], "product_ii"),
        _node("Sub", ["product_rr", "product_ii"], "wave_real"),
        _node("Add", ["product_ri", "product_ir"], "wave_imaginary"),
        *_times(
            "real", "Sub", ("wave_real", "object_real"), ("wave_imaginary", "object_imaginary")
        ),
        *_times(
            "imaginary", "Add", ("wave_real", "object_imaginary"), ("wave_imaginary", "object_real")
        ),
        _node("Concat", ["one_mode", "seen_real", "seen_imaginary"], "stacked", axis=2),
        _node("Reshape", ["stacked", "features_shape"], features),
    ]
    return nodes, [numpy_helper.from_array(array, name) for name, array in arrays.items()]


def _arrays(spectrum: NDArray[np.float32], object_: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    """Return the initialisers by name: spectrum, object, transforms, and the shapes of the cuts."""
    modes, _, side, _ = spectrum.shape
    across, down = _transforms(side)
    return {
        "spectrum": spectrum.reshape(modes, 2 * side, side),
        "down": down,
        "across": across,
        "object_real": object_[:, 0],
        "object_imaginary": object_[:, 1],
        "mode_axis": np.array([2]),
        "image_axes": np.array([3, 4]),
        "twice": np.array([1, 1, 1, 2, 1]),
        "upper_left": np.array([0, 0]),
        "upper_right": np.array([0, side]),
        "lower_left": np.array([side, 0]),
        "middle": np.array([side, side]),
        "lower_middle": np.array([2 * side, side]),
        "right_middle": np.array([side, 2 * side]),
        "end": np.array([2 * side, 2 * side]),
        "features_shape": np.array([0, -1, side, side]),
    }


def _times(part: str, operator: str, first: tuple[str, str], second: tuple[str, str]) -> Nodes:
    """Return the nodes of the real or imaginary part of wave · object, summed over the modes."""
    return [
        _node("Mul", [*first], f"{part}_first"),
        _node("Mul", [*second], f"{part}_second"),
        _node(operator, [f"{part}_first", f"{part}_second"], f"{part}_modes"),
        _node("ReduceSum", [f"{part}_modes", "mode_axis"], f"seen_{part}", keepdims=1),
    ]


def _transforms(side: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return Wᵀ as its real part beside its imaginary part (N, 2N), and W as real blocks (2N, 2N)."""
    turns = np.outer(np.arange(side), np.arange(side) - side // 2) / side
    wave = np.exp(2j * np.pi * turns) / np.sqrt(side)
    across = np.concatenate([wave.real.T, wave.imag.T], axis=1)
    down = np.block([[wave.real, -wave.imag], [wave.imag, wave.real]])
    return across.astype(np.float32), down.astype(np.float32)


def _node(operator: str, inputs: list[str], output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(operator, inputs, [output], name=output, **attributes)
