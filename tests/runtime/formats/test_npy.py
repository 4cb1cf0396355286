"""A bare array is an object or a probe, and never a scan."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ptychonyx.runtime import load_object, load_probe, load_scan
from ptychonyx.runtime.errors import ScanError


def test_a_bare_array_is_an_object_at_the_origin(tmp_path: Path) -> None:
    array = np.random.default_rng(0).normal(size=(9, 12)).astype(np.complex64)
    np.save(tmp_path / "object.npy", array)
    read = load_object(tmp_path / "object.npy")
    np.testing.assert_array_equal(read.object_, array)
    assert (read.corner_px, read.coverage, read.pixel_size_m) == ((0, 0), None, None)


def test_a_bare_array_is_no_scan(tmp_path: Path) -> None:
    np.save(tmp_path / "patterns.npy", np.ones((3, 8, 8)))
    with pytest.raises(ScanError, match="bare array without positions"):
        load_scan(tmp_path / "patterns.npy")


def test_a_damaged_array_is_named(tmp_path: Path) -> None:
    (tmp_path / "probe.npy").write_text("not an array")
    for read in (load_object, load_probe):
        with pytest.raises(ScanError, match=r"probe\.npy"):
            read(tmp_path / "probe.npy")
