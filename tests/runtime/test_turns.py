"""Turning keeps the direct beam in its place, and each turn has one that undoes it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ptychonyx.runtime.errors import ScanError
from ptychonyx.runtime.scan import Scan
from ptychonyx.runtime.turns import FLIPS, NEGATIONS, Turn

INVERSE = {"ty": "tx", "tx": "ty"}


@pytest.mark.parametrize("side", [8, 9])
@pytest.mark.parametrize("flip", FLIPS)
def test_a_flip_leaves_the_beam_and_can_be_undone(flip: str, side: int) -> None:
    rng = np.random.default_rng(0)
    patterns, bad = rng.random((3, side, side)), rng.random((side, side)) > 0.5
    scan = Scan(patterns, "counts", np.zeros((3, 2)), bad_pixels=bad)
    turned = Turn(flip=flip).apply(scan)
    half = side // 2
    np.testing.assert_array_equal(turned.patterns[:][:, half, half], patterns[:, half, half])
    assert turned.turned == f"--flip {flip}"
    back = Turn(flip=INVERSE.get(flip, flip)).apply(turned)
    np.testing.assert_array_equal(back.patterns[np.array([0, 2])], patterns[[0, 2]])
    np.testing.assert_array_equal(back.bad_pixels, bad)


def test_dc_is_brought_to_the_middle() -> None:
    patterns = np.zeros((1, 8, 8))
    patterns[0, 0, 7] = 1
    scan = Scan(patterns, "counts", np.zeros((1, 2)))
    assert np.argwhere(Turn(dc_px=(0, 7)).apply(scan).patterns[:])[0].tolist() == [0, 4, 4]
    with pytest.raises(ScanError, match="give a pixel"):
        Turn(dc_px=(8, 0)).apply(scan)


@pytest.mark.parametrize("negate", ["", *NEGATIONS])
@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("has_frame", [False, True])
def test_positions_can_be_turned_back(
    negate: str, swap: bool, has_frame: bool, small_scan: Scan
) -> None:
    scan = small_scan if has_frame else replace(small_scan, frame=None)
    turned = Turn(swap_positions=swap, negate_positions=negate).apply(scan)
    back = negate if not swap else negate.translate(str.maketrans("yx", "xy")).replace("xy", "yx")
    again = Turn(swap_positions=swap, negate_positions=back).apply(turned)
    np.testing.assert_allclose(again.corners_px, scan.corners_px, atol=1e-9)


def test_what_is_asked_for_later_wins() -> None:
    settings = Turn(dc_px=(3, 4), flip="x", swap_positions=True)
    assert settings.changed(Turn()) == settings
    later = settings.changed(Turn(dc_px=(0, 0), negate_positions="y"))
    assert later == Turn((0, 0), "x", swap_positions=True, negate_positions="y")
