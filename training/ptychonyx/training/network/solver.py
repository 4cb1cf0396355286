"""Which layers the network of the solver has: a residual U-Net over the whole canvas of an object."""

from __future__ import annotations

from dataclasses import dataclass

from ptychonyx.runtime.model.manifest import NUM_CHANGE

from .layers import (
    LEAKY_RELU,
    AveragePool,
    Convolution,
    LayeredArchitecture,
    Layers,
    Sum,
    Upsample,
    convolutions,
    count_operations,
)

RESIDUAL_GAIN, LAST_GAIN = 0.3, 0.1
"""Factors on the first weights at the end of each residual block, and at the end of the network: an
untrained network changes little, so that training starts near the physics passes alone."""


@dataclass(frozen=True)
class SolverArchitecture(LayeredArchitecture):
    """The network that corrects an object between physics passes, and its sizes.

    It takes images of any height and width that are multiples of `stride`, and knows neither the
    size of the patterns nor the probe.

    Attributes
    ----------
    widths : tuple of int
        Channels at full size, at half of it, and so on.
    num_features : int
        Number of input images.

    Examples
    --------
    >>> architecture = SolverArchitecture()
    >>> architecture.num_parameters, architecture.stride
    (405530, 16)
    """

    widths: tuple[int, ...] = (16, 32, 40, 56, 56)
    num_features: int = 15

    def __post_init__(self) -> None:
        if not self.widths or min(*self.widths, self.num_features) < 1:
            raise ValueError(
                f"`widths` are {self.widths} and `num_features` is {self.num_features}; give one or "
                "more widths, and numbers of 1 or more."
            )

    @property
    def layers(self) -> Layers:
        """From the features (`num_features`, H, W) to the change (2, H, W)."""
        width = self.widths[0]
        return (
            Convolution("first", self.num_features, width),
            *_level(self.widths, 0),
            LEAKY_RELU,
            Convolution("last", width, NUM_CHANGE, gain=LAST_GAIN),
        )

    @property
    def stride(self) -> int:
        """Number that height and width must be multiples of."""
        return 1 << (len(self.widths) - 1)

    @property
    def summary(self) -> str:
        """Name and sizes, as a message shows them."""
        return f"solver, widths {self.widths}, {self.num_features} features"

    def convolutions(self) -> list[Convolution]:
        """Return every convolution, in the order in which weights are drawn."""
        return list(convolutions(self.layers))

    def num_operations(self, height: int, width: int) -> int:
        """Return the multiplications and additions of all convolutions, for one canvas.

        Examples
        --------
        >>> SolverArchitecture().num_operations(256, 256)
        4070965248
        """
        return count_operations(self.layers, (height, width))[0]


def _level(widths: tuple[int, ...], index: int) -> Layers:
    """Return the layers at one size of the image, and at all smaller ones."""
    width = widths[index]
    if index == len(widths) - 1:
        return (_residual("bottleneck", width),)
    below = widths[index + 1]
    halved: Layers = (
        AveragePool(),
        Convolution(f"down.{index}", width, below),
        *_level(widths, index + 1),
        Convolution(f"up.{index}", below, width),
        Upsample(),
    )
    return (
        _residual(f"encoder.{index}", width),
        Sum((halved, ())),
        _residual(f"decoder.{index}", width),
    )


def _residual(name: str, width: int) -> Sum:
    """Return x + conv(leaky_relu(conv(leaky_relu(x))))."""
    branch: Layers = (
        LEAKY_RELU,
        Convolution(f"{name}.conv1", width, width),
        LEAKY_RELU,
        Convolution(f"{name}.conv2", width, width, gain=RESIDUAL_GAIN),
    )
    return Sum(((), branch))
