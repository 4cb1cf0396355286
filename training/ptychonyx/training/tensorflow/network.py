"""The network in TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from ..network.architecture import HEADS, Architecture
from ..network.backprojection import OBJECT, SPECTRUM
from ..network.weights import Weights
from .backprojection import backproject
from .layers import LayeredNetwork, MakeUpsample, get_parameters, set_parameters


class Network(LayeredNetwork):
    """Map input features (see `features`) to amplitude and phase of each object patch.

    Both are (batch, C, N, N); phase in rad.
    """

    architecture: Architecture

    def __init__(
        self, architecture: Architecture, policy: Any, upsample: MakeUpsample | None
    ) -> None:
        super().__init__(architecture, policy, upsample)
        self.constants: Weights = {}  # of `backproject`; they come with the weights

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
    return Network(architecture, policy, upsample)


def set_weights(network: Network, weights: Mapping[str, NDArray[np.float32]]) -> None:
    """Load backend-neutral weights into the network.

    Raises
    ------
    ValueError
        If they are not the weights of this architecture.
    """
    set_parameters(network, weights)
    if network.architecture.is_backprojected:
        network.constants = {name: np.array(weights[name]) for name in (SPECTRUM, OBJECT)}


def get_weights(network: Network) -> Weights:
    """Return the network's weights under their neutral names, in the neutral layout."""
    return get_parameters(network) | dict(network.constants)


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
