"""Merging: the patches of a group agree on one object, seen in the right place, group by group."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from ptychonyx.runtime.simulation.probes import focused_probe
from ptychonyx.training.physics.merging import (
    illumination_of,
    merge_patches,
    shift_kernels,
    turn_to_first,
)

WINDOW_PX = 64
OFFSETS_PX = np.array([[0.0, 0.0], [1.0, 7.0], [5.0, 2.0], [9.0, 11.0]])
"""Of C = 4 windows from the corner of their group: whole and asymmetric."""
MAX_ERROR = 1e-3


def illumination(num: int) -> NDArray[np.float64]:
    probe = focused_probe(WINDOW_PX, 3).astype(np.complex64)
    return np.broadcast_to(illumination_of(probe), (num, WINDOW_PX, WINDOW_PX))


def band_limited(corners_px: NDArray[np.float64], seed: int) -> NDArray[np.complex128]:
    """Return patches of a sum of 200 plane waves, |f| ≤ 0.35 cycles/px, at any corners."""
    rng = np.random.default_rng(seed)
    angle, frequency = rng.uniform(0, 2 * np.pi, 200), 0.35 * np.sqrt(rng.uniform(0, 1, 200))
    start, pixels = rng.uniform(0, 2 * np.pi, 200)[:, None], np.arange(WINDOW_PX)
    patches = np.empty((*corners_px.shape[:2], WINDOW_PX, WINDOW_PX), dtype=np.complex128)
    for index in np.ndindex(corners_px.shape[:2]):
        y, x = (corner + pixels for corner in corners_px[index])
        down = np.exp(2j * np.pi * np.outer(frequency * np.sin(angle), y) + 1j * start)
        across = np.exp(2j * np.pi * np.outer(frequency * np.cos(angle), x))
        patches[index] = down.T @ across / np.sqrt(200)
    return patches


def test_merging_consistent_patches_changes_nothing() -> None:
    corners_px = np.random.default_rng(0).uniform(100, 116, (3, 4, 2))
    patches = band_limited(corners_px, seed=1)
    merged = merge_patches(patches, shift_kernels(corners_px, WINDOW_PX), illumination(3))
    amplitude = np.sqrt(np.sum(np.abs(focused_probe(WINDOW_PX, 3)) ** 2, axis=0))
    assert np.linalg.norm(amplitude * (merged - patches)) <= MAX_ERROR * np.linalg.norm(
        amplitude * patches
    )
    inside = np.s_[..., 8:-8, 8:-8]  # beyond, hardly any light falls
    np.testing.assert_allclose(merged[inside], patches[inside], atol=5e-3)


def test_merging_takes_the_weighted_mean_where_windows_lie_on_one_another() -> None:
    amplitudes = np.random.default_rng(0).exponential(size=(2, 4, WINDOW_PX, WINDOW_PX))
    patches = amplitudes.astype(np.complex128)
    merged = merge_patches(patches, shift_kernels(np.zeros((2, 4, 2)), WINDOW_PX), illumination(2))
    inside = np.s_[
        ..., 24:40, 24:40
    ]  # where the own patch's small share is lost in the illumination
    expected = np.broadcast_to(patches.mean(axis=1, keepdims=True), patches.shape)
    np.testing.assert_allclose(merged[inside], expected[inside], atol=2e-3)


def test_a_single_pattern_leaves_its_phase_free() -> None:
    """Patches multiplied by any phase factors give the object of the first."""
    corners_px = np.random.default_rng(0).uniform(100, 116, (3, 4, 2))
    kernels, patches = shift_kernels(corners_px, WINDOW_PX), band_limited(corners_px, seed=1)
    factors = np.exp(1j * np.random.default_rng(2).uniform(-3, 3, (3, 4, 1, 1)))
    expected = factors[:, :1] * turn_to_first(patches, kernels, illumination(3))
    turned = turn_to_first(factors * patches, kernels, illumination(3))
    np.testing.assert_allclose(turned, expected, atol=1e-8)


def test_merging_alone_keeps_the_phases_of_the_patches() -> None:
    """Patches of one group that differ by phases do not agree, and must not look as if they did."""
    corners_px = np.random.default_rng(0).uniform(100, 104, (1, 4, 2))
    kernels, patches = shift_kernels(corners_px, WINDOW_PX), band_limited(corners_px, seed=1)
    opposed = patches * np.array([1, -1, 1, -1])[None, :, None, None]
    merged = merge_patches(opposed, kernels, illumination(1))
    inside = np.s_[..., 24:40, 24:40]
    assert np.linalg.norm(merged[inside]) < 0.1 * np.linalg.norm(patches[inside])


@pytest.mark.parametrize("num_groups", [1, 8, 16, 64, 100])
def test_one_bright_pixel_appears_where_it_is_in_every_window(num_groups: int) -> None:
    """Each group has a pixel of its own: a wrong place, or a group mixed with another, shows."""
    rng = np.random.default_rng(num_groups)
    bright = rng.integers(24, 40, (num_groups, 2))  # (y, x) from the group's corner
    patches = np.zeros((num_groups, 4, WINDOW_PX, WINDOW_PX), dtype=np.complex128)
    for group, (y, x) in enumerate(bright):
        for channel, (dy, dx) in enumerate(OFFSETS_PX.astype(int)):
            patches[group, channel, y - dy, x - dx] = group + 1
    corners_px = OFFSETS_PX + rng.integers(0, 500, (num_groups, 1, 2)).astype(np.float64)
    merged = merge_patches(patches, shift_kernels(corners_px, WINDOW_PX), illumination(num_groups))
    np.testing.assert_allclose(merged, patches, atol=1e-6 * num_groups)


def test_a_bright_spot_of_one_patch_alone_lands_in_the_other_windows_between_pixels() -> None:
    """Only patch 0 has the spot: the others must show it, shifted by fractional offsets."""
    corners_px = np.array([[[10.0, 20.0], [13.3, 14.6], [6.75, 21.2], [11.5, 25.9]]])
    pixels = np.arange(WINDOW_PX) - 32
    spot = np.exp(-(pixels[:, None] ** 2 + pixels**2) / (2 * 2.0**2))
    patches = np.zeros((1, 4, WINDOW_PX, WINDOW_PX), dtype=np.complex128)
    patches[0, 0] = spot
    merged = merge_patches(patches, shift_kernels(corners_px, WINDOW_PX), np.ones((1, 64, 64)))
    for channel in range(4):
        center = ndimage.center_of_mass(np.abs(merged[0, channel]))
        expected = 32 + corners_px[0, 0] - corners_px[0, channel]
        np.testing.assert_allclose(center, expected, atol=0.05)
