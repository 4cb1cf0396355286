"""Regions, limits and phases: what comparing, pictures and reports share."""

from __future__ import annotations

import numpy as np
import pytest

from ptychonyx.runtime.comparison.region import (
    clipped_limits,
    known_box,
    lit_box,
    parse_region,
    spread_indexes,
    without_common_phase,
)


@pytest.mark.parametrize(
    ("text", "message"),
    [("50:195", "y0:y1,x0:x1"), ("9:5,0:4", "holds no pixel"), ("-3:5,0:4", "y0:y1,x0:x1")],
)
def test_bad_region_text_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_region(text)


def test_region_text_goes_there_and_back() -> None:
    assert str(parse_region(" 50:195, 60:180")) == "50:195,60:180"


def test_the_box_holds_every_known_pixel_and_touches_one_at_each_side() -> None:
    known = np.random.default_rng(0).random((40, 30)) > 0.99
    box = known_box(known)
    inside = known[box.slices]
    assert inside.sum() == known.sum() > 0
    assert inside.shape == box.shape
    assert all(side.any() for side in (inside[0], inside[-1], inside[:, 0], inside[:, -1]))


def test_the_lit_box_is_bright_in_both_halves_whatever_the_shape_of_the_light() -> None:
    y, x = np.indices((90, 100))
    disk = np.where(np.hypot(y - 44.5, x - 49.5) < 40, 8, 0).astype(np.int32)
    box = lit_box(disk, disk)
    assert box is not None
    assert (disk[box.slices] == 8).mean() >= 0.99
    assert min(box.shape) > 50  # the largest square of the disk has 56
    weaker = np.where(x < 60, disk, 2 * (disk > 0)).astype(np.int32)
    both = lit_box(disk, weaker)
    assert both is not None
    assert box.x1 > both.x1
    assert 59 <= both.x1 <= 61


def test_single_holes_leave_the_lit_box_as_it_is() -> None:
    coverage = np.full((50, 60), 9, np.int32)
    coverage[20:24, 30:34] = 0
    assert lit_box(coverage, np.full((50, 60), 3, np.int32)) == (0, 50, 0, 60)


@pytest.mark.parametrize("side", [0, 10])
def test_without_enough_common_light_there_is_no_box(side: int) -> None:
    coverage = np.zeros((40, 40), np.int32)
    coverage[:side, :side] = 5
    assert lit_box(coverage, np.ones((40, 40), np.int32)) is None
    assert lit_box(np.zeros((0, 5), np.int32), np.zeros((0, 5), np.int32)) is None


def test_limits_leave_out_hot_pixels_and_what_is_not_a_number() -> None:
    values = np.linspace(0, 1, 1000)
    spoilt = np.concatenate([values, [1e9, -1e9], np.full(50, np.nan)])
    np.testing.assert_allclose(clipped_limits(spoilt), clipped_limits(values), atol=2e-3)
    assert clipped_limits(np.full(3, np.nan)) == (0.0, 1.0)


@pytest.mark.parametrize(("num", "count"), [(1, 1), (1, 9), (7, 1), (7, 6), (7, 7), (1000, 256)])
def test_spread_indexes_are_even_and_each_occurs_once(num: int, count: int) -> None:
    indexes = spread_indexes(num, count)
    assert len(indexes) == min(num, count)
    assert 0 <= indexes.min() <= indexes.max() < num
    steps = np.diff(indexes)
    assert (steps >= 1).all()
    assert len(steps) == 0 or np.ptp(steps) <= 1


def test_a_common_phase_is_taken_out_and_two_objects_keep_theirs_to_each_other() -> None:
    rng = np.random.default_rng(0)
    b = (1 + 0.1 * rng.normal(size=(8, 9))) * np.exp(0.2j * rng.normal(size=(8, 9)) + 2.5j)
    a, known = b * np.exp(0.3j), rng.random((8, 9)) > 0.3
    alone, both = without_common_phase(a, known), without_common_phase(a, known, reference=b)
    assert np.angle(alone[known].sum()) == pytest.approx(0, abs=1e-12)
    assert np.angle(both[known].sum()) == pytest.approx(0.3)
    np.testing.assert_allclose(np.abs(both), np.abs(a))
