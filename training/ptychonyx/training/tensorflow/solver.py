"""The network of the solver in TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from ..network.solver import SolverArchitecture
from ..network.weights import Weights
from .layers import LayeredNetwork, MakeUpsample, get_parameters, set_parameters


class SolverNetwork(LayeredNetwork):
    """Map features (batch, features, H, W) to the change of the object, (batch, 2, H, W).

    H and W are multiples of the stride; the change is its real and its imaginary part.
    """

    architecture: SolverArchitecture

    def call(self, features: tf.Tensor) -> tf.Tensor:
        """Return the change."""
        features = tf.transpose(features, (0, 2, 3, 1))
        return tf.transpose(self.run(self.architecture.layers, features), (0, 3, 1, 2))


def build_solver(
    architecture: SolverArchitecture,
    *,
    dtype: str = "float32",
    upsample: MakeUpsample | None = None,
) -> SolverNetwork:
    """Build the network; its weights are Keras' own until `set_weights`.

    `upsample` makes the layer that doubles the size by nearest neighbours; export swaps it.
    """
    return SolverNetwork(architecture, keras.DTypePolicy(dtype), upsample)


def set_weights(network: SolverNetwork, weights: Mapping[str, NDArray[np.float32]]) -> None:
    """Load backend-neutral weights into the network.

    Raises
    ------
    ValueError
        If they are not the weights of this architecture.
    """
    set_parameters(network, weights)


def get_weights(network: SolverNetwork) -> Weights:
    """Return the network's weights under their neutral names, in the neutral layout."""
    return get_parameters(network)


def predict_change(network: SolverNetwork, features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute the change (B, 2, H, W) outside training; the native answer of a model."""
    result: NDArray[np.float32] = network(tf.constant(features)).numpy()
    return result
