"""Which layers a network has, before any framework is involved."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from .backprojection import OBJECT, SPECTRUM
from .layers import (
    Activation,
    Border,
    Channels,
    Concatenation,
    Convolution,
    LayeredArchitecture,
    Layers,
    MaxPool,
    Pad,
    Sum,
    Upsample,
    block,
    convolutions,
    count_operations,
)

BOTTLENECK_PX = 8
BOTTLENECK_CHANNELS = 128
BORDER_CHANNELS = 4
"""Decoder channels that `ptychopinn` sets aside for its border."""
NUM_BACKPROJECTED = 3
"""Amplitude, real and imaginary part of the back-projection."""
HEADS = ("amplitude", "phase")
AMPLITUDE_ACTIVATIONS = ("sigmoid", "swish", "softplus", "relu")


@dataclass(frozen=True)
class Architecture(LayeredArchitecture):
    """A network and its sizes.

    Attributes
    ----------
    name : "cnn", "unet" or "ptychopinn"
        One of `NETWORKS`.
    window_px : int
        Side N of the patterns.
    num_channels : int
        C, the patterns of a group.
    filters : float
        F, the factor on all widths.
    amplitude_activation : str
        One of `AMPLITUDE_ACTIVATIONS`; a sigmoid is multiplied by `amplitude_max`.
    amplitude_max : float
        Bound of a sigmoid amplitude.
    pad_object, probe_big : bool
        For `ptychopinn`: the decoders stop at the central N/2×N/2 and zeros are put around it; a
        cheap branch fills in that border.

    Examples
    --------
    >>> Architecture(window_px=64, filters=0.5).num_parameters
    289106
    >>> Architecture(window_px=64).num_parameters
    1154210
    >>> Architecture("unet", window_px=64, filters=0.5).num_parameters
    268514
    >>> Architecture("ptychopinn", window_px=64, filters=2).num_parameters
    2331772
    """

    name: str = "cnn"
    window_px: int = 64
    num_channels: int = 1
    filters: float = 1.0
    amplitude_activation: str = "sigmoid"
    amplitude_max: float = 2.0
    pad_object: bool = True
    probe_big: bool = True

    def __post_init__(self) -> None:
        check_window(self.window_px)

    @property
    def trunk(self) -> Layers:
        """From the input (`num_features`, N, N) to the features that both heads share."""
        return NETWORKS[self.name].trunk(self)

    def head(self, name: str) -> Layers:
        """From the shared features to the `"amplitude"` or `"phase"` (rad), (C, N, N)."""
        amplitude_factor = self.amplitude_max if self.amplitude_activation == "sigmoid" else 1.0
        activation = {
            "amplitude": Activation(self.amplitude_activation, amplitude_factor),
            "phase": Activation("tanh", math.pi),
        }[name]
        return NETWORKS[self.name].head(self, name, activation)

    @property
    def is_backprojected(self) -> bool:
        """Whether the input also holds the back-projection of each pattern."""
        return NETWORKS[self.name].is_backprojected

    @property
    def num_features(self) -> int:
        """Number of input images: the scaled amplitudes, and perhaps their back-projections."""
        return self.num_channels * (NUM_BACKPROJECTED if self.is_backprojected else 1)

    @property
    def encoder_widths(self) -> tuple[int, ...]:
        """Channels of each encoder block; the last is the bottleneck."""
        num_blocks = _num_blocks(self.window_px)
        return self.widths(*(BOTTLENECK_CHANNELS >> shift for shift in reversed(range(num_blocks))))

    def widths(self, *channels: int) -> tuple[int, ...]:
        """Return channel counts multiplied by F."""
        return tuple(max(1, round(num * self.filters)) for num in channels)

    def convolutions(self) -> list[Convolution]:
        """Return every convolution, in the order in which weights are drawn."""
        heads = (conv for name in HEADS for conv in convolutions(self.head(name)))
        return [*convolutions(self.trunk), *heads]

    @property
    def summary(self) -> str:
        """Name and sizes, as a message shows them."""
        return f"{self.name}, N={self.window_px}, F={self.filters:g}"

    def constant_shapes(self, num_modes: int) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the constants of a back-projection through so many modes."""
        if not self.is_backprojected:
            return {}
        return dict.fromkeys((SPECTRUM, OBJECT), (num_modes, 2, self.window_px, self.window_px))

    @property
    def num_operations(self) -> int:
        """Multiplications and additions of all convolutions, for one sample of C patterns.

        Examples
        --------
        >>> Architecture(window_px=64).num_operations
        611057664
        """
        total, size_px = count_operations(self.trunk, (self.window_px, self.window_px))
        return total + sum(count_operations(self.head(name), size_px)[0] for name in HEADS)


