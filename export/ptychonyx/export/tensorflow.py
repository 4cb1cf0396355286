"""Trained TensorFlow network -> bare ONNX graph; the twin of `pytorch.py`."""

from __future__ import annotations

import keras
import onnx
import tensorflow as tf
import tf2onnx

from ptychonyx.training.network.architecture import Architecture
from ptychonyx.training.network.weights import Weights
from ptychonyx.training.tensorflow.network import build_network, set_weights

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
    """Export the bare network as an ONNX graph.

    Returns
    -------
    ModelProto
        `features` (batch, features, N, N) in, `modulus` and `phase` (batch, C, N, N) out.
    """
    network = build_network(architecture, upsample=_Upsample)
    set_weights(network, weights)
    shape = (None, architecture.num_features, architecture.window_px, architecture.window_px)

    @tf.function(input_signature=[tf.TensorSpec(shape, tf.float32, name=BARE_INPUT)])
    def run(features: tf.Tensor) -> dict[str, tf.Tensor]:
        return dict(zip(BARE_OUTPUTS, network(features), strict=True))

    model, _ = tf2onnx.convert.from_function(run, input_signature=run.input_signature, opset=OPSET)
    return model
