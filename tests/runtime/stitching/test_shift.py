"""The shift by blocks equals taps on a patch that goes on, mirrored, beyond its edges."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ptychonyx.runtime.stitching.shift import REACH_PX, Shifter, nearest_taps


def mirrored(line: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a line with what lies beyond its ends: the mirror image, turned about the end."""
    distances = np.minimum(np.arange(1, REACH_PX + 1), len(line) - 1)
    before, after = 2 * line[0] - line[distances], 2 * line[-1] - line[-1 - distances]
    return np.concatenate([before[::-1], line, after])


@pytest.mark.parametrize("patch_shape", [(1, 2), (3, 5), (16, 9), (40, 33)])
def test_blocks_of_the_product_leave_nothing_out(patch_shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    shifter = Shifter(3, 2, patch_shape)
    for count in (3, 2):  # fewer than before: what was left in memory must not count
        layers = rng.normal(size=(count, patch_shape[0], 2, patch_shape[1]))
        shifter.layers[:count] = layers
        taps = nearest_taps(rng.uniform(-0.5, 0.5, (count, 2)))
        expected = layers
        for number, axis in enumerate((1, 3)):
            wide = np.apply_along_axis(mirrored, axis, expected)
            reached = np.lib.stride_tricks.sliding_window_view(wide, taps.shape[-1], axis=axis)
            expected = np.einsum("k...t,kt->k...", reached, taps[:, number, ::-1])
        np.testing.assert_allclose(shifter.shift(taps), expected, atol=1e-5)


def test_a_shift_by_nothing_changes_nothing() -> None:
    shifter = Shifter(1, 1, (9, 7))
    shifter.layers[:] = np.random.default_rng(0).normal(size=shifter.layers.shape)
    np.testing.assert_array_equal(shifter.shift(nearest_taps(np.zeros((1, 2)))), shifter.layers)