def _encoder(architecture: Architecture) -> Layers:
    layers: Layers = ()
    num_in = architecture.num_features
    for index, width in enumerate(architecture.encoder_widths):
        layers += (*block(f"encoder.{index}", num_in, width), MaxPool())
        num_in = width
    return layers


def _decoder(name: str, num_in: int, widths: tuple[int, ...]) -> Layers:
    layers: Layers = ()
    for index, width in enumerate(widths):
        layers += (*block(f"{name}.decoder.{index}", num_in, width), Upsample())
        num_in = width
    return layers


def _cnn(architecture: Architecture, name: str, activation: Activation) -> Layers:
    """Mirror the encoder up to full N×N."""
    widths = architecture.encoder_widths[::-1]
    last = Convolution(f"{name}.head", widths[-1], architecture.num_channels)
    return (*_decoder(name, widths[0], widths), last, activation)


def _ptychopinn(architecture: Architecture, name: str, activation: Activation) -> Layers:
    """Decode the central N/2×N/2 and put zeros, or a branch of its own, around it.

    The layers of PtychoPINN, so that its trained weights fit; its border is always swish.
    """
    num, side = architecture.num_channels, architecture.window_px
    num_doublings = _num_blocks(side) - 1
    widths = architecture.widths(*(32 << shift for shift in reversed(range(num_doublings))))
    (wide,) = architecture.widths(2048 // side)
    base = _decoder(name, architecture.encoder_widths[-1], widths)

    def doubled(part: str, num_in: int) -> Layers:
        return (*block(f"{name}.{part}", num_in, wide), Upsample())

    if not architecture.pad_object:
        last = Convolution(f"{name}.head", wide, num)
        return (*base, *doubled("full", widths[-1]), last, activation)
    num_inner = widths[-1] - BORDER_CHANNELS
    inner: Layers = (
        Channels(0, num_inner),
        Convolution(f"{name}.head", num_inner, num),
        activation,
        Pad(side // 4),
    )
    if not architecture.probe_big:
        return (*base, *inner)
    border: Layers = (
        Channels(num_inner, widths[-1]),
        *doubled("border", BORDER_CHANNELS),
        Convolution(f"{name}.border.head", wide, num),
        Activation("swish"),
        Border(side, side // 4),
    )
    return (*base, Sum((inner, border)))


def _unet(architecture: Architecture) -> Layers:
    """Halve and double the size, and keep the features of each: Ronneberger et al., 2015.

    Its input must already lie in the plane of the object, as a back-projection does.
    """
    widths = architecture.encoder_widths
    layers = block("bottleneck", widths[-1], widths[-1])
    for index in reversed(range(len(widths))):
        width, num_in = widths[index], (architecture.num_features, *widths)[index]
        layers = (
            *block(f"encoder.{index}", num_in, width),
            Concatenation(((MaxPool(), *layers, Upsample()), ())),
            *block(f"decoder.{index}", 2 * width, width, widths[max(index - 1, 0)]),
        )
    return layers


def _unet_head(architecture: Architecture, name: str, activation: Activation) -> Layers:
    num_in = architecture.encoder_widths[0]
    return (Convolution(f"{name}.head", num_in, architecture.num_channels), activation)


@dataclass(frozen=True)
class NetworkDesign:
    """A trunk, of the architecture; a head, of the architecture, its name and activation."""

    trunk: Callable[[Architecture], Layers]
    head: Callable[[Architecture, str, Activation], Layers]
    is_backprojected: bool = False


NETWORKS = {
    "cnn": NetworkDesign(_encoder, _cnn),
    "unet": NetworkDesign(_unet, _unet_head, is_backprojected=True),
    "ptychopinn": NetworkDesign(_encoder, _ptychopinn),
}


def check_window(window_px: int) -> None:
    """Refuse a window that the network cannot halve often enough.

    Raises
    ------
    ValueError
        It names the padded size that works.
    """
    if window_px < 2 * BOTTLENECK_PX:
        raise ValueError(
            f"The patterns are {window_px}×{window_px}; pad them to at least "
            f"{2 * BOTTLENECK_PX}×{2 * BOTTLENECK_PX}."
        )
    stride = 2 ** _num_blocks(window_px)
    if window_px % stride:
        padded = math.ceil(window_px / stride) * stride
        padded = next(
            size for size in range(padded, 4 * padded, 2) if size % 2 ** _num_blocks(size) == 0
        )
        raise ValueError(
            f"The patterns are {window_px}×{window_px}, but the network needs a side divisible by "
            f"its stride {stride}; pad them with zeros to {padded}×{padded}, DC staying at "
            f"[{padded // 2}, {padded // 2}]."
        )


def _num_blocks(window_px: int) -> int:
    return int(math.log2(window_px / BOTTLENECK_PX))
