"""A reduced graph gives the central pixels of the whole one, for fewer products."""

from __future__ import annotations

import numpy as np
import pytest
from bare_networks import CHANNELS, NETWORKS, SIDE, Bare, built, run_bare

from ptychonyx.export.graph.reduce import polyphase, reduce_operations


@pytest.mark.parametrize("side", [1, 2, 5, 6, 7, 8, 9, 10, 13, 14, 15, 16])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_center_is_what_the_whole_graph_gives(name: str, side: int) -> None:
    amplitude = np.random.default_rng(1).random((3, CHANNELS, SIDE, SIDE), dtype=np.float32)
    graph = built(name)
    reduced = reduce_operations(graph, num_channels=CHANNELS, window_px=SIDE, patch_px=side)
    start = (SIDE - side) // 2
    for whole, center in zip(
        run_bare(graph, SIDE, amplitude), run_bare(reduced, side, amplitude), strict=True
    ):
        expected = whole[..., start : start + side, start : start + side]
        assert np.ptp(expected) > 0
        np.testing.assert_allclose(center, expected, atol=1e-5)


def test_nothing_is_upsampled_and_nothing_of_a_border_is_left() -> None:
    whole, center = (
        reduce_operations(built("bordered"), num_channels=CHANNELS, window_px=SIDE, patch_px=side)
        for side in (16, 8)
    )
    assert {node.op_type for node in whole.node} >= {"DepthToSpace", "Pad", "Add"}
    ops = {node.op_type for node in center.node}
    assert ops == {"Conv", "MaxPool", "Relu", "Mul", "Sigmoid", "DepthToSpace", "Slice"}
    # the channels of the border are not computed either
    shapes = {tuple(tensor.dims) for tensor in center.initializer}
    assert (4, 5, 3, 3) in shapes
    assert (7, 5, 3, 3) not in shapes


def test_polyphase_kernels_interleave_to_the_convolution_of_the_upsampled_image() -> None:
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(1, 1, 3, 3)).astype(np.float32)
    image = rng.normal(size=(5, 5))
    doubled = image.repeat(2, axis=0).repeat(2, axis=1)

    def correlate(of: np.ndarray, taps: np.ndarray) -> np.ndarray:
        windows = np.lib.stride_tricks.sliding_window_view(of, taps.shape)
        return np.einsum("yxab,ab->yx", windows, taps)

    expected = correlate(doubled, kernel[0, 0].astype(np.float64))
    phases = [correlate(image, taps[0].astype(np.float64)) for taps in polyphase(kernel)]
    interleaved = np.empty((8, 8))
    for index, phase in enumerate(phases):
        interleaved[index // 2 :: 2, index % 2 :: 2] = phase
    np.testing.assert_allclose(interleaved, expected, atol=1e-5)


def test_an_unknown_operator_is_named() -> None:
    bare = Bare()
    bare.node("Elu", "scaled_amplitude", output="modulus")
    bare.node("Relu", "scaled_amplitude", output="phase")
    with pytest.raises(RuntimeError, match=r"Elu with no rule.*receptive_field\.OPERATORS"):
        reduce_operations(bare.graph(), num_channels=CHANNELS, window_px=SIDE, patch_px=8)
