"""Some patterns of a scan are read when they are needed, and only they."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptychonyx.runtime.scaling import read_amplitudes_of
from ptychonyx.runtime.scan import Scan, some_of


class NotedPatterns:
    """Patterns that note which of them were read."""

    def __init__(self) -> None:
        self.array = np.arange(6 * 16).reshape(6, 4, 4)
        self.read: list[int] = []
        self.shape, self.dtype = self.array.shape, self.array.dtype

    def __getitem__(self, key: slice | NDArray[np.int64], /) -> NDArray[Any]:
        self.read += np.arange(6)[key].tolist()
        return self.array[key]


def test_some_patterns_are_those_and_no_other_is_read() -> None:
    patterns, corners_px = NotedPatterns(), np.random.default_rng(0).random((6, 2))
    numbers = np.array([9, 3, 4, 1, 0, 7])
    scan = Scan(patterns, "amplitude", corners_px, position_indexes=numbers)
    some = some_of(scan, np.array([1, 2, 5]))
    assert patterns.read == []
    assert (some.num_patterns, some.window_px) == (3, 4)
    np.testing.assert_array_equal(some.corners_px, corners_px[[1, 2, 5]])
    np.testing.assert_array_equal(some.position_indexes, [3, 4, 7])
    np.testing.assert_array_equal(some.patterns[1:], patterns.array[[2, 5]])
    np.testing.assert_array_equal(
        read_amplitudes_of(some, np.array([2, 0])), patterns.array[[5, 1]]
    )
    assert set(patterns.read) == {1, 2, 5}


def test_some_of_some_still_know_their_place_in_the_file() -> None:
    scan = Scan(np.ones((6, 4, 4)), "counts", np.zeros((6, 2)))
    twice = some_of(some_of(scan, np.array([1, 3, 4])), np.array([0, 2]))
    np.testing.assert_array_equal(twice.position_indexes, [1, 4])
