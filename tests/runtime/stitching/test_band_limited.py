"""Patches of a band-limited truth are brought to fractional pixels without losing its waves."""

from __future__ import annotations

import pytest
import stitching


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("overlaps", "largest"), [(28, 0.005), (7, 0.006)])
def test_stitching_meets_band_limited_truth(overlaps: int, largest: float) -> None:
    errors = stitching.errors("random", overlaps, 0.0, "Hann")
    assert errors[stitching.DEFAULT] < largest
    assert errors["bilinear / transfer"] > largest  # what is so much simpler does not
