"""The right way round is found, or it is said that it cannot be told."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from ptychonyx.runtime import SolvingOptions, load_object, load_probe, load_scan, solve
from ptychonyx.runtime.orientation import check_orientation
from ptychonyx.runtime.scan import Scan
from ptychonyx.runtime.turns import FLIPS, NEGATIONS, NO_TURN, Turn

VARIANTS = [
    *(Turn(flip=flip) for flip in FLIPS),
    *(
        Turn(swap_positions=swap, negate_positions=negate)
        for swap, negate in product((False, True), ("", *NEGATIONS))
        if swap or negate
    ),
    *(Turn(flip=flip, negate_positions="y") for flip in ("x", "t", "tyx")),
    *(Turn(flip=flip, swap_positions=True) for flip in ("y", "t", "ty")),
    *(Turn(flip=flip, negate_positions="yx") for flip in ("yx", "tx")),
]


@pytest.fixture
def real(star: Path) -> Scan:
    scan = load_scan(star / "siemens64.npz", quantity="counts")
    reference = star / "siemens64_reference_3modes.npz"
    found = load_object(reference)
    return replace(scan, probe=load_probe(reference), object_=found.object_)


@pytest.mark.parametrize("turn", VARIANTS, ids=lambda turn: turn.options)
def test_a_star_the_wrong_way_round_is_named(turn: Turn, real: Scan) -> None:
    wrong = turn.apply(real)
    found = check_orientation(wrong, with_passes=False)
    assert found.verdict == "wrong"
    back = found.best.apply(wrong)
    np.testing.assert_allclose(back.corners_px, real.corners_px, atol=1e-6)
    np.testing.assert_array_equal(back.patterns[:4], real.patterns[:4])


@pytest.mark.parametrize("axes", [(1,), (2,), (1, 2)])
def test_reversed_arrays_miss_the_beam_by_a_pixel(axes: tuple[int, ...], real: Scan) -> None:
    patterns = np.flip(np.asarray(real.patterns[:]), axes)
    found = check_orientation(replace(real, patterns=patterns), with_passes=False)
    turned = found.best.apply(replace(real, patterns=patterns))
    np.testing.assert_array_equal(turned.patterns[:4], real.patterns[:4])


def test_the_right_way_round_is_said(real: Scan, small_scan: Scan) -> None:
    for scan in (real, small_scan):
        found = check_orientation(scan)
        assert (found.verdict, found.best) == ("right", NO_TURN)
        assert "cannot be told" in found.reason  # a mirror image of everything


def test_without_a_probe_nothing_can_be_told(small_scan: Scan) -> None:
    flipped = Turn(flip="x").apply(replace(small_scan, probe=None))
    found = check_orientation(flipped)
    assert found.verdict == "unknown"
    assert "cannot be told without a trusted probe" in found.reason


@pytest.mark.parametrize("flip", ["x", "t"])
def test_passes_decide_where_the_object_came_from_turned_patterns(
    flip: str, small_scan: Scan
) -> None:
    wrong = Turn(flip=flip).apply(small_scan)
    solved = solve(replace(wrong, object_=None), SolvingOptions(passes=3))
    given = replace(wrong, object_=solved.object_, object_corner_px=solved.object_corner_px)
    assert check_orientation(given, with_passes=False).verdict == "unknown"
    found = check_orientation(given)
    # beam and raster of the simulation are nearly symmetric: more than one way may do
    tried = [way.turn for way in found.ways[:3]]
    assert Turn(flip=flip) in tried
    assert found.verdict in ("wrong", "unknown")


def test_a_placeholder_for_an_object_is_not_asked(small_scan: Scan) -> None:
    assert small_scan.object_ is not None
    flat = replace(small_scan, object_=np.ones_like(small_scan.object_))
    found = check_orientation(flat, with_passes=False)
    assert (found.verdict, found.ways) == ("unknown", ())
