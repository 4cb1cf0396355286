"""The shift by blocks equals the whole matrix product."""

from __future__ import annotations

import numpy as np
import pytest

from ptychonyx.runtime.stitching.shift import NUM_TAPS, Shifter, shift_matrices, shift_taps


@pytest.mark.parametrize("patch_shape", [(3, 5), (16, 9), (40, 33)])
def test_blocks_of_the_product_leave_nothing_out(patch_shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    shifter = Shifter(3, 2, patch_shape)
    for count in (3, 2):  # fewer than before: what was left in memory must not count
        layers = rng.normal(size=(count, patch_shape[0], 2, patch_shape[1]))
        shifter.layers[:count] = layers
        taps = shift_taps(rng.uniform(0, 1, (count, 2)))
        down, across = (shift_matrices(taps[:, axis], patch_shape[axis]) for axis in range(2))
        expected = np.einsum("kay,kylx,kbx->kalb", down, layers, across)
        assert expected.shape[1] == patch_shape[0] + NUM_TAPS - 1
        np.testing.assert_allclose(shifter.shift(taps), expected, atol=1e-5)
