"""Trained TensorFlow network -> bare ONNX graph; the twin of `pytorch.py`."""

from __future__ import annotations

from collections.abc import Callable

import keras
import onnx
import tensorflow as tf
import tf2onnx

from ptychonyx.runtime.model.manifest import CHANGE, FEATURES
from ptychonyx.training.network.architecture import Architecture
from ptychonyx.training.network.solver import SolverArchitecture
from ptychonyx.training.network.weights import Weights
from ptychonyx.training.tensorflow import network as patches
from ptychonyx.training.tensorflow import solver

from .graph.assemble import BARE_INPUT, BARE_OUTPUTS, OPSET

EXPORTER = "tf2onnx"
EXPORTER_VERSION = tf2onnx.__version__
FRAMEWORK_VERSION = tf.__version__


class _Upsample(keras.layers.Layer):
    """Nearest ×2 as one ResizeNearestNeighbor: tf2onnx makes one `Resize` of it.

    `UpSampling2D` computes the same and trains under XLA, but becomes about 25 nodes.
    """

    def call(self, features: tf.Tensor) -> tf.Tensor:
        shape = tf.shape(features)
        return tf.raw_ops.ResizeNearestNeighbor(
            images=features,
            size=(2 * features.shape[1], 2 * features.shape[2])
            if features.shape[1] is not None
            else 2 * shape[1:3],
            align_corners=False,
            half_pixel_centers=False,
        )


def export_graph(architecture: Architecture, weights: Weights) -> onnx.ModelProto:
    """Export the bare network of patches as an ONNX graph.

    Returns
    -------
    ModelProto
        `features` (batch, features, N, N) in, `modulus` and `phase` (batch, C, N, N) out.
    """
    network = patches.build_network(architecture, upsample=_Upsample)
    patches.set_weights(network, weights)
    shape = (None, architecture.num_features, architecture.window_px, architecture.window_px)
    return _to_onnx(
        lambda features: dict(zip(BARE_OUTPUTS, network(features), strict=True)), BARE_INPUT, shape
    )


def export_solver_graph(architecture: SolverArchitecture, weights: Weights) -> onnx.ModelProto:
    """Export the bare network of the solver as an ONNX graph.

    Returns
    -------
    ModelProto
        `features` (1, features, H, W) in, `change` (1, 2, H, W) out.
    """
    network = solver.build_solver(architecture, upsample=_Upsample)
    solver.set_weights(network, weights)
    # With sizes that are known, tf2onnx gives each `Resize` its factor; with open ones, a size that is
    # computed by 11 nodes. No other node depends on the size.
    shape = (1, architecture.num_features, 2 * architecture.stride, 3 * architecture.stride)
    return _to_onnx(lambda features: {CHANGE: network(features)}, FEATURES, shape)


def _to_onnx(
    run: Callable[[tf.Tensor], dict[str, tf.Tensor]],
    input_name: str,
    shape: tuple[int | None, ...],
) -> onnx.ModelProto:
    signature = [tf.TensorSpec(shape, tf.float32, name=input_name)]
    traced = tf.function(run, input_signature=signature)
    model, _ = tf2onnx.convert.from_function(traced, input_signature=signature, opset=OPSET)
    return model
