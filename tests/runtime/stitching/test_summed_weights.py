"""One convolution gives what adding the weights of every patch would."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ptychonyx.runtime.stitching.summed_weights import TILE_PX, SummedWeights


def added_one_by_one(
    shape: tuple[int, int], weights: NDArray[np.float64], corners_px: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return summed weights and coverage, patch after patch, on a canvas with a wide margin."""
    margin = 40
    total, count = (np.zeros(np.array(shape) + 2 * margin) for _ in range(2))
    for y, x in corners_px + margin:
        place = np.s_[y : y + weights.shape[0], x : x + weights.shape[1]]
        total[place] += weights
        count[place] += 1
    middle = np.s_[margin:-margin, margin:-margin]
    return total[middle], count[middle]


@pytest.mark.parametrize("shape", [(30, 41), (TILE_PX - 5, 12), (7, 2 * TILE_PX)])
def test_convolution_agrees_with_adding_one_by_one(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    weights = rng.uniform(0.1, 1, (8, 11))
    corners_px = rng.integers(-20, np.array(shape) + 10, (300, 2))
    summed = SummedWeights(shape, weights)
    for part in np.array_split(corners_px, 4):
        summed.add(part)
    total, count = added_one_by_one(shape, weights, corners_px)
    bands = list(summed.by_rows())
    np.testing.assert_array_equal(
        np.concatenate([np.arange(shape[0])[rows] for rows, _ in bands]), np.arange(shape[0])
    )
    np.testing.assert_allclose(np.concatenate([band for _, band in bands]), total, atol=1e-12)
    np.testing.assert_array_equal(summed.coverage(), count)
