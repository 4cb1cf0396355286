"""The network in PyTorch."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ..architecture import Architecture
from ..weights import Weights, check_weights

HEADS = ("amplitude", "phase")


class Network(nn.Module):
    """Scaled diffraction amplitude in, amplitude and phase of the object patch out.

    Both are (batch, C, N, N); phase in rad. Convolutions are named as in the weights file.
    """

    def __init__(self, architecture: Architecture, dtype: torch.dtype) -> None:
        super().__init__()
        self.architecture = architecture
        self.convolutions = nn.ModuleDict(
            {
                _key(conv.name): nn.Conv2d(conv.num_in, conv.num_out, 3, padding=1, dtype=dtype)
                for conv in architecture.convolutions()
            }
        )

    def forward(self, scaled_amplitude: Tensor) -> tuple[Tensor, Tensor]:
        """Return amplitude and phase (rad) of each pattern's object patch."""
        features = scaled_amplitude
        for first, second in self.architecture.encoder():
            features = self._convolve(first.name, features).relu()
            features = self._convolve(second.name, features).relu()
            features = functional.max_pool2d(features, 2)
        amplitude, phase = (self._decode(head, features) for head in HEADS)
        return self.architecture.amplitude_max * torch.sigmoid(amplitude), math.pi * torch.tanh(
            phase
        )

    def _decode(self, head: str, features: Tensor) -> Tensor:
        for first, second in self.architecture.decoder(head):
            features = self._convolve(first.name, features).relu()
            features = self._convolve(second.name, features).relu()
            features = functional.interpolate(features, scale_factor=2.0, mode="nearest")
        return self._convolve(self.architecture.head(head).name, features)

    def _convolve(self, name: str, features: Tensor) -> Tensor:
        result: Tensor = self.convolutions[_key(name)](features)
        return result


def build_network(architecture: Architecture, *, dtype: str = "float32") -> Network:
    """Build the network; its weights are PyTorch's own until `set_weights`."""
    network = Network(architecture, getattr(torch, dtype))
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


def get_weights(network: Network) -> Weights:
    """Return the network's weights under their neutral names, in the neutral layout."""
    return {
        name: parameter.detach().cpu().contiguous().numpy().astype(np.float32)
        for name, parameter in named_parameters(network).items()
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
    amplitude : tensor, shape (B, C, N, N)
        Square root of counts, not scaled.
    scale : tensor, shape (B,) or (1,)
        Input scale of each sample's scan.

    Returns
    -------
    complex tensor, shape (B, C, N, N)
    """
    modulus, phase = network(amplitude * scale[:, None, None, None])
    return torch.complex(modulus * torch.cos(phase), modulus * torch.sin(phase))


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
