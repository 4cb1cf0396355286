"""The network in TensorFlow."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from ..network.architecture import HEADS, Architecture
from ..network.backprojection import OBJECT, SPECTRUM
from ..network.layers import (
    Activation,
    Border,
    Channels,
    Concatenation,
    Convolution,
    Layer,
    Layers,
    MaxPool,
    Pad,
    Sum,
    Upsample,
)
from ..network.weights import Weights, check_weights
from .backprojection import backproject

MakeUpsample = Callable[[], keras.layers.Layer]


class Network(keras.Model):
    """Map input features (see `features`) to amplitude and phase of each object patch.

    Both are (batch, C, N, N); phase in rad. Convolutions are named as in the weights file; inside,
    channels are last, as TensorFlow wants them on the CPU.
    """

    def __init__(self, architecture: Architecture, policy: Any, upsample: MakeUpsample) -> None:
        super().__init__(dtype=policy)
        self.architecture = architecture
        self.convolutions = {
            _key(conv.name): keras.layers.Conv2D(
                conv.num_out, 3, padding="same", dtype=policy, name=_key(conv.name)
            )
            for conv in architecture.convolutions()
        }
        self.upsample = upsample()
        for conv in architecture.convolutions():
            self.convolutions[_key(conv.name)].build((None, None, None, conv.num_in))
        self.constants: Weights = {}  # of `backproject`; they come with the weights
        self.built = True

    def features(self, scaled_amplitude: tf.Tensor) -> tf.Tensor:
        """Return the input of the network, from scaled amplitudes (batch, C, N, N)."""
        if not self.architecture.is_backprojected:
            return scaled_amplitude
        spectrum, object_ = (
            tf.constant(self.constants[name], scaled_amplitude.dtype) for name in (SPECTRUM, OBJECT)
        )
        seen = backproject(scaled_amplitude, spectrum, object_)
        stacked = tf.stack((scaled_amplitude, tf.math.real(seen), tf.math.imag(seen)), axis=2)
        side = self.architecture.window_px
        return tf.reshape(stacked, (-1, self.architecture.num_features, side, side))

    def call(self, features: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return amplitude and phase (rad) of each pattern's object patch."""
        features = tf.transpose(features, (0, 2, 3, 1))
        features = self.run(self.architecture.trunk, features)
        amplitude, phase = (
            tf.transpose(self.run(self.architecture.head(name), features), (0, 3, 1, 2))
            for name in HEADS
        )
        return amplitude, phase

    def run(self, layers: Layers, features: tf.Tensor) -> tf.Tensor:
        """Compute one layer after the other."""
        for layer in layers:
            features = LAYERS[type(layer)](self, layer, features)
        return features

    def convolve(self, layer: Convolution, features: tf.Tensor) -> tf.Tensor:
        """Convolve with the weights of this name."""
        return self.convolutions[_key(layer.name)](features)


def _activate(layer: Activation, features: tf.Tensor) -> tf.Tensor:
    if layer.function != "relu" and features.dtype == tf.bfloat16:
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
    "sigmoid": tf.sigmoid,
    "swish": lambda features: features * tf.sigmoid(features),
    "softplus": tf.nn.softplus,
    "tanh": tf.tanh,
}
LAYERS: dict[type[Layer], Callable[[Network, Any, tf.Tensor], tf.Tensor]] = {
    Convolution: Network.convolve,
    Activation: lambda network, layer, features: _activate(layer, features),
    MaxPool: lambda network, layer, features: tf.nn.max_pool2d(features, 2, 2, "VALID"),
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


def build_network(
    architecture: Architecture,
    *,
    dtype: str = "float32",
    precision: str = "float32",
    upsample: MakeUpsample | None = None,
) -> Network:
    """Build the network; its weights are Keras' own until `set_weights`.

    `dtype` is that of the weights; with `precision` "bfloat16" convolutions are computed in it.
    `upsample` makes the layer that doubles the size by nearest neighbours; export swaps it.
    """
    policy = keras.DTypePolicy("mixed_bfloat16" if precision == "bfloat16" else dtype)
    make = upsample or (lambda: keras.layers.UpSampling2D(2, dtype=policy))
    return Network(architecture, policy, make)


def set_weights(network: Network, weights: Mapping[str, NDArray[np.float32]]) -> None:
    """Load backend-neutral weights into the network.

    Raises
    ------
    ValueError
        If they are not the weights of this architecture.
    """
    check_weights(weights, network.architecture)
    for name, parameter in named_parameters(network).items():
        parameter.assign(_to_keras(weights[name]))
    if network.architecture.is_backprojected:
        network.constants = {name: np.array(weights[name]) for name in (SPECTRUM, OBJECT)}


def get_weights(network: Network) -> Weights:
    """Return the network's weights under their neutral names, in the neutral layout."""
    return {
        name: to_neutral(parameter.numpy()).astype(np.float32)
        for name, parameter in named_parameters(network).items()
    } | dict(network.constants)


def named_parameters(network: Network) -> dict[str, tf.Variable]:
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


def apply_network(network: Network, amplitude: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    """Reconstruct object patches: scale, network, A·exp(iφ).

    Parameters
    ----------
    amplitude : tensor, shape (B, G, N, N)
        Square root of counts, not scaled; G is C or a multiple of it.
    scale : tensor, shape (B,) or (1,)
        Input scale of each sample's scan.

    Returns
    -------
    complex tensor, shape (B, G, N, N)
    """
    scaled = amplitude * scale[:, None, None, None]
    num_channels, (size, side) = network.architecture.num_channels, amplitude.shape[1:3]
    features = network.features(tf.reshape(scaled, (-1, num_channels, side, side)))
    modulus, phase = network(features)
    patches = tf.complex(modulus * tf.cos(phase), modulus * tf.sin(phase))
    return tf.reshape(patches, (-1, size, side, side))


def predict(
    network: Network, amplitude: NDArray[np.float32], scale: float
) -> NDArray[np.complex64]:
    """Reconstruct object patches (B, C, N, N) outside training; the native answer of a model."""
    patches = apply_network(network, tf.constant(amplitude), tf.constant([scale], dtype=tf.float32))
    result: NDArray[np.complex64] = patches.numpy()
    return result


def _to_keras(array: NDArray[np.float32]) -> NDArray[np.float32]:
    return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array


def _key(name: str) -> str:
    return name.replace(".", "_")  # layer names must not hold dots
