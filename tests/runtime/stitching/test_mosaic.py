"""Promises of the mosaic: right place, right value, no matter the order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mosaics import plane_waves, random_patches, stitch_patches
from numpy.typing import NDArray

from ptychonyx.runtime.stitching.mosaic import Mosaic, Stitched
from ptychonyx.runtime.stitching.patches import Canvas, patch_weights

MAX_ERROR = 0.015


def bilinear_stitch(
    patches: NDArray[np.complex128], corners_px: NDArray[np.float64], shape: tuple[int, int]
) -> NDArray[np.complex128]:
    """Stitch by plain bilinear scatter, in a loop: the control."""
    total, weight = np.zeros(shape, np.complex128), np.zeros(shape)
    side = patches.shape[1]
    for patch, corner in zip(patches, corners_px, strict=True):
        y, x = np.floor(corner).astype(int)
        fy, fx = corner - (y, x)
        for dy, wy in ((0, 1 - fy), (1, fy)):
            for dx, wx in ((0, 1 - fx), (1, fx)):
                total[y + dy : y + dy + side, x + dx : x + dx + side] += wy * wx * patch
                weight[y + dy : y + dy + side, x + dx : x + dx + side] += wy * wx
    return total / np.maximum(weight, 1e-9)


def test_band_limited_truth_is_met_where_plain_bilinear_fails() -> None:
    rng = np.random.default_rng(0)
    truth, side, patch_px = plane_waves(rng), 320, 64
    corners_px = rng.uniform(
        0, side - patch_px - 1, (28 * (side - patch_px) ** 2 // patch_px**2, 2)
    )
    within = np.arange(patch_px)
    patches = np.stack([truth(y + within, x + within) for y, x in corners_px])
    stitched = stitch_patches(
        patches,
        corners_px,
        canvas=Canvas((side, side), (0, 0)),
        weights=np.ones((patch_px, patch_px)),
    )
    inside = (slice(64, -64), slice(64, -64))
    pixels = np.arange(side, dtype=np.float64)
    expected = truth(pixels, pixels)[inside]

    def error(object_: NDArray[np.complexfloating[Any, Any]]) -> float:
        return float(np.linalg.norm(object_[inside] - expected) / np.linalg.norm(expected))

    assert stitched.coverage[inside].mean() > 20
    assert error(stitched.object_) <= MAX_ERROR
    assert error(bilinear_stitch(patches, corners_px, (side, side))) > MAX_ERROR


@pytest.mark.parametrize("step", [1, 3, 8])
def test_whole_corners_agree_with_a_naive_loop_exactly(step: int) -> None:
    rng = np.random.default_rng(0)
    corners_px = np.mgrid[0:17:step, 0:9:step].reshape(2, -1).T.astype(np.float64)
    patches = random_patches(len(corners_px), 8, rng)
    weights = rng.uniform(0.5, 1, (8, 8))
    stitched = stitch_patches(patches, corners_px, canvas=Canvas((25, 17), (0, 0)), weights=weights)
    total, weight, count = np.zeros((25, 17), complex), np.zeros((25, 17)), np.zeros((25, 17), int)
    for patch, (y, x) in zip(patches, corners_px.astype(int), strict=True):
        total[y : y + 8, x : x + 8] += weights * patch
        weight[y : y + 8, x : x + 8] += weights
        count[y : y + 8, x : x + 8] += 1
    expected = np.divide(total, weight, out=np.zeros_like(total), where=count > 0)
    np.testing.assert_allclose(stitched.object_, expected, atol=2e-6)
    np.testing.assert_array_equal(stitched.coverage, count)


@pytest.mark.parametrize("num_channels", [1, 4])
def test_one_bright_pixel_lands_where_it_should(num_channels: int) -> None:
    """Asymmetric fractional corners; each patch of a group sees the pixel at another place."""
    bright = np.array([23.0, 31.0])
    corners_px = np.array([[10.3, 18.75], [12.6, 15.1], [8.15, 20.4], [11.9, 17.55]])[:num_channels]
    patch_px, sigma = 24, 1.5
    within = np.arange(patch_px)
    patches = np.stack(
        [
            np.exp(-((within[:, None] + y - 23) ** 2 + (within + x - 31) ** 2) / (2 * sigma**2))
            for y, x in corners_px
        ]
    )
    canvas = Canvas((40, 50), (3, 5))
    for order in (slice(None), slice(None, None, -1)):
        stitched = stitch_patches(
            patches[order].astype(np.complex64),
            corners_px[order],
            canvas=canvas,
            weights=np.ones((patch_px, patch_px)),
        )
        image = stitched.object_.real
        peak = np.unravel_index(np.argmax(image), image.shape)
        np.testing.assert_array_equal(np.array(peak) + canvas.corner_px, bright)
        grid = np.indices(image.shape).reshape(2, -1)
        center = (grid @ image.ravel()) / image.sum() + np.array(canvas.corner_px)
        np.testing.assert_allclose(center, bright, atol=0.02)
        assert image.max() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(
    "corner", [(-3.4, 5.2), (5.2, -3.4), (13.7, 5.2), (5.2, 13.7), (-7.9, -7.9), (16.5, 16.5)]
)
def test_a_patch_over_an_edge_is_clipped(corner: tuple[float, float]) -> None:
    ones = np.ones((1, 8, 8), dtype=np.complex64)
    stitched = stitch_patches(
        ones, np.array([corner]), canvas=Canvas((20, 20), (0, 0)), weights=patch_weights(None, 8)
    )
    covered = stitched.coverage > 0
    rows = np.arange(20)
    seen = [(rows > start - 1) & (rows < start + 8) for start in corner]
    assert not covered[~np.outer(*seen)].any()
    np.testing.assert_allclose(stitched.object_[covered], 1, atol=1e-4)
    assert not stitched.object_[~covered].any()


def test_a_patch_outside_leaves_nothing() -> None:
    mosaic = Mosaic(Canvas((20, 20), (0, 0)), np.ones((8, 8)))
    mosaic.add(np.ones((2, 8, 8), np.complex64), np.array([[40.5, 3.0], [-30.0, 3.5]]))
    stitched = mosaic.finish()
    assert not stitched.coverage.any()
    assert not stitched.object_.any()


def stitch_in_batches(
    patches: NDArray[np.complex64], corners_px: NDArray[np.float64], batch: int
) -> Stitched:
    mosaic = Mosaic(Canvas((40, 40), (0, 0)), patch_weights(None, 16))
    for start in range(0, len(patches), batch):
        mosaic.add(patches[start : start + batch], corners_px[start : start + batch])
    return mosaic.finish()


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_batched_equals_whole(batch: int) -> None:
    rng = np.random.default_rng(0)
    patches, corners_px = random_patches(50, 16, rng), rng.uniform(-4, 30, (50, 2))
    whole, parts = (stitch_in_batches(patches, corners_px, size) for size in (50, batch))
    np.testing.assert_allclose(parts.object_, whole.object_, atol=1e-5)
    np.testing.assert_array_equal(parts.coverage, whole.coverage)


def test_disagreement_is_the_weighted_variance() -> None:
    patches = np.stack([np.full((4, 4), 1 + 0j), np.full((4, 4), 3 + 0j)])
    stitched = stitch_patches(
        patches, np.zeros((2, 2)), canvas=Canvas((4, 4), (0, 0)), weights=np.ones((4, 4))
    )
    np.testing.assert_allclose(stitched.disagreement, 1, rtol=1e-6)


def test_probe_weights_do_not_ring_at_the_rim() -> None:
    """An isolated patch with bright edges: no pixel may be larger than what the patch holds."""
    probe = np.ones((1, 64, 64), np.complex64)
    stitched = stitch_patches(
        np.ones((1, 32, 32), np.complex64),
        np.array([[10.37, 10.61]]),
        canvas=Canvas((60, 60), (0, 0)),
        weights=patch_weights(probe, 32),
    )
    assert np.abs(stitched.object_).max() < 1.001


def test_wrong_shapes_and_patches_that_are_not_finite_are_refused() -> None:
    mosaic = Mosaic(Canvas((8, 8), (0, 0)), np.ones((4, 4)))
    with pytest.raises(ValueError, match="one \\(y, x\\) corner for each patch"):
        mosaic.add(np.ones((2, 4, 4), np.complex64), np.zeros((3, 2)))
    broken = np.ones((2, 4, 4), np.complex64)
    broken[1, 2, 2] = np.nan
    with pytest.raises(ValueError, match="Patch 1 of this batch is not finite"):
        mosaic.add(broken, np.zeros((2, 2)))


def test_aligning_takes_out_one_phase_a_patch() -> None:
    rng = np.random.default_rng(0)
    truth = rng.uniform(0.5, 1, (40, 50)) * np.exp(1j * rng.uniform(-0.5, 0.5, (40, 50)))
    # corners reach over every edge
    corners_px = rng.integers(-3, (35, 45), (300, 2)).astype(np.float64)
    padded = np.pad(truth, 8, constant_values=1)
    cut = [padded[y : y + 8, x : x + 8] for y, x in (corners_px + 8).astype(int)]
    phases = np.exp(1j * rng.normal(0, 0.6, (300, 1, 1)))
    patches = (np.stack(cut) * phases).astype(np.complex64)
    canvas, weights = Canvas(truth.shape, (0, 0)), np.ones((8, 8))
    first = stitch_patches(patches, corners_px, canvas=canvas, weights=weights)
    mosaic = Mosaic(canvas, weights, reference=first.object_)
    mosaic.add(patches, corners_px)
    second = mosaic.finish()
    seen = first.coverage > 3

    def amplitude(stitched: Stitched) -> float:
        return float(np.abs(stitched.object_)[seen].mean() / np.abs(truth)[seen].mean())

    # phases scattered by 0.6 rad cost 1 − exp(−0.6²/2) of the amplitude, less with few overlaps
    assert amplitude(first) < 0.89
    assert amplitude(second) > 0.98
    assert second.disagreement[seen].mean() < 0.1 * first.disagreement[seen].mean()
