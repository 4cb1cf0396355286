"""Corners are right whatever positions point at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from format_files import Arrays

from ptychonyx.runtime import load_scan

PTYCHODUS: Arrays = {
    "bad_pixels": np.zeros((32, 32), bool),
    "scan_index": np.zeros(2, int),
    "probeGuess": np.ones((1, 32, 32), complex),
    "objectGuess": np.ones((80, 80), complex),
    "xcoords_start": [40.0, 41.25],
    "ycoords_start": [20.0, 21.0],
}
"""What Ptychodus 1.7 writes beside patterns and positions."""


@pytest.mark.parametrize(
    ("extra", "origin", "offset"),
    [
        ({}, None, 16),
        ({"bad_pixels": np.zeros((32, 32), bool)}, None, 16),  # a mask alone moves nothing
        ({"position_origin": "ptychodus"}, None, 15.5),
        (PTYCHODUS, None, 15.5),
        ({}, "corner", 0),
        ({}, "ptychodus", 15.5),
    ],
)
def test_position_origin(extra: Arrays, origin: str | None, offset: float, tmp_path: Path) -> None:
    np.savez(
        tmp_path / "scan.npz",
        diff3d=np.full((2, 32, 32), 0.5),
        xcoords=[40.0, 41.25],
        ycoords=[20.0, 21.0],
        **extra,
    )
    read = load_scan(tmp_path / "scan.npz", position_origin=origin)
    np.testing.assert_allclose(read.corners_px, np.array([[20, 40], [21, 41.25]]) - offset)
