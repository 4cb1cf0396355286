"""How TensorFlow computes the layers of a network, and holds its weights."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from ..network.layers import (
    INNER_ACTIVATIONS,
    LEAK,
    Activation,
    AveragePool,
    Border,
    Channels,
    Concatenation,
    Convolution,
    Layer,
    LayeredArchitecture,
    Layers,
    MaxPool,
    Pad,
    Sum,
    Upsample,
)
from ..network.weights import Weights, check_weights

MakeUpsample = Callable[[], keras.layers.Layer]


class LayeredNetwork(keras.Model):
    """Hold the convolutions of an architecture, named as in the weights file, and run layers.

    Inside, channels are last, as TensorFlow wants them on the CPU.
    """

    architecture: LayeredArchitecture

    def __init__(
        self, architecture: LayeredArchitecture, policy: Any, upsample: MakeUpsample | None
    ) -> None:
        super().__init__(dtype=policy)
        self.architecture = architecture
        self.convolutions = {
            _key(conv.name): keras.layers.Conv2D(
                conv.num_out, 3, padding="same", dtype=policy, name=_key(conv.name)
            )
            for conv in architecture.convolutions()
        }
        make = upsample or (lambda: keras.layers.UpSampling2D(2, dtype=policy))
        self.upsample = make()
        for conv in architecture.convolutions():
            self.convolutions[_key(conv.name)].build((None, None, None, conv.num_in))
        self.built = True

    def run(self, layers: Layers, features: tf.Tensor) -> tf.Tensor:
        """Compute one layer after the other."""
        for layer in layers:
            features = LAYERS[type(layer)](self, layer, features)
        return features

    def convolve(self, layer: Convolution, features: tf.Tensor) -> tf.Tensor:
        """Convolve with the weights of this name."""
        return self.convolutions[_key(layer.name)](features)


def _activate(layer: Activation, features: tf.Tensor) -> tf.Tensor:
    if layer.function not in INNER_ACTIVATIONS and features.dtype == tf.bfloat16:
        features = tf.cast(features, tf.float32)  # the last function of a head, in full precision
    result = ACTIVATIONS[layer.function](features)
    return result if layer.factor == 1 else layer.factor * result


def _border(layer: Border, features: tf.Tensor) -> tf.Tensor:
    side, width = layer.window_px, layer.width_px
    is_border = np.ones((side, side, 1))
    is_border[width : side - width, width : side - width] = 0
    return features * tf.constant(is_border, features.dtype)


def _pad(layer: Pad, features: tf.Tensor) -> tf.Tensor:
    width = (layer.width_px, layer.width_px)
    return tf.pad(features, ((0, 0), width, width, (0, 0)))


ACTIVATIONS: dict[str, Callable[[tf.Tensor], tf.Tensor]] = {
    "relu": tf.nn.relu,
    "leaky_relu": lambda features: tf.nn.leaky_relu(features, LEAK),
    "sigmoid": tf.sigmoid,
    "swish": lambda features: features * tf.sigmoid(features),
    "softplus": tf.nn.softplus,
    "tanh": tf.tanh,
}
LAYERS: dict[type[Layer], Callable[[LayeredNetwork, Any, tf.Tensor], tf.Tensor]] = {
    Convolution: LayeredNetwork.convolve,
    Activation: lambda network, layer, features: _activate(layer, features),
    MaxPool: lambda network, layer, features: tf.nn.max_pool2d(features, 2, 2, "VALID"),
    AveragePool: lambda network, layer, features: tf.nn.avg_pool2d(features, 2, 2, "VALID"),
    Upsample: lambda network, layer, features: network.upsample(features),
    Channels: lambda network, layer, features: features[..., layer.start : layer.stop],
    Pad: lambda network, layer, features: _pad(layer, features),
    Border: lambda network, layer, features: _border(layer, features),
    Sum: lambda network, layer, features: reduce(
        operator.add, (network.run(branch, features) for branch in layer.branches)
    ),
    Concatenation: lambda network, layer, features: tf.concat(
        [network.run(branch, features) for branch in layer.branches], axis=-1
    ),
}
"""How each kind of layer is computed; (batch, y, x, channels)."""


def set_parameters(network: LayeredNetwork, weights: Mapping[str, NDArray[np.float32]]) -> None:
    """Load the trainable part of backend-neutral weights into the network.

    Raises
    ------
    ValueError
        If they are not the weights of this architecture.
    """
    check_weights(weights, network.architecture)
    for name, parameter in named_parameters(network).items():
        parameter.assign(to_keras(weights[name]))


def get_parameters(network: LayeredNetwork) -> Weights:
    """Return the trainable weights under their neutral names, in the neutral layout."""
    return {
        name: to_neutral(parameter.numpy()).astype(np.float32)
        for name, parameter in named_parameters(network).items()
    }


def named_parameters(network: LayeredNetwork) -> dict[str, tf.Variable]:
    """Return every trainable parameter under its neutral name."""
    found: dict[str, tf.Variable] = {}
    for conv in network.architecture.convolutions():
        layer = network.convolutions[_key(conv.name)]
        found[f"{conv.name}.weight"] = layer.kernel.value
        found[f"{conv.name}.bias"] = layer.bias.value
    return found


def to_neutral(array: NDArray[Any]) -> NDArray[Any]:
    """Turn a kernel (h, w, in, out), or its gradient, into (out, in, h, w); a bias stays."""
    return np.ascontiguousarray(array.transpose(3, 2, 0, 1)) if array.ndim == 4 else array


def to_keras(array: NDArray[np.float32]) -> NDArray[np.float32]:
    """Undo `to_neutral`."""
    return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array


def _key(name: str) -> str:
    return name.replace(".", "_")  # layer names must not hold dots
