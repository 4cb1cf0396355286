"""The network in TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from ..architecture import Architecture
from ..weights import Weights, check_weights

HEADS = ("amplitude", "phase")

Upsample = Callable[[], keras.layers.Layer]


class Network(keras.Model):
    """Scaled diffraction amplitude in, amplitude and phase of the object patch out.

    Both are (batch, C, N, N); phase in rad. Convolutions are named as in the weights file; inside,
    channels are last, as TensorFlow wants them on the CPU.
    """

    def __init__(self, architecture: Architecture, dtype: str, upsample: Upsample) -> None:
        super().__init__(dtype=dtype)
        self.architecture = architecture
        self.convolutions = {
            _key(conv.name): keras.layers.Conv2D(
                conv.num_out, 3, padding="same", dtype=dtype, name=_key(conv.name)
            )
            for conv in architecture.convolutions()
        }
        self.upsample = upsample()
        for conv in architecture.convolutions():
            self.convolutions[_key(conv.name)].build((None, None, None, conv.num_in))
        self.built = True

    def call(self, scaled_amplitude: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return amplitude and phase (rad) of each pattern's object patch."""
        features = tf.transpose(scaled_amplitude, (0, 2, 3, 1))
        for first, second in self.architecture.encoder():
            features = tf.nn.relu(self._convolve(first.name, features))
            features = tf.nn.relu(self._convolve(second.name, features))
            features = tf.nn.max_pool2d(features, 2, 2, "VALID")
        amplitude, phase = (self._decode(head, features) for head in HEADS)
        return self.architecture.amplitude_max * tf.sigmoid(amplitude), math.pi * tf.tanh(phase)

    def _decode(self, head: str, features: tf.Tensor) -> tf.Tensor:
        for first, second in self.architecture.decoder(head):
            features = tf.nn.relu(self._convolve(first.name, features))
            features = tf.nn.relu(self._convolve(second.name, features))
            features = self.upsample(features)
        features = self._convolve(self.architecture.head(head).name, features)
        return tf.transpose(features, (0, 3, 1, 2))

    def _convolve(self, name: str, features: tf.Tensor) -> tf.Tensor:
        return self.convolutions[_key(name)](features)


def build_network(
    architecture: Architecture, *, dtype: str = "float32", upsample: Upsample | None = None
) -> Network:
    """Build the network; its weights are Keras' own until `set_weights`.

    `upsample` makes the layer that doubles the size by nearest neighbours; export swaps it.
    """
    return Network(
        architecture, dtype, upsample or (lambda: keras.layers.UpSampling2D(2, dtype=dtype))
    )


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


def get_weights(network: Network) -> Weights:
    """Return the network's weights under their neutral names, in the neutral layout."""
    return {
        name: to_neutral(parameter.numpy()).astype(np.float32)
        for name, parameter in named_parameters(network).items()
    }


def named_parameters(network: Network) -> dict[str, tf.Variable]:
    """Return every trainable parameter under its neutral name."""
    found: dict[str, tf.Variable] = {}
    for conv in network.architecture.convolutions():
        layer = network.convolutions[_key(conv.name)]
        found[f"{conv.name}.weight"] = layer.kernel.value
        found[f"{conv.name}.bias"] = layer.bias.value
    return found


def to_neutral(array: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn a kernel (h, w, in, out), or its gradient, into (out, in, h, w); a bias stays."""
    return np.ascontiguousarray(array.transpose(3, 2, 0, 1)) if array.ndim == 4 else array


def apply_network(network: Network, amplitude: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    """Reconstruct object patches: scale, network, A·exp(iφ).

    Parameters
    ----------
    amplitude : tensor, shape (B, C, N, N)
        Square root of counts, not scaled.
    scale : tensor, shape (B,) or (1,)
        Input scale of each sample's scan.

    Returns
    -------
    complex tensor, shape (B, C, N, N)
    """
    modulus, phase = network(amplitude * scale[:, None, None, None])
    return tf.complex(modulus * tf.cos(phase), modulus * tf.sin(phase))


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
