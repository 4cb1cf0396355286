"""The receptive field is what an output changes with, and no more than that."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from bare_networks import CHANNELS, NETWORKS, SIDE, Bare, built, run_bare

from ptychonyx.export.graph.receptive_field import BareGraph, Interval, Region

INPUT = "scaled_amplitude"
WANTED = [(0, 3), (5, 7), (4, 12), (6, 10), (9, 16), (0, 16)]


def responses(name: str, wanted: Interval, changed: np.ndarray) -> np.ndarray:
    """Return how much modulus and phase in the wanted square change with these pixels."""
    rng = np.random.default_rng(1)
    amplitude = rng.random((8, CHANNELS, SIDE, SIDE), dtype=np.float32)
    other = np.where(changed, 5 * rng.random(amplitude.shape, dtype=np.float32), amplitude)
    square = (..., slice(*wanted), slice(*wanted))
    graph = built(name)
    return np.array(
        [
            np.abs(one[square] - two[square]).max()
            for one, two in zip(
                run_bare(graph, SIDE, amplitude), run_bare(graph, SIDE, other), strict=True
            )
        ]
    )


@pytest.mark.parametrize("wanted", WANTED)
@pytest.mark.parametrize("name", NETWORKS)
def test_pixels_outside_change_nothing_and_those_at_the_edge_do(
    name: str, wanted: Interval
) -> None:
    fields = BareGraph(built(name), SIDE).receptive_field(Region((0, CHANNELS), wanted))
    start, stop = fields[INPUT].pixels
    assert fields[INPUT].channels == (0, CHANNELS)
    outside = np.ones((SIDE, SIDE), dtype=bool)
    outside[start:stop, start:stop] = False
    np.testing.assert_array_equal(responses(name, wanted, outside), 0)
    for edge in (start, stop - 1):
        row = np.zeros((SIDE, SIDE), dtype=bool)
        row[edge] = True
        assert responses(name, wanted, row).min() > 0


def test_channels_of_a_border_do_not_belong_to_the_field_of_the_center() -> None:
    graph = BareGraph(built("bordered"), SIDE)

    def widest(pixels: Interval) -> int:
        fields = graph.receptive_field(Region((0, CHANNELS), pixels))
        return max(region.channels[1] for region in fields.values())

    assert widest((4, 12)) == 5  # the trunk's; the border reads channels 4 to 6 behind it
    assert widest((3, 12)) == 7


def convolution(bare: Bare) -> None:
    bare.conv(INPUT, CHANNELS, 3)


def upsampled_convolution(bare: Bare) -> None:
    bare.conv(bare.upsample(INPUT), CHANNELS, 3)


def convolution_of_the_second_channel(bare: Bare) -> None:
    bare.conv(bare.channels(INPUT, 1, 2), 1, 3)
    bare.conv(INPUT, CHANNELS, 3)


def pooling(bare: Bare) -> None:
    bare.node("MaxPool", INPUT, kernel_shape=[2, 2], strides=[2, 2])


def upsampling(bare: Bare) -> None:
    bare.node("Relu", bare.upsample(INPUT))


def padding(bare: Bare) -> None:
    bare.node("Pad", INPUT, bare.constant(np.array([0, 0, 4, 4, 0, 0, 4, 4], np.int64)))


@pytest.mark.parametrize(
    ("write", "wanted", "pixels"),
    [
        (convolution, (5, 7), (4, 8)),
        (convolution, (0, 7), (0, 8)),
        (convolution, (9, 16), (8, 16)),
        (upsampled_convolution, (9, 11), (4, 6)),
        (upsampled_convolution, (0, 32), (0, 16)),
        (pooling, (2, 3), (4, 6)),
        (upsampling, (5, 8), (2, 4)),
        (padding, (6, 10), (2, 6)),
        (padding, (0, 8), (0, 4)),
    ],
)
def test_each_operator_reads_the_pixels_it_needs(
    write: Callable[[Bare], None], wanted: Interval, pixels: Interval
) -> None:
    bare = Bare()
    write(bare)
    fields = BareGraph(bare.graph(), SIDE).receptive_field(Region((0, 1), wanted))
    assert fields[INPUT].pixels == pixels


def test_a_padding_does_not_depend_on_anything_where_it_is_zero() -> None:
    bare = Bare()
    padding(bare)
    assert INPUT not in BareGraph(bare.graph(), SIDE).receptive_field(Region((0, 1), (0, 4)))


def test_concatenated_tensors_are_read_in_their_own_channels() -> None:
    bare = Bare()
    first, second = bare.conv(INPUT, CHANNELS, 2), bare.conv(INPUT, CHANNELS, 2)
    bare.node("Concat", first, second, axis=1)
    graph = BareGraph(bare.graph(), SIDE)
    fields = graph.receptive_field(Region((1, 3), (4, 8)))
    assert (fields[first].channels, fields[second].channels) == ((1, 2), (0, 1))
    assert first not in graph.receptive_field(Region((2, 4), (4, 8)))


def test_uses_of_an_operator_that_have_no_rule_are_refused() -> None:
    sliced = Bare()
    limits = (sliced.constant(np.array([each], np.int64)) for each in (0, 4, 2))
    sliced.conv(sliced.node("Slice", INPUT, *limits), CHANNELS, 3)
    tripled = Bare()
    tripled.node("Resize", INPUT, "", tripled.constant(np.array([1, 1, 3, 3], np.float32)))
    uneven = Bare()
    widths = uneven.constant(np.array([0, 0, 1, 1, 0, 0, 2, 2], np.int64))
    uneven.node("Pad", INPUT, widths)
    for bare, match in (
        (sliced, r"Slice with axes \[2\]"),
        (tripled, r"Resize with scales \[1\.0, 1\.0, 3\.0, 3\.0\]"),
        (uneven, r"Pad with widths .* add a rule to"),
    ):
        with pytest.raises(RuntimeError, match=match):
            BareGraph(bare.graph(), SIDE)
