"""The layers a network may have, as plain data: each backend knows how to compute every one.

Only layers that are exact across TensorFlow, PyTorch and ONNX are here. Channels are counted in `num_in` and
`num_out`; what a layer means does not depend on the memory layout.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

ACTIVATIONS = ("relu", "leaky_relu", "sigmoid", "swish", "softplus", "tanh")
"""What a name means: max(x, 0); max(x, x/10); 1/(1+e^-x); x/(1+e^-x); ln(1+e^x); tanh x."""
LEAK = 0.1
"""Slope of `leaky_relu` below zero."""
INNER_ACTIVATIONS = ("relu", "leaky_relu")
"""Those between convolutions, which keep the precision of what they are given."""


@dataclass(frozen=True)
class Convolution:
    """A 3×3 convolution with bias, zero-padded to keep the size.

    Its first weights are drawn `gain` times as large as they would be on their own.
    """

    name: str
    num_in: int
    num_out: int
    gain: float = 1.0


@dataclass(frozen=True)
class Activation:
    """factor · function(x), element by element."""

    function: str
    factor: float = 1.0


@dataclass(frozen=True)
class MaxPool:
    """The largest of each 2×2 pixels."""


@dataclass(frozen=True)
class AveragePool:
    """The mean of each 2×2 pixels."""


@dataclass(frozen=True)
class Upsample:
    """Every pixel becomes 2×2 equal ones."""


@dataclass(frozen=True)
class Channels:
    """Only the channels from `start` to `stop`, excluded."""

    start: int
    stop: int


@dataclass(frozen=True)
class Pad:
    """Zeros around the image, `width_px` on every side."""

    width_px: int


@dataclass(frozen=True)
class Border:
    """Zeros everywhere but in a frame of `width_px` along the edges of an N×N image."""

    window_px: int
    width_px: int


@dataclass(frozen=True)
class Sum:
    """The sum of the outputs of several branches, which have the same input."""

    branches: tuple[Layers, ...]


@dataclass(frozen=True)
class Concatenation:
    """The channels of the outputs of several branches, which have the same input."""

    branches: tuple[Layers, ...]


Layer = (
    Convolution
    | Activation
    | MaxPool
    | AveragePool
    | Upsample
    | Channels
    | Pad
    | Border
    | Sum
    | Concatenation
)
Layers = tuple[Layer, ...]
Size = tuple[int, int]
"""Height and width of an image."""

RELU = Activation("relu")
LEAKY_RELU = Activation("leaky_relu")


def block(name: str, num_in: int, width: int, num_out: int | None = None) -> Layers:
    """Return two convolutions, each with its ReLU; the second has `width` outputs, unless told."""
    return (
        Convolution(f"{name}.conv1", num_in, width),
        RELU,
        Convolution(f"{name}.conv2", width, num_out or width),
        RELU,
    )


def convolutions(layers: Layers) -> Iterator[Convolution]:
    """Yield every convolution, in the order in which they are computed."""
    for layer in layers:
        if isinstance(layer, Convolution):
            yield layer
        for branch in layer.branches if isinstance(layer, Sum | Concatenation) else ():
            yield from convolutions(branch)


class LayeredArchitecture(ABC):
    """A network that is described by layers: what its weights need to know."""

    @abstractmethod
    def convolutions(self) -> list[Convolution]:
        """Return every convolution, in the order in which weights are drawn."""

    @property
    @abstractmethod
    def summary(self) -> str:
        """Name and sizes, as a message shows them."""

    def constant_shapes(self, num_modes: int) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the constants among the weights, for a probe of so many modes."""
        return {}

    @property
    def num_parameters(self) -> int:
        """Number of trainable numbers."""
        return sum(conv.num_out * (9 * conv.num_in + 1) for conv in self.convolutions())


def count_operations(layers: Layers, size_px: Size) -> tuple[int, Size]:
    """Return multiplications and additions of the convolutions, and the size of the image after.

    Parameters
    ----------
    layers : tuple of layers
    size_px : tuple of int
        Height and width of the image.

    Examples
    --------
    >>> count_operations((Convolution("first", 1, 2), MaxPool()), (8, 16))
    (4608, (4, 8))
    """
    total = 0
    for layer in layers:
        count, size_px = OPERATIONS[type(layer)](layer, size_px)
        total += count
    return total, size_px


def _count_convolution(layer: Convolution, size_px: Size) -> tuple[int, Size]:
    height, width = size_px
    return 2 * 9 * layer.num_in * layer.num_out * height * width, size_px


def _halved(size_px: Size) -> tuple[int, Size]:
    return 0, (size_px[0] // 2, size_px[1] // 2)


def _count_branches(layer: Sum | Concatenation, size_px: Size) -> tuple[int, Size]:
    counts = [count_operations(branch, size_px) for branch in layer.branches]
    return sum(count for count, _ in counts), counts[0][1]


OPERATIONS: dict[type[Layer], Callable[[Any, Size], tuple[int, Size]]] = {
    Convolution: _count_convolution,
    Activation: lambda layer, size_px: (0, size_px),
    MaxPool: lambda layer, size_px: _halved(size_px),
    AveragePool: lambda layer, size_px: _halved(size_px),
    Upsample: lambda layer, size_px: (0, (2 * size_px[0], 2 * size_px[1])),
    Channels: lambda layer, size_px: (0, size_px),
    Pad: lambda layer, size_px: (
        0,
        (size_px[0] + 2 * layer.width_px, size_px[1] + 2 * layer.width_px),
    ),
    Border: lambda layer, size_px: (0, size_px),
    Sum: _count_branches,
    Concatenation: _count_branches,
}
"""Kind of layer -> function that returns the operations it adds, and the size of the image after it."""
