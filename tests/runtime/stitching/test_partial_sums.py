"""Sums of mosaics that were stitched apart are those of one mosaic."""

from __future__ import annotations

import numpy as np
import pytest

from ptychonyx.runtime.stitching.mosaic import Mosaic
from ptychonyx.runtime.stitching.patches import Canvas, patch_weights


def test_mosaics_of_parts_add_up_to_that_of_the_whole() -> None:
    rng = np.random.default_rng(0)
    canvas, weights = Canvas((90, 70), (-3, 5)), patch_weights(None, 16)
    corners_px = rng.uniform((-10, -5), (85, 70), (200, 2))  # some leave the canvas
    patches = (rng.normal(size=(2, 200, 16, 16)).T @ [1, 1j]).T.astype(np.complex64)
    whole = Mosaic(canvas, weights)
    whole.add(patches, corners_px)
    parts = [Mosaic(canvas, weights) for _ in range(3)]
    for number, part in enumerate(parts):
        part.add(patches[number::3], corners_px[number::3])
    parts[0].merge(parts[1].partial_sums + parts[2].partial_sums)
    merged, stitched = parts[0].finish(), whole.finish()
    np.testing.assert_allclose(merged.object_, stitched.object_, rtol=0, atol=1e-6)
    np.testing.assert_allclose(merged.disagreement, stitched.disagreement, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(merged.coverage, stitched.coverage)


@pytest.mark.parametrize(
    "other",
    [
        Mosaic(Canvas((9, 8), (0, 0)), np.ones((2, 2))),
        Mosaic(Canvas((8, 8), (0, 0)), np.ones((4, 4))),
    ],
)
def test_mosaics_that_do_not_fit_are_refused(other: Mosaic) -> None:
    with pytest.raises(ValueError, match="of the sums has shape"):
        Mosaic(Canvas((8, 8), (0, 0)), np.ones((2, 2))).merge(other.partial_sums)
