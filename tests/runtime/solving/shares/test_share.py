"""The shares of a scan: all patterns once, and one after the other in a tree."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ptychonyx.runtime.scan import Scan
from ptychonyx.runtime.solving.physics.placement import place_windows
from ptychonyx.runtime.solving.shares import share
from ptychonyx.runtime.solving.shares.share import even_parts, in_a_tree, read_share


@pytest.mark.parametrize(("num_patterns", "num_parts"), [(10, 1), (10, 3), (7, 7), (20_001, 2)])
def test_parts_hold_every_pattern_once_and_are_even(num_patterns: int, num_parts: int) -> None:
    parts = even_parts(num_patterns, num_parts)
    assert [number for ends in parts for number in range(*ends)] == list(range(num_patterns))
    sizes = [stop - start for start, stop in parts]
    assert len(parts) == num_parts
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(("num", "depth"), [(1, 0), (2, 1), (5, 3), (8, 3)])
def test_a_tree_is_as_deep_as_it_must_be_and_keeps_the_order(num: int, depth: int) -> None:
    leaves: list[tuple[list[int], int]] = [([number], 0) for number in range(num)]
    total, deep = in_a_tree(leaves, lambda a, b: (a[0] + b[0], 1 + max(a[1], b[1])))
    assert (total, deep) == (list(range(num)), depth)


def test_a_share_lies_on_the_canvas_of_the_whole(
    small_scan: Scan, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = place_windows(small_scan.corners_px, small_scan.window_px)
    held = read_share(small_scan, 10, 25, noise="poisson")
    assert held.placement.shape == whole.shape
    np.testing.assert_array_equal(held.placement.whole_px, whole.whole_px[10:25])
    assert (held.noise, len(held.measured.kept)) == ("poisson", 15)
    monkeypatch.setattr(share, "SHARE_BYTES", 4 * 4 * 32**2)
    partly = read_share(small_scan, 10, 25, noise="poisson")
    assert len(partly.measured.kept) == 4
    every = np.arange(15)
    np.testing.assert_array_equal(partly.measured.amplitudes(every), held.measured.kept)


def test_a_dark_share_is_no_error(small_scan: Scan) -> None:
    patterns = np.array(small_scan.patterns[:])
    patterns[:10] = 0
    dark = read_share(dataclasses.replace(small_scan, patterns=patterns), 0, 10, noise="amplitude")
    assert dark.measured.counts.sum() == 0
