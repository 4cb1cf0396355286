"""The layers a network may have, as plain data: each backend knows how to compute every one.

Only layers that are exact across TensorFlow, PyTorch and ONNX are here. Images are N×N, channels
are counted in `num_in` and `num_out`; what a layer means does not depend on the memory layout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

ACTIVATIONS = ("relu", "sigmoid", "swish", "softplus", "tanh")
"""What a name means: max(x, 0); 1/(1+e^-x); x/(1+e^-x); ln(1+e^x); tanh x."""


@dataclass(frozen=True)
class Convolution:
    """A 3×3 convolution with bias, zero-padded to keep the size."""

    name: str
    num_in: int
    num_out: int


@dataclass(frozen=True)
class Activation:
    """factor · function(x), element by element."""

    function: str
    factor: float = 1.0


@dataclass(frozen=True)
class MaxPool:
    """The largest of each 2×2 pixels."""


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
    Convolution | Activation | MaxPool | Upsample | Channels | Pad | Border | Sum | Concatenation
)
Layers = tuple[Layer, ...]

RELU = Activation("relu")


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


def count_operations(layers: Layers, side_px: int) -> tuple[int, int]:
    """Return multiplications and additions of the convolutions, and the side of the image after.

    Examples
    --------
    >>> count_operations((Convolution("first", 1, 2), MaxPool()), 8)
    (2304, 4)
    """
    total = 0
    for layer in layers:
        count, side_px = OPERATIONS[type(layer)](layer, side_px)
        total += count
    return total, side_px


def _count_branches(layer: Sum | Concatenation, side_px: int) -> tuple[int, int]:
    counts = [count_operations(branch, side_px) for branch in layer.branches]
    return sum(count for count, _ in counts), counts[0][1]


OPERATIONS: dict[type[Layer], Callable[[Any, int], tuple[int, int]]] = {
    Convolution: lambda layer, side_px: (
        2 * 9 * layer.num_in * layer.num_out * side_px**2,
        side_px,
    ),
    Activation: lambda layer, side_px: (0, side_px),
    MaxPool: lambda layer, side_px: (0, side_px // 2),
    Upsample: lambda layer, side_px: (0, 2 * side_px),
    Channels: lambda layer, side_px: (0, side_px),
    Pad: lambda layer, side_px: (0, side_px + 2 * layer.width_px),
    Border: lambda layer, side_px: (0, side_px),
    Sum: _count_branches,
    Concatenation: _count_branches,
}
"""Kind of layer -> function that returns the operations it adds, and the side of the image after it."""
