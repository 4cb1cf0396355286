"""No scan takes more memory than the machine has: wild positions are named instead."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from numpy.typing import NDArray

from ptychonyx.runtime.errors import ScanError
from ptychonyx.runtime.memory import LIMIT_VARIABLE, largest_bytes
from ptychonyx.runtime.scan import Frame, Scan
from ptychonyx.runtime.solving.physics.placement import place_windows
from ptychonyx.runtime.stitching.patches import canvas_for

SIDE = 8


def with_outliers(**places_px: float) -> NDArray[np.float64]:
    """Return 20 positions; some, named i7, are moved along both axes."""
    corners_px = np.random.default_rng(0).uniform(0, 30, (20, 2))
    for name, place_px in places_px.items():
        corners_px[int(name[1:])] = place_px
    return corners_px


def scan_at(corners_px: NDArray[np.float64]) -> Scan:
    return Scan(np.ones((len(corners_px), SIDE, SIDE)), "counts", corners_px)


@pytest.mark.parametrize("place_px", [1e6, -1e6, 1e8])
def test_a_canvas_that_is_too_large_names_the_outlying_positions(place_px: float) -> None:
    corners_px = with_outliers(i7=place_px, i12=0.9 * place_px)
    message = (
        rf"outlying positions are 7 at \(y, x\) = \({place_px:.6g}, .* px, 12 at .* px: remove"
    )
    with pytest.raises(ScanError, match=message.replace("+", r"\+")):
        canvas_for(scan_at(corners_px))
    with pytest.raises(ScanError, match=message.replace("+", r"\+")):
        place_windows(corners_px, SIDE)


@pytest.mark.parametrize("place_px", [1e12, 1e300])
def test_positions_beyond_every_integer_are_refused(place_px: float) -> None:
    for corners_px in (with_outliers(i7=place_px), with_outliers() + place_px):
        with pytest.raises(ScanError, match="unit of the positions, or the pixel size"):
            canvas_for(scan_at(corners_px))
        with pytest.raises(ScanError, match="unit of the positions, or the pixel size"):
            place_windows(corners_px, SIDE)


def test_a_canvas_that_a_file_asks_for_has_the_limit_too() -> None:
    frame = Frame((10**6, 10**6), (0.0, 0.0), (1e-8, 1e-8))
    with pytest.raises(ScanError, match="would have 1000000×1000000 pixels"):
        canvas_for(dataclasses.replace(scan_at(with_outliers()), frame=frame))


def test_the_limit_can_be_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    corners_px = with_outliers()
    monkeypatch.setenv(LIMIT_VARIABLE, "1e-6")
    with pytest.raises(ScanError, match=f"set {LIMIT_VARIABLE} to more GB"):
        place_windows(corners_px, SIDE)
    monkeypatch.setenv(LIMIT_VARIABLE, "1")
    assert place_windows(corners_px, SIDE).shape < (40, 40)
    monkeypatch.setenv(LIMIT_VARIABLE, "much")
    with pytest.raises(ValueError, match="'much'; a positive number of GB"):
        largest_bytes()
