"""Patterns get positions as Ptychodus gives them."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ptychonyx.runtime.errors import ScanError
from ptychonyx.runtime.formats.pairing import pair_patterns

PATHS: dict[str, Any] = {
    "positions_path": Path("product.h5"),
    "patterns_path": Path("diffraction.h5"),
}


def test_patterns_between_positions_are_interpolated_and_outer_ones_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    known = np.arange(0, 516, 10)
    corners_px = np.random.default_rng(0).uniform(0, 99, (52, 2))
    with caplog.at_level(logging.WARNING):
        pairs = pair_patterns(known, corners_px, np.arange(516), **PATHS)
    assert len(pairs.rows) == 511
    np.testing.assert_array_equal(pairs.rows, pairs.indexes)
    for axis in range(2):
        expected = np.interp(np.arange(511), known, corners_px[:, axis])
        np.testing.assert_allclose(pairs.corners_px[:, axis], expected)
    assert "459 patterns lie between two positions" in caplog.text
    assert "5 patterns lie before the first or after the last position" in caplog.text


def test_repeated_and_unordered_positions_are_averaged_first() -> None:
    known = np.array([8, 4, 8, 0])
    corners_px = np.array([[9.0, 0], [4, 0], [7, 0], [0, 0]])
    pairs = pair_patterns(known, corners_px, np.array([6, 2, 4]), **PATHS)
    assert pairs.indexes.tolist() == [2, 4, 6]
    assert pairs.rows.tolist() == [1, 2, 0]
    assert pairs.corners_px[:, 0].tolist() == [2.0, 4.0, 6.0]


def test_positions_without_patterns_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        pairs = pair_patterns(np.arange(9), np.ones((9, 2)), np.array([3, 5]), **PATHS)
    assert pairs.indexes.tolist() == [3, 5]
    assert "7 positions have no pattern" in caplog.text


def test_strangers_are_refused() -> None:
    with pytest.raises(ScanError, match="None of the 2 positions"):
        pair_patterns(np.array([0, 1]), np.ones((2, 2)), np.array([5]), **PATHS)
