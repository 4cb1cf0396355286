"""Which layers a network has: names and channel counts, before any framework is involved."""

from __future__ import annotations

import math
from dataclasses import dataclass

BOTTLENECK_PX = 8
BOTTLENECK_CHANNELS = 128


@dataclass(frozen=True)
class Convolution:
    """One 3×3 convolution: its name in the weights file, and its channels."""

    name: str
    num_in: int
    num_out: int


@dataclass(frozen=True)
class Architecture:
    """A network, as far as it decides which weights exist.

    Attributes
    ----------
    name : "cnn"
        Encoder with max pooling, two decoders (amplitude, phase) to full N×N, no skips.
    window_px : int
        Side N of the patterns.
    num_channels : int
        C, the patterns of a group.
    filters : float
        F, the factor on all widths.
    amplitude_max : float
        Bound of the amplitude head, amplitude_max · sigmoid.

    Examples
    --------
    >>> Architecture(window_px=64, filters=0.5).num_parameters
    289106
    >>> Architecture(window_px=64).num_parameters
    1154210
    """

    name: str = "cnn"
    window_px: int = 64
    num_channels: int = 1
    filters: float = 1.0
    amplitude_max: float = 2.0

    def __post_init__(self) -> None:
        check_window(self.window_px)

    @property
    def encoder_widths(self) -> tuple[int, ...]:
        """Channels of each encoder block; the last is the bottleneck."""
        num_blocks = _num_blocks(self.window_px)
        widths = [BOTTLENECK_CHANNELS >> shift for shift in range(num_blocks - 1, -1, -1)]
        return tuple(max(1, round(width * self.filters)) for width in widths)

    def encoder(self) -> list[tuple[Convolution, Convolution]]:
        """Return the two convolutions of each encoder block, in order."""
        return _blocks("encoder", self.num_channels, self.encoder_widths)

    def decoder(self, head: str) -> list[tuple[Convolution, Convolution]]:
        """Return the two convolutions of each block of the `"amplitude"` or `"phase"` decoder."""
        widths = self.encoder_widths[::-1]
        return _blocks(f"{head}.decoder", widths[0], widths)

    def head(self, head: str) -> Convolution:
        """Return the output convolution of a decoder."""
        return Convolution(f"{head}.head", self.encoder_widths[0], self.num_channels)

    def convolutions(self) -> list[Convolution]:
        """Return every convolution, in the order in which weights are drawn."""
        blocks = [*self.encoder()]
        found = [conv for block in blocks for conv in block]
        for head in ("amplitude", "phase"):
            found += [conv for block in self.decoder(head) for conv in block]
            found.append(self.head(head))
        return found

    @property
    def num_parameters(self) -> int:
        """Number of trainable numbers."""
        return sum(conv.num_out * (9 * conv.num_in + 1) for conv in self.convolutions())


def check_window(window_px: int) -> None:
    """Refuse a window that the network cannot halve often enough.

    Raises
    ------
    ValueError
        With the padded size that works.
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


def _blocks(
    prefix: str, num_in: int, widths: tuple[int, ...]
) -> list[tuple[Convolution, Convolution]]:
    blocks = []
    for index, width in enumerate(widths):
        name = f"{prefix}.{index}"
        blocks.append(
            (
                Convolution(f"{name}.conv1", num_in, width),
                Convolution(f"{name}.conv2", width, width),
            )
        )
        num_in = width
    return blocks
