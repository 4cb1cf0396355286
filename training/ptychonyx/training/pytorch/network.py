"""The network in PyTorch."""

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


class Network(nn.Module):
    """Map input features (see `features`) to amplitude and phase of each object patch.

    Both are (batch, C, N, N); phase in rad. Convolutions are named as in the weights file.
    """

    spectrum: Tensor
    object_: Tensor

    def __init__(self, architecture: Architecture, dtype: torch.dtype, precision: str) -> None:
        super().__init__()
        self.architecture = architecture
        self.precision = precision
        self.convolutions = nn.ModuleDict(
            {
                _key(conv.name): nn.Conv2d(conv.num_in, conv.num_out, 3, padding=1, dtype=dtype)
                for conv in architecture.convolutions()
            }
        )

        for name in ("spectrum", "object_"):  # of `backproject`; they come with the weights
            self.register_buffer(name, torch.zeros(0, dtype=dtype), persistent=False)

    def features(self, scaled_amplitude: Tensor) -> Tensor:
        """Return the input of the network, from scaled amplitudes (batch, C, N, N)."""
        if not self.architecture.is_backprojected:
            return scaled_amplitude
        seen = backproject(scaled_amplitude, self.spectrum, self.object_)
        return torch.stack((scaled_amplitude, seen.real, seen.imag), dim=2).flatten(1, 2)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return amplitude and phase (rad) of each pattern's object patch."""
        if self.precision == "bfloat16":
            with torch.autocast(features.device.type, torch.bfloat16):
                return self._forward(features)
        return self._forward(features)

    def _forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        features = self.run(self.architecture.trunk, features)
        amplitude, phase = (self.run(self.architecture.head(name), features) for name in HEADS)
        return amplitude, phase

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
    if layer.function != "relu":
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
    "sigmoid": torch.sigmoid,
    "swish": lambda features: features * torch.sigmoid(features),
    "softplus": functional.softplus,
    "tanh": torch.tanh,
}
LAYERS: dict[type[Layer], Callable[[Network, Any, Tensor], Tensor]] = {
    Convolution: Network.convolve,
    Activation: lambda network, layer, features: _activate(layer, features),
    MaxPool: lambda network, layer, features: functional.max_pool2d(features, 2),
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


def build_network(
    architecture: Architecture, *, dtype: str = "float32", precision: str = "float32"
) -> Network:
    """Build the network; its weights are PyTorch's own until `set_weights`.

    `dtype` is that of the weights; with `precision` "bfloat16" convolutions are computed in it.
    """
    network = Network(architecture, getattr(torch, dtype), precision)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def set_weights(network: Network, weights: Mapping[str, NDArray[np.float32]]) -> None:
    """Load backend-neutral weights into the network.

    Raises
    ------
    ValueError
        If they are not the weights of this architecture.
    """
    check_weights(weights, network.architecture)
    with torch.no_grad():
        for name, parameter in named_parameters(network).items():
            parameter.copy_(torch.from_numpy(np.ascontiguousarray(weights[name])))
        if network.architecture.is_backprojected:
            network.spectrum = torch.from_numpy(weights[SPECTRUM]).to(network.spectrum)
            network.object_ = torch.from_numpy(weights[OBJECT]).to(network.object_)


def get_weights(network: Network) -> Weights:
    """Return the network's weights under their neutral names, in the neutral layout."""
    tensors: dict[str, Tensor] = {**named_parameters(network)}
    if network.architecture.is_backprojected:
        tensors |= {SPECTRUM: network.spectrum, OBJECT: network.object_}
    return {
        name: tensor.detach().cpu().contiguous().numpy().astype(np.float32)
        for name, tensor in tensors.items()
    }


def named_parameters(network: Network) -> dict[str, nn.Parameter]:
    """Return every trainable parameter under its neutral name."""
    found: dict[str, nn.Parameter] = {}
    for conv in network.architecture.convolutions():
        layer = network.convolutions[_key(conv.name)]
        found |= {f"{conv.name}.{name}": value for name, value in layer.named_parameters()}
    return found


def apply_network(network: Network, amplitude: Tensor, scale: Tensor) -> Tensor:
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
    num_channels, side = network.architecture.num_channels, amplitude.shape[-1]
    features = network.features(scaled.reshape(-1, num_channels, side, side))
    modulus, phase = network(features)
    patches = torch.complex(modulus * torch.cos(phase), modulus * torch.sin(phase))
    return patches.reshape(amplitude.shape)


def predict(
    network: Network, amplitude: NDArray[np.float32], scale: float
) -> NDArray[np.complex64]:
    """Reconstruct object patches (B, C, N, N) outside training; the native answer of a model."""
    with torch.inference_mode():
        patches = apply_network(
            network.eval(), torch.from_numpy(amplitude), torch.tensor([scale], dtype=torch.float32)
        )
    result: NDArray[np.complex64] = patches.cpu().numpy()
    return result


def _key(name: str) -> str:
    return name.replace(".", "_")  # module names must not hold dots
