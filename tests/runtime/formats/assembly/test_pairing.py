"""Patterns and positions are paired as Ptychodus pairs them."""

from __future__ import annotations

import logging
from pathlib import Path

import h5py
import numpy as np
import pytest

from ptychonyx.runtime import load_scan, save_scan
from ptychonyx.runtime.errors import ScanError
from ptychonyx.runtime.formats.assembly.pairing import pair
from ptychonyx.runtime.scan import Scan

PATH = Path("scan.h5")


def test_every_rule_at_once(caplog: pytest.LogCaptureFixture) -> None:
    positions = np.array([[0.0, 0.0], [9.0, 3.0], [2.0, 4.0], [4.0, 8.0], [7.0, 7.0]])
    with caplog.at_level(logging.WARNING):
        pairs = pair(np.array([8, 1, 2, 4, 6, 12]), np.array([2, 6, 4, 4, 10]), positions, PATH)
    assert pairs.rows.tolist() == [0, 2, 3, 4]
    assert pairs.indexes.tolist() == [8, 2, 4, 6]
    np.testing.assert_array_equal(pairs.positions, [[8, 5], [0, 0], [3, 6], [9, 3]])
    assert [record.getMessage().split(": ", 1)[1] for record in caplog.records] == [
        "1 of 5 positions have an index for the second time: averaged.",
        "1 of 6 patterns have no position of their own: put between their neighbours.",
        "2 of 6 patterns lie before the first position or after the last: left out.",
        "1 of 5 positions have no pattern: left out.",
    ]


def test_equal_indexes_change_nothing_and_say_nothing(caplog: pytest.LogCaptureFixture) -> None:
    positions = np.random.default_rng(0).normal(size=(50, 2))
    indexes = np.random.default_rng(0).permutation(50)
    pairs = pair(indexes, indexes, positions, PATH)
    np.testing.assert_array_equal(pairs.positions, positions)
    assert caplog.records == []


@pytest.mark.parametrize(
    ("patterns", "positions", "message"),
    [
        ([1, 1], [1, 2], "two patterns have the same scan index, 1"),
        ([1, 2], [], "has no positions"),
        ([1, 2], [3, 4], "None of the 2 patterns .* those of the 2 positions, 3 to 4"),
    ],
)
def test_what_cannot_be_paired(patterns: list[int], positions: list[int], message: str) -> None:
    places = np.zeros((len(positions), 2))
    with pytest.raises(ScanError, match=message):
        pair(np.array(patterns), np.array(positions, np.int64), places, PATH)


def test_positions_at_every_tenth_index_keep_what_lies_between(
    small_scan: Scan, tmp_path: Path
) -> None:
    save_scan(small_scan, tmp_path)
    with h5py.File(tmp_path / "product.h5", "r+") as file:
        for name in ("probe_position_indexes", "probe_position_y_m", "probe_position_x_m"):
            values = file[name][()][::10]
            del file[name]
            file[name] = values
    scan = load_scan(tmp_path)
    assert scan.num_patterns == 31
    np.testing.assert_array_equal(scan.patterns[0:31], small_scan.patterns[0:31])
    for axis in range(2):
        expected = np.interp(np.arange(31), [0, 10, 20, 30], small_scan.corners_px[:31:10, axis])
        np.testing.assert_allclose(scan.corners_px[:, axis], expected, atol=1e-6)
