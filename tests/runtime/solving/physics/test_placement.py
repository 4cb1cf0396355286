"""Windows are cut where they are added, and each pixel knows its place."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ptychonyx.runtime.solving.physics.placement import Placement, place_windows

SIDE = 8


def scattered(num: int = 30) -> NDArray[np.float64]:
    return np.random.default_rng(0).uniform(-20, 25, (num, 2))


def draw(shape: tuple[int, ...], seed: int) -> NDArray[np.complex128]:
    rng = np.random.default_rng(seed)
    return np.asarray(rng.normal(size=shape) + 1j * rng.normal(size=shape))


def test_adding_is_the_adjoint_of_cutting() -> None:
    placement = place_windows(scattered(), SIDE)
    indexes = np.random.default_rng(1).integers(0, 30, 50)  # some more than once
    image, windows = draw(placement.shape, 2).astype(np.complex64), draw((50, SIDE, SIDE), 3)
    added = np.zeros(placement.shape, np.complex128)
    placement.add(added, windows, indexes)
    cut = placement.cut(image, indexes)
    np.testing.assert_allclose(np.vdot(cut, windows), np.vdot(image, added), rtol=1e-12)


def test_whole_pixels_and_fractions_add_up_to_the_corners() -> None:
    corners_px = scattered()
    placement = place_windows(corners_px, SIDE)
    again = placement.whole_px + np.array(placement.corner_px) + placement.fractions_px
    np.testing.assert_allclose(again, corners_px, rtol=0, atol=1e-13)
    assert np.abs(placement.fractions_px).max() <= 0.5
    assert placement.whole_px.dtype == np.int64


def test_the_canvas_is_the_smallest_that_holds_all_windows() -> None:
    placement = place_windows(scattered(), SIDE)
    assert placement.whole_px.min(axis=0).tolist() == [0, 0]
    height, width = placement.shape
    assert (placement.whole_px.max(axis=0) + SIDE).tolist() == [height, width]
    alone = place_windows(np.array([[-3.2, 7.4]]), SIDE)
    assert (alone.shape, alone.corner_px) == ((SIDE, SIDE), (-3, 7))


def test_a_bright_pixel_is_found_at_its_place_in_every_window() -> None:
    placement = place_windows(np.array([[-4.3, 10.0], [-1.0, 11.6], [-6.0, 6.0]]), SIDE)
    image = np.zeros(placement.shape, np.complex64)
    y, x = -1 - placement.corner_px[0], 12 - placement.corner_px[1]  # (-1, 12) in the scan's frame
    image[y, x] = 1
    windows = placement.cut(image, np.arange(3))
    bright = [tuple(place) for place in np.argwhere(windows).tolist()]
    # corners at whole pixels: (-4, 10), (-1, 12), (-6, 6)
    assert bright == [(0, 3, 2), (1, 0, 0), (2, 5, 6)]


def test_windows_are_copies() -> None:
    placement = place_windows(scattered(), SIDE)
    image = np.ones(placement.shape, np.complex64)
    placement.cut(image, np.arange(30))[...] = 0
    np.testing.assert_array_equal(image, 1)


def test_one_window_for_all_is_added_everywhere() -> None:
    placement = place_windows(scattered(), SIDE)
    window = np.random.default_rng(0).integers(0, 9, (1, SIDE, SIDE))
    once, repeated = np.zeros(placement.shape, np.int64), np.zeros(placement.shape, np.int64)
    placement.add(once, window, np.arange(30))
    placement.add(repeated, np.repeat(window, 30, axis=0), np.arange(30))
    np.testing.assert_array_equal(once, repeated)
    assert once.sum() == 30 * window.sum()


def test_what_is_cut_follows_the_indexes() -> None:
    placement: Placement = place_windows(scattered(), SIDE)
    image = draw(placement.shape, 0).astype(np.complex64)
    indexes = np.array([7, 2, 7])
    whole = placement.cut(image, np.arange(30))
    np.testing.assert_array_equal(placement.cut(image, indexes), whole[indexes])


def test_one_window_laid_everywhere_is_the_sum_of_its_copies() -> None:
    placement = place_windows(scattered(), SIDE)
    window = np.random.default_rng(0).random((SIDE, SIDE), dtype=np.float32)
    expected = np.zeros(placement.shape)
    for y, x in placement.whole_px:
        expected[y : y + SIDE, x : x + SIDE] += window
    found = placement.overlaid(window)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5)
