"""Objects as pictures: 32-bit floats in the object's order, with the size of a pixel."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ptychonyx.runtime.formats.tiff import write_tiffs

tifffile = pytest.importorskip("tifffile")
PIXEL_M = 2.81e-8


@pytest.mark.parametrize("unwrap", [False, True])
def test_pictures_are_the_object(unwrap: bool, tmp_path: Path) -> None:
    rows, columns = np.mgrid[:40, :50]
    ramp = 0.4 * columns - 0.3 * rows
    object_ = ((1 + 0.01 * rows) * np.exp(1j * ramp)).astype(np.complex64)
    coverage = (rows > 3).astype(np.int32)
    write_tiffs(
        object_, tmp_path / "star.tif", pixel_size_m=PIXEL_M, coverage=coverage, unwrap=unwrap
    )
    amplitude = tifffile.imread(tmp_path / "star_amplitude.tif")
    phase = tifffile.imread(tmp_path / "star_phase.tif")
    assert amplitude.dtype == phase.dtype == np.float32
    np.testing.assert_array_equal(amplitude, np.where(coverage, np.abs(object_), 0))
    assert not phase[:4].any()
    if unwrap:
        turns = (phase - ramp)[4:] / (2 * np.pi)
        np.testing.assert_allclose(turns, np.round(turns[0, 0]), atol=1e-5)
    else:
        np.testing.assert_array_equal(phase[4:], np.angle(object_)[4:])


def test_the_pixel_has_a_size(tmp_path: Path) -> None:
    write_tiffs(np.ones((3, 4), np.complex64), tmp_path / "a.tif", pixel_size_m=PIXEL_M)
    with tifffile.TiffFile(tmp_path / "a_phase.tif") as file:
        (page,) = file.pages
        numerator, denominator = page.tags["XResolution"].value
        assert page.tags["ResolutionUnit"].value == 3  # centimetres
        assert numerator / denominator == pytest.approx(1e-2 / PIXEL_M, rel=1e-6)
        description = json.loads(page.description)
    assert description == {"what": "phase", "unit": "rad", "pixel_size_m": PIXEL_M}


def test_equal_objects_are_equal_bytes(tmp_path: Path) -> None:
    for name in ("a.tif", "b.tif"):
        write_tiffs(np.ones((3, 4), np.complex64), tmp_path / name)
    one, other = ((tmp_path / f"{name}_phase.tif").read_bytes() for name in "ab")
    assert one == other
