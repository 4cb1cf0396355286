"""Cutting is exact between pixels and the adjoint of placing; the canvas holds every window."""

from __future__ import annotations

import numpy as np
import pytest
from mosaics import plane_waves, random_patches, stitch_patches
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import comb

from ptychonyx.runtime.scan import Scan
from ptychonyx.runtime.simulation.objects import OBJECTS
from ptychonyx.runtime.simulation.scan import SimulationOptions, draw_object
from ptychonyx.runtime.stitching.patches import Canvas, canvas_for, cut_patches, patch_weights
from ptychonyx.runtime.stitching.shift import NUM_BEFORE, NUM_TAPS, shift_taps


def plane_wave(shape: tuple[int, int], f: tuple[float, float]) -> NDArray[np.complex128]:
    y, x = np.mgrid[: shape[0], : shape[1]]
    return np.asarray(np.exp(2j * np.pi * (f[0] * y + f[1] * x)))


def test_fractional_corners_match_a_plane_wave_evaluated_there() -> None:
    corners_px = np.random.default_rng(0).uniform(10, 30, (40, 2))
    for f, tolerance in (((0.1, -0.05), 3e-3), ((0.0, 0.25), 4e-3), ((0.3, 0.2), 5e-3)):
        found = cut_patches(plane_wave((80, 80), f), corners_px, 32)
        here = corners_px[:, :, None] + np.arange(32)
        exact = np.exp(2j * np.pi * (f[0] * here[:, 0, :, None] + f[1] * here[:, 1, None, :]))
        assert np.sqrt(np.mean(np.abs(found - exact) ** 2)) < tolerance


@pytest.mark.parametrize("object_name", OBJECTS)
def test_fractional_corners_match_a_fourier_shift_of_the_drawn_object(object_name: str) -> None:
    if object_name == "natural":
        pytest.importorskip("skimage", reason="scikit-image is not installed")
    object_ = draw_object(
        SimulationOptions(object_name=object_name), (128, 128), np.random.default_rng(0)
    )
    mirrored = np.fft.fft2(np.pad(object_, ((0, 128), (0, 128)), mode="symmetric"))
    k = np.fft.fftfreq(256)
    for y, x in np.random.default_rng(1).uniform(30, 60, (5, 2)):
        shift = np.exp(2j * np.pi * (k[:, None] * y + k[None] * x))
        exact = np.fft.ifft2(mirrored * shift)[:32, :32]
        found = cut_patches(object_, np.array([[y, x]]), 32)[0]
        assert np.linalg.norm(found - exact) < 4e-3 * np.linalg.norm(exact)


def test_cut_then_stitch_gives_the_object_back() -> None:
    rng = np.random.default_rng(0)
    object_ = plane_waves(rng)(np.arange(96) / 2, np.arange(96) / 2)
    corners_px = rng.uniform(4, 58, (200, 2))
    patches = cut_patches(object_, corners_px, 32)
    stitched = stitch_patches(
        patches, corners_px, canvas=Canvas((96, 96), (0, 0)), weights=patch_weights(None, 32)
    )
    inside = (slice(16, 80), slice(16, 80))
    error = np.linalg.norm((stitched.object_ - object_)[inside]) / np.linalg.norm(object_[inside])
    assert error < 0.005


def test_cutting_is_the_adjoint_of_placing() -> None:
    """<cut x, q> = <x, place q> for float corners; placed tap by tap, with nothing beyond a patch."""
    rng = np.random.default_rng(0)
    object_ = rng.normal(size=(40, 44)) + 1j * rng.normal(size=(40, 44))
    corners_px = rng.uniform(4, 20, (5, 2))
    patches = random_patches(5, 12, rng)
    placed = np.zeros(object_.shape, complex)
    for patch, corner in zip(patches, corners_px, strict=True):
        whole = np.floor(corner).astype(int)
        down, across = shift_taps(corner - whole)
        for i, j in np.ndindex(NUM_TAPS, NUM_TAPS):
            y, x = whole - NUM_BEFORE + np.array([i, j])
            placed[y : y + 12, x : x + 12] += down[i] * across[j] * patch
    left = np.vdot(cut_patches(object_, corners_px, 12), patches)
    assert left == pytest.approx(np.vdot(object_, placed), rel=1e-5)


def test_a_patch_that_leaves_the_object_is_refused() -> None:
    with pytest.raises(ValueError, match="leaves the object"):
        cut_patches(np.ones((8, 8), complex), np.array([[6.0, 0.0]]), 4)


@pytest.mark.parametrize("probe", [None, 7 * np.ones((2, 32, 32), np.complex64)])
def test_weights_are_largest_inside_and_fade_out_to_the_edge(
    probe: NDArray[np.complex64] | None,
) -> None:
    weights = patch_weights(probe, 16)
    assert weights.max() == 1
    assert weights.min() > 0
    edge = np.concatenate([weights[0], weights[-1], weights[:, 0], weights[:, -1]])
    assert edge.max() < 0.3


def test_probe_weights_follow_the_middle_of_the_blurred_beam() -> None:
    probe = np.random.default_rng(0).normal(size=(2, 32, 32)).astype(np.complex64)
    flat = patch_weights(np.ones((1, 32, 32), np.complex64), 16)
    blurred = (np.abs(probe) ** 2).sum(axis=0)
    for axis in range(2):
        blurred = ndimage.correlate1d(blurred, comb(8, np.arange(9)) / 256, axis, mode="nearest")
    expected = blurred[8:24, 8:24] * flat
    np.testing.assert_allclose(patch_weights(probe, 16), expected / expected.max(), rtol=1e-5)


def test_canvas_follows_the_object_if_it_holds_every_window() -> None:
    corners_px = np.array([[2.5, 3.0], [6.0, 7.0]])
    patterns = np.ones((2, 4, 4))
    large = Scan(patterns, "counts", corners_px, object_=np.ones((20, 30), np.complex64))
    small = Scan(patterns, "counts", corners_px, object_=np.ones((5, 5), np.complex64))
    assert canvas_for(large) == Canvas((20, 30), (0, 0))
    assert canvas_for(small) == Canvas((8, 8), (2, 3))
