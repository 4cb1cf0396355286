"""Aligning finds scale, ramp and shift, and refuses what cannot be compared."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from phase_objects import ORIGIN, phase_object, with_ramp

from ptychonyx.runtime.comparison.align import align
from ptychonyx.runtime.comparison.metrics import compare_objects

pytest.importorskip("skimage", reason="scikit-image is not installed")


@pytest.mark.parametrize("cycles", [(0, 0), (0.3, -0.45), (3.3, -2.7), (-4.5, 0.5)])
@pytest.mark.parametrize("scale", [1, 2.5 * np.exp(2j)])
def test_scale_and_ramp_do_not_matter(cycles: tuple[float, float], scale: complex) -> None:
    b = phase_object()
    result = compare_objects(scale * with_ramp(b, cycles), b, **ORIGIN)
    assert result.complex_nrmse < 1e-6
    assert result.amplitude_pearson == pytest.approx(1)
    assert result.phase_pearson == pytest.approx(1)
    assert result.phase_ssim == pytest.approx(1)
    assert result.amplitude_ssim == pytest.approx(1)
    assert result.phase_mae_rad < 1e-6
    assert result.frc_half_bit_px == 2
    assert result.shift_px == (0, 0)
    assert result.num_pixels == b.size


@pytest.mark.parametrize("shift", [(0.37, -1.21), (-5.5, 3.25), (0.08, 0.0)])
@pytest.mark.parametrize("cycles", [(0, 0), (2.3, -1.6)])
def test_shift_of_a_weak_amplitude_object_is_found(
    shift: tuple[float, float], cycles: tuple[float, float]
) -> None:
    b = phase_object()
    a = with_ramp(phase_object(shift=shift), cycles) * 1.7j
    result = compare_objects(a, b, **ORIGIN, region="20:76,20:84")
    np.testing.assert_allclose(result.shift_px, -np.array(shift), atol=0.02)
    assert result.phase_pearson > 0.999
    assert result.complex_nrmse < 0.02


def test_corners_place_the_object_even_at_fractions() -> None:
    b = phase_object((80, 80))
    a = phase_object((60, 64), shift=(-10.25, -6.5))
    result = compare_objects(a, b, corner_a=(13.25, 8.5), corner_b=(3, 2))
    np.testing.assert_allclose(result.shift_px, 0, atol=0.02)
    assert result.region == "10:70,6:71"
    inner = compare_objects(a, b, corner_a=(13.25, 8.5), corner_b=(3, 2), region="20:60,16:60")
    assert inner.complex_nrmse < 0.01


def test_unrelated_object_is_not_moved() -> None:
    rng = np.random.default_rng(3)
    result = compare_objects(np.exp(0.3j * rng.normal(size=(96, 104))), phase_object(), **ORIGIN)
    assert result.shift_px == (0, 0)
    assert abs(result.phase_pearson) < 0.1


def test_masks_hide_uncovered_pixels() -> None:
    b = phase_object()
    a, mask = b.copy(), np.ones(b.shape, bool)
    mask[:12], mask[50:60, 30:40] = False, False
    a[~mask] = np.nan
    result = compare_objects(a, b, **ORIGIN, mask_a=mask)
    assert result.region == "12:96,0:104"
    assert result.num_pixels == mask.sum()
    assert result.complex_nrmse < 1e-6
    assert result.phase_ssim > 0.99
    with pytest.raises(ValueError, match=r"`a` is .*nan.* at pixel \(0, 0\)"):
        compare_objects(a, b, **ORIGIN)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"region": "90:100,0:50"}, r"leaves `b`, whose shape is \(96, 104\)"),
        ({"region": "0:3,0:50"}, "at least 7×7"),
        ({"corner_a": (500, 0)}, "no known pixel in common"),
        ({"corner_a": (50, 0), "region": "0:40,0:40"}, "holds no pixel that both objects know"),
        ({"mask_b": np.ones((3, 3), bool)}, r"`mask_b` has shape \(3, 3\)"),
    ],
)
def test_impossible_comparisons_are_refused(kwargs: dict[str, Any], message: str) -> None:
    b = phase_object()
    with pytest.raises(ValueError, match=message):
        compare_objects(b, b, **(ORIGIN | kwargs))


def test_missing_scikit_image_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage.registration", None)
    with pytest.raises(RuntimeError, match=r"pip install \"ptychonyx\[compare\]\""):
        align(phase_object(shift=(1, 1)), phase_object(), **ORIGIN)


def test_a_reference_that_reaches_far_beyond_the_object_is_compared_where_both_are_known() -> None:
    b = phase_object()
    a = b[40:60, 50:75]  # smaller than the margin that a shift is given
    aligned = align(a, b, corner_a=(40, 50), corner_b=(0, 0), region="0:96,0:104")
    assert aligned.is_valid.sum() == a.size
    np.testing.assert_allclose(aligned.a[40:60, 50:75], a, atol=1e-6)
