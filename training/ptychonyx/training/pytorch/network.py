"""The network in PyTorch."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..network.architecture import HEADS, Architecture
from ..network.backprojection import OBJECT, SPECTRUM
from ..network.weights import Weights
from .backprojection import backproject
from .layers import LayeredNetwork, get_parameters, set_parameters, to_neutral


class Network(LayeredNetwork):
    """Map input features (see `features`) to amplitude and phase of each object patch.

    Both are (batch, C, N, N); phase in rad.
    """

    architecture: Architecture
    spectrum: Tensor
    object_: Tensor

    def __init__(self, architecture: Architecture, dtype: torch.dtype, precision: str) -> None:
        super().__init__(architecture, dtype)
        self.precision = precision
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
    set_parameters(network, weights)
    if network.architecture.is_backprojected:
        network.spectrum = torch.from_numpy(weights[SPECTRUM]).to(network.spectrum)
        network.object_ = torch.from_numpy(weights[OBJECT]).to(network.object_)


def get_weights(network: Network) -> Weights:
    """Return the network's weights under their neutral names, in the neutral layout."""
    weights = get_parameters(network)
    if network.architecture.is_backprojected:
        weights |= {SPECTRUM: to_neutral(network.spectrum), OBJECT: to_neutral(network.object_)}
    return weights


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
