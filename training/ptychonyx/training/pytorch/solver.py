"""The network of the solver in PyTorch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..network.solver import SolverArchitecture
from ..network.weights import Weights
from .layers import LayeredNetwork, get_parameters, set_parameters


class SolverNetwork(LayeredNetwork):
    """Map features (batch, features, H, W) to the change of the object, (batch, 2, H, W).

    H and W are multiples of the stride; the change is its real and its imaginary part.
    """

    architecture: SolverArchitecture

    def forward(self, features: Tensor) -> Tensor:
        """Return the change."""
        return self.run(self.architecture.layers, features)


def build_solver(architecture: SolverArchitecture, *, dtype: str = "float32") -> SolverNetwork:
    """Build the network; its weights are PyTorch's own until `set_weights`."""
    network = SolverNetwork(architecture, getattr(torch, dtype))
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


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
    with torch.inference_mode():
        change = network.eval()(torch.from_numpy(features))
    result: NDArray[np.float32] = change.contiguous().cpu().numpy()
    return result
