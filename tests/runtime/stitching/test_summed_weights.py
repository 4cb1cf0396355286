"""One convolution gives what shifting and adding the weights of every patch would."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ptychonyx.runtime.stitching.shift import NUM_BEFORE, shift_matrices, shift_taps
from ptychonyx.runtime.stitching.summed_weights import TILE_PX, SummedWeights


def added_one_by_one(
    shape: tuple[int, int], weights: NDArray[np.float64], corners_px: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return summed weights and coverage, patch after patch, on a canvas with a wide margin."""
    margin = 40
    total, count = (np.zeros(np.array(shape) + 2 * margin) for _ in range(2))
    for corner in corners_px:
        y, x = np.floor(corner).astype(int)
        taps = shift_taps(corner - (y, x))
        down, across = (
            shift_matrices(taps[axis, None], weights.shape[axis])[0] for axis in range(2)
        )
        shifted = down @ weights @ across.T
        top, left = y - NUM_BEFORE + margin, x - NUM_BEFORE + margin
        total[top : top + shifted.shape[0], left : left + shifted.shape[1]] += shifted
        bottom, right = (np.ceil(corner).astype(int) + weights.shape + margin).tolist()
        count[y + margin : bottom, x + margin : right] += 1
    middle = np.s_[margin:-margin, margin:-margin]
    return total[middle], count[middle]


@pytest.mark.parametrize("shape", [(30, 41), (TILE_PX - 5, 12), (7, 2 * TILE_PX)])
def test_convolution_agrees_with_adding_one_by_one(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    weights = rng.uniform(0.1, 1, (8, 11))
    corners_px = rng.uniform(-20, np.array(shape) + 10, (300, 2))
    corners_px[::3] = np.rint(corners_px[::3])
    summed = SummedWeights(shape, weights)
    for part in np.array_split(corners_px, 4):
        whole = np.floor(part).astype(np.int64)
        fractions = part - whole
        summed.add(whole, shift_taps(fractions), is_wider=fractions > 0)
    total, count = added_one_by_one(shape, weights, corners_px)
    bands = list(summed.by_rows())
    np.testing.assert_array_equal(
        np.concatenate([np.arange(shape[0])[rows] for rows, _ in bands]), np.arange(shape[0])
    )
    np.testing.assert_allclose(np.concatenate([band for _, band in bands]), total, atol=1e-12)
    np.testing.assert_array_equal(summed.coverage(), count)
