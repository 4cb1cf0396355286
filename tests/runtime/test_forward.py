"""Predicted counts are the defining sum, at whole corners and between pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ptychonyx.runtime.forward import far_field_counts, predict_counts
from ptychonyx.runtime.simulation.probes import PROBES
from ptychonyx.runtime.simulation.scan import SimulationOptions, draw_object
from ptychonyx.runtime.stitching.patches import cut_patches


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def naive_counts(
    patch: NDArray[np.complex128], probe: NDArray[np.complex128]
) -> NDArray[np.float64]:
    """Write the definition out: one sum over pixels for each detector pixel, DC at the middle."""
    side = patch.shape[0]
    y = np.arange(side)
    counts = np.zeros((side, side))
    for mode in probe:
        for row in range(side):
            for column in range(side):
                along_y = np.exp(-2j * np.pi * (row - side // 2) * y / side)
                along_x = np.exp(-2j * np.pi * (column - side // 2) * y / side)
                counts[row, column] += abs(along_y @ (mode * patch) @ along_x / side) ** 2
    return counts


def test_counts_match_a_naive_loop() -> None:
    object_ = rng(1).normal(size=(20, 26)) + 1j * rng(2).normal(size=(20, 26))
    probe = rng(3).normal(size=(2, 12, 12)) + 1j * rng(4).normal(size=(2, 12, 12))
    corners_px = np.array([[0.0, 0.0], [3.0, 14.0], [8.0, 5.0]])
    found = predict_counts(object_, probe, corners_px)
    for counts, (y, x) in zip(found, corners_px.astype(int), strict=True):
        expected = naive_counts(object_[y : y + 12, x : x + 12], probe)
        np.testing.assert_allclose(counts, expected, rtol=1e-10, atol=1e-10)


def test_counts_of_patches_are_those_of_the_windows_they_were_cut_from() -> None:
    object_ = rng(1).normal(size=(20, 26)) + 1j * rng(2).normal(size=(20, 26))
    probe = rng(3).normal(size=(2, 12, 12)) + 1j * rng(4).normal(size=(2, 12, 12))
    corners_px = np.array([[3.0, 3.5], [3.25, 6.0]])
    patches = cut_patches(object_, corners_px, 12)
    np.testing.assert_array_equal(
        far_field_counts(patches, probe), predict_counts(object_, probe, corners_px)
    )


def test_fractional_corners_are_not_rounded() -> None:
    object_ = draw_object(SimulationOptions(), (60, 60), rng())
    probe = PROBES["focused"](32, 1)
    at, beside = predict_counts(object_, probe, np.array([[10.0, 10.0], [10.0, 10.5]]))
    assert np.abs(at - beside).max() > 0.01 * at.max()
