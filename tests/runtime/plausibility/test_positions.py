"""Positions in another unit, far out, or beyond their canvas."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ptychonyx.runtime import load_scan
from ptychonyx.runtime.plausibility.positions import find_in_positions, median_step_px
from ptychonyx.runtime.scan import Frame, Scan


@pytest.mark.parametrize(
    ("factor", "name", "words"),
    [
        (0.027, "steps-too-small", "are these micrometres?"),
        (2.7e-5, "steps-too-small", "are these millimetres?"),
        (2.7e-8, "steps-too-small", "are these metres?"),
        (27.0, "steps-too-large", "are these nanometres"),
        (300.0, "steps-too-large", "are these nanometres"),
        (0.0, "positions-equal", "check"),
    ],
)
def test_another_unit_of_the_star(factor: float, name: str, words: str, star: Path) -> None:
    scan = load_scan(star / "siemens64.npz", quantity="counts")
    (finding,) = find_in_positions(replace(scan, corners_px=factor * scan.corners_px))
    assert (finding.name, finding.is_wrong) == (name, True)
    assert words in finding.cure


def test_the_unit_is_named_where_the_pixel_size_is_known(star: Path) -> None:
    scan = load_scan(star / "siemens64.npz", quantity="counts")
    small = replace(scan, corners_px=0.027 * scan.corners_px, pixel_size_m=27e-9)
    (finding,) = find_in_positions(small)
    assert "are these micrometres?" in finding.cure


@pytest.mark.parametrize("far", [[7], [0, 39], [20]])
def test_far_positions_are_named(far: list[int], small_scan: Scan) -> None:
    corners_px = small_scan.corners_px.copy()
    corners_px[far, 1] += 5000
    (finding,) = find_in_positions(replace(small_scan, corners_px=corners_px, frame=None))
    assert (finding.name, finding.is_wrong) == ("position-outliers", True)
    assert ", ".join(map(str, far)) in finding.evidence


def test_positions_beyond_the_canvas_of_their_product(small_scan: Scan) -> None:
    assert small_scan.frame is not None
    far = replace(small_scan, corners_px=small_scan.corners_px + 1e5)
    (finding,) = find_in_positions(far)
    assert finding.evidence.startswith("40 of 40 windows lie outside")
    moved = small_scan.corners_px.copy()
    moved[3] -= 40
    (finding,) = find_in_positions(replace(small_scan, corners_px=moved))
    assert finding.evidence.startswith("1 of 40 windows")
    assert "pattern 3" in finding.evidence


def test_a_canvas_that_is_mostly_empty_is_odd(small_scan: Scan) -> None:
    wide = replace(small_scan, frame=Frame((200, 200), (0.0, 0.0), (28e-9, 28e-9)))
    (finding,) = find_in_positions(wide)
    assert (finding.name, finding.is_wrong) == ("canvas-mostly-empty", False)


def test_few_or_single_positions_may_lie_anywhere(small_scan: Scan) -> None:
    one = Scan(np.ones((1, 32, 32)), "counts", np.zeros((1, 2)))
    assert find_in_positions(one) == []
    few = Scan(np.ones((4, 32, 32)), "counts", np.array([[0.0, 0], [0, 2], [2, 0], [2, 2]]))
    assert find_in_positions(few) == []


def test_frames_that_are_repeated_at_one_place_do_not_make_its_steps_small() -> None:
    corners_px = np.repeat(np.array([[0.0, 0.0], [0.0, 4.0], [4.0, 0.0]]), 5, axis=0)
    assert median_step_px(corners_px) == 4
