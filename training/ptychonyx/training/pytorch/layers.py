"""How PyTorch computes the layers of a network, and holds its weights."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

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


class LayeredNetwork(nn.Module):
    """Hold the convolutions of an architecture, named as in the weights file, and run layers."""

    architecture: LayeredArchitecture

    def __init__(self, architecture: LayeredArchitecture, dtype: torch.dtype) -> None:
        super().__init__()
        self.architecture = architecture
        self.convolutions = nn.ModuleDict(
            {
                _key(conv.name): nn.Conv2d(conv.num_in, conv.num_out, 3, padding=1, dtype=dtype)
                for conv in architecture.convolutions()
            }
        )

    def run(self, layers: Layers, features: Tensor) -> Tensor:
        """Compute one layer after the other."""
        for layer in layers:
            features = LAYERS[type(layer)](self, layer, features)
        return features

    def convolve(self, layer: Convolution, features: Tensor) -> Tensor:
        """Convolve with the weights of this name."""
        result: Tensor = self.convolutions[_key(layer.name)](features)
        return result


def _activate(layer: Activation, features: Tensor) -> Tensor:
    if layer.function not in INNER_ACTIVATIONS:
        # the last function of a head, in full precision
        features = features.to(torch.promote_types(features.dtype, torch.float32))
    result = ACTIVATIONS[layer.function](features)
    return result if layer.factor == 1 else layer.factor * result


def _border(layer: Border, features: Tensor) -> Tensor:
    side, width = layer.window_px, layer.width_px
    is_border = np.ones((side, side))
    is_border[width : side - width, width : side - width] = 0
    return features * torch.as_tensor(is_border, dtype=features.dtype, device=features.device)


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "leaky_relu": lambda features: functional.leaky_relu(features, LEAK),
    "sigmoid": torch.sigmoid,
    "swish": lambda features: features * torch.sigmoid(features),
    "softplus": functional.softplus,
    "tanh": torch.tanh,
}
LAYERS: dict[type[Layer], Callable[[LayeredNetwork, Any, Tensor], Tensor]] = {
    Convolution: LayeredNetwork.convolve,
    Activation: lambda network, layer, features: _activate(layer, features),
    MaxPool: lambda network, layer, features: functional.max_pool2d(features, 2),
    AveragePool: lambda network, layer, features: functional.avg_pool2d(features, 2),
    Upsample: lambda network, layer, features: functional.interpolate(
        features, scale_factor=2.0, mode="nearest"
    ),
    Channels: lambda network, layer, features: features[:, layer.start : layer.stop],
    Pad: lambda network, layer, features: functional.pad(features, (layer.width_px,) * 4),
    Border: lambda network, layer, features: _border(layer, features),
    Sum: lambda network, layer, features: reduce(
        operator.add, (network.run(branch, features) for branch in layer.branches)
    ),
    Concatenation: lambda network, layer, features: torch.cat(
        [network.run(branch, features) for branch in layer.branches], dim=1
    ),
}
"""How each kind of layer is computed; (batch, channels, y, x)."""


def set_parameters(network: LayeredNetwork, weights: Mapping[str, NDArray[np.float32]]) -> None:
    """Load the trainable part of backend-neutral weights into the network.

    Raises
    ------
    ValueError
        If they are not the weights of this architecture.
    """
    check_weights(weights, network.architecture)
    with torch.no_grad():
        for name, parameter in named_parameters(network).items():
            parameter.copy_(torch.from_numpy(np.ascontiguousarray(weights[name])))


def get_parameters(network: LayeredNetwork) -> Weights:
    """Return the trainable weights under their neutral names, in the neutral layout."""
    return {name: to_neutral(tensor) for name, tensor in named_parameters(network).items()}


def named_parameters(network: LayeredNetwork) -> dict[str, nn.Parameter]:
    """Return every trainable parameter under its neutral name."""
    found: dict[str, nn.Parameter] = {}
    for conv in network.architecture.convolutions():
        layer = network.convolutions[_key(conv.name)]
        found |= {f"{conv.name}.{name}": value for name, value in layer.named_parameters()}
    return found


def to_neutral(tensor: Tensor) -> NDArray[np.float32]:
    """Return a tensor as a weights file holds it."""
    result: NDArray[np.float32] = tensor.detach().cpu().contiguous().numpy().astype(np.float32)
    return result


def _key(name: str) -> str:
    return name.replace(".", "_")  # module names must not hold dots
