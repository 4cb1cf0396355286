"""Exact patches give the exact object, with whatever beam they are weighed and wherever they lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mosaics import Complex, Real, plane_waves, stitch_patches
from numpy.typing import NDArray

from ptychonyx.runtime.formats import load_scan
from ptychonyx.runtime.simulation.probes import PROBES
from ptychonyx.runtime.stitching.mosaic import WEIGHT_FLOOR
from ptychonyx.runtime.stitching.patches import Canvas, canvas_for, patch_weights
from ptychonyx.runtime.stitching.shift import NUM_BEFORE, shift_matrices, shift_taps

WINDOW_PX, PATCH_PX = 64, 32
MAX_RMS, MAX_RATIO, MIN_COVERED = 0.004, 1.02, 0.98
SUBSETS = {"all": slice(None), "every 13th": slice(None, None, 13)}


def beams() -> dict[str, Complex]:
    y = np.arange(WINDOW_PX) - WINDOW_PX // 2
    radius = np.hypot(y[:, None], y)
    simulated = {
        f"{name}, {modes} modes": probe(WINDOW_PX, modes)
        for name, probe in PROBES.items()
        for modes in (1, 3)
    }
    return simulated | {
        "with a hole": ((radius > 5) * np.exp(-((radius / 13) ** 2)))[None].astype(complex),
        "with a hard edge": (radius < 12)[None].astype(complex),
        "a ring with hard edges": ((radius > 6) & (radius < 13))[None].astype(complex),
    }


def waves(y: Real, x: Real) -> Complex:
    """Return a transmission of 1 with waves up to 0.2 cycles/px, 1.3 at the most."""
    return np.asarray(1 + 0.1 * plane_waves(np.random.default_rng(0))(y / 1.75, x / 1.75))


def weights_through_the_sinc(corners_px: Real, canvas: Canvas, probe: Complex) -> Real:
    """Sum a sharp beam's weights through the shift of the patches: what once decided the coverage."""
    summed = np.zeros(np.array(canvas.shape) + 2 * PATCH_PX)
    start = (WINDOW_PX - PATCH_PX) // 2
    inside = np.s_[start : start + PATCH_PX]
    sharp = np.sum(np.abs(probe[:, inside, inside]) ** 2, axis=0)
    sharp *= patch_weights(np.ones((1, PATCH_PX, PATCH_PX), np.complex64), PATCH_PX)
    for corner in corners_px - canvas.corner_px:
        whole = np.floor(corner).astype(int)
        down, across = (
            shift_matrices(taps[None], PATCH_PX)[0] for taps in shift_taps(corner - whole)
        )
        y, x = whole - NUM_BEFORE + PATCH_PX
        side = len(down)
        summed[y : y + side, x : x + side] += down @ sharp @ across.T / sharp.max()
    return summed[PATCH_PX:-PATCH_PX, PATCH_PX:-PATCH_PX]


def largest_patch(corners_px: Real, canvas: Canvas, patches: Complex) -> Real:
    """Return the largest absolute value of the patches around each pixel."""
    largest = np.full(canvas.shape, 1e-9)
    starts = np.floor(corners_px - canvas.corner_px).astype(int).clip(0)
    for patch, (y, x) in zip(patches, starts, strict=True):
        there = largest[y : y + PATCH_PX + 1, x : x + PATCH_PX + 1]
        np.maximum(there, np.abs(patch).max(), out=there)
    return largest


def faults(corners_px: Real, canvas: Canvas, probes: dict[str, Complex]) -> list[str]:
    """Return what is wrong with exact patches, stitched with the weights of each of some beams."""
    within = np.arange(PATCH_PX)
    patches = np.stack([waves(y + within, x + within) for y, x in corners_px])
    (height, width), (top, left) = canvas.shape, canvas.corner_px
    truth = waves(np.arange(float(height)) + top, np.arange(float(width)) + left)
    largest = largest_patch(corners_px, canvas, patches)
    found = []
    for name, probe in probes.items():
        weights = patch_weights(probe.astype(np.complex64), PATCH_PX)
        stitched = stitch_patches(patches, corners_px, canvas=canvas, weights=weights)
        covered = stitched.coverage > 0
        rms = float(np.sqrt(np.mean(np.abs(stitched.object_ - truth)[covered] ** 2)))
        ratio = float((np.abs(stitched.object_) / largest).max())
        before = weights_through_the_sinc(corners_px, canvas, probe) > WEIGHT_FLOOR
        share = float(covered[before].mean())
        if rms > MAX_RMS or ratio > MAX_RATIO or share < MIN_COVERED:
            found.append(f"{name}: rms {rms:.4f}, largest {ratio:.3f}, covered {share:.4f}")
    return found


def jittered_raster() -> NDArray[np.float64]:
    rng = np.random.default_rng(0)
    y, x = np.meshgrid(np.arange(4.0, 84.0, 6.0), np.arange(4.0, 84.0, 6.0), indexing="ij")
    return np.stack([y, x], axis=-1).reshape(-1, 2) + rng.uniform(-2, 2, (y.size, 2))


@pytest.mark.parametrize("step", [1, 3, 13])
def test_any_beam_stitches_exact_patches_exactly(step: int) -> None:
    corners_px = jittered_raster()[::step]
    assert faults(corners_px, Canvas((130, 130), (-2, -3)), beams()) == []


@pytest.mark.parametrize("subset", SUBSETS)
def test_the_beam_of_the_star_stitches_exact_patches_exactly(star: Path, subset: str) -> None:
    scan = load_scan(star / "siemens64.npz", quantity="counts")
    modes = np.load(star / "siemens64_reference_3modes.npz")["probe_modes"]
    corners_px = scan.corners_px[SUBSETS[subset]] + (WINDOW_PX - PATCH_PX) // 2
    assert faults(corners_px, canvas_for(scan), {"star": modes} | beams()) == []


def test_one_bright_pixel_among_the_weights_does_not_ring() -> None:
    weights = np.full((1, 32), 0.02)
    weights[0, 16] = 1
    patch = waves(np.zeros(1), np.arange(4.5, 36.5))[None]
    object_ = stitch_patches(
        patch, np.array([[0.0, 4.5]]), canvas=Canvas((1, 40), (0, 0)), weights=weights
    ).object_
    error = np.abs(object_ - waves(np.zeros(1), np.arange(40.0)))
    assert error[:, 10:30].max() < 0.001
