"""Metrics against closed forms, and blind to what ptychography cannot know."""

import sys
from pathlib import Path

import numpy as np
import pytest

from ptychonyx.runtime.comparison.align import Aligned, Region, align, parse_region
from ptychonyx.runtime.comparison.metrics import compare, measure

pytest.importorskip("skimage", reason="scikit-image is not installed")

DATA = Path(__file__).parents[4] / "shared" / "data" / "velociprobe_siemens_star"
ORIGIN = {"corner_a": (0, 0), "corner_b": (0, 0)}


def phase_object(shape=(96, 104), *, shift=(0.0, 0.0), amplitude_contrast=0.02):
    """Band-limited object, nearly pure phase, evaluated exactly at any shift."""
    rng = np.random.default_rng(0)
    ky, kx = rng.uniform(-1.0, 1.0, (2, 60))
    offset = rng.uniform(0, 2 * np.pi, 60)
    y, x = (np.arange(n) - s for n, s in zip(shape, shift, strict=True))
    waves = np.exp(1j * (y[:, None] * ky + offset)) @ np.exp(1j * np.outer(kx, x)) / np.sqrt(60)
    return (1 + amplitude_contrast * waves.imag) * np.exp(0.4j * waves.real)


def with_ramp(object_, cycles):
    y, x = np.indices(object_.shape) / np.array(object_.shape)[:, None, None]
    return object_ * np.exp(2j * np.pi * (cycles[0] * y + cycles[1] * x))


@pytest.mark.parametrize("cycles", [(0, 0), (0.3, -0.45), (3.3, -2.7), (-4.5, 0.5)])
@pytest.mark.parametrize("scale", [1, 2.5 * np.exp(2j)])
def test_scale_and_ramp_do_not_matter(cycles, scale):
    b = phase_object()
    result = compare(scale * with_ramp(b, cycles), b, **ORIGIN)
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
def test_shift_of_a_weak_amplitude_object_is_found(shift, cycles):
    b = phase_object()
    a = with_ramp(phase_object(shift=shift), cycles) * 1.7j
    result = compare(a, b, **ORIGIN, region="20:76,20:84")
    np.testing.assert_allclose(result.shift_px, -np.array(shift), atol=0.02)
    assert result.phase_pearson > 0.999
    assert result.complex_nrmse < 0.02


def test_corners_place_the_object_even_at_fractions():
    b = phase_object((80, 80))
    a = phase_object((60, 64), shift=(-10.25, -6.5))
    result = compare(a, b, corner_a=(13.25, 8.5), corner_b=(3, 2))
    np.testing.assert_allclose(result.shift_px, 0, atol=0.02)
    assert result.region == "10:70,6:71"
    inner = compare(a, b, corner_a=(13.25, 8.5), corner_b=(3, 2), region="20:60,16:60")
    assert inner.complex_nrmse < 0.01


def test_metrics_equal_independent_formulas():
    rng = np.random.default_rng(1)
    b = phase_object((40, 48), amplitude_contrast=0.3)
    a = b + 0.1 * (rng.normal(size=b.shape) + 1j * rng.normal(size=b.shape))
    valid = rng.random(b.shape) > 0.2
    result = measure(Aligned(a, b, valid, Region(0, 40, 0, 48), (0.0, 0.0)), pixel_size_m=2e-9)
    difference = np.sqrt((np.abs(a - b)[valid] ** 2).sum() / (np.abs(b)[valid] ** 2).sum())
    turn = np.exp(-1j * np.angle(b[valid].mean()))
    phases = np.angle(a * turn)[valid], np.angle(b * turn)[valid]
    assert result.complex_nrmse == pytest.approx(difference)
    assert result.phase_pearson == pytest.approx(np.corrcoef(*phases)[0, 1])
    amplitudes = np.abs(a)[valid], np.abs(b)[valid]
    assert result.amplitude_pearson == pytest.approx(np.corrcoef(*amplitudes)[0, 1])
    assert result.phase_mae_rad == pytest.approx(np.abs(np.angle(a / b))[valid].mean())
    assert result.num_pixels == valid.sum()
    assert result.frc_half_bit_nm == pytest.approx(2 * result.frc_half_bit_px)


def test_known_cutoff_is_the_resolution():
    rng = np.random.default_rng(2)
    spectrum, other = rng.normal(size=(2, 128, 128)) + 1j * rng.normal(size=(2, 128, 128))
    frequency = np.hypot(np.fft.fftfreq(128)[:, None], np.fft.fftfreq(128))
    b = np.fft.ifft2(spectrum) + 1
    a = np.fft.ifft2(np.where(frequency < 0.2, spectrum, other)) + 1
    aligned = Aligned(a, b, np.ones(a.shape, bool), Region(0, 128, 0, 128), (0.0, 0.0))
    assert measure(aligned).frc_half_bit_px == pytest.approx(5, rel=0.06)


def test_flat_object_scores_low_where_correlation_of_complex_values_would_not():
    b = phase_object()
    result = compare(np.ones_like(b), b, **ORIGIN)
    assert result.phase_pearson < 0.2
    assert result.amplitude_pearson == 0
    assert result.phase_ssim < 0.3
    assert result.complex_nrmse > 0.25
    assert result.frc_half_bit_px > 50
    assert result.shift_px == (0, 0)
    assert np.isfinite([value for value in vars(result).values() if isinstance(value, float)]).all()


def test_pure_phase_reference_gives_finite_numbers():
    b = phase_object(amplitude_contrast=0).astype(np.complex64)
    result = compare(b, b, **ORIGIN)
    assert result.amplitude_pearson == 0
    assert result.amplitude_ssim == pytest.approx(1)


def test_unrelated_object_is_not_moved():
    rng = np.random.default_rng(3)
    result = compare(np.exp(0.3j * rng.normal(size=(96, 104))), phase_object(), **ORIGIN)
    assert result.shift_px == (0, 0)
    assert abs(result.phase_pearson) < 0.1


def test_masks_hide_uncovered_pixels():
    b = phase_object()
    a, mask = b.copy(), np.ones(b.shape, bool)
    mask[:12], mask[50:60, 30:40] = False, False
    a[~mask] = np.nan
    result = compare(a, b, **ORIGIN, mask_a=mask)
    assert result.region == "12:96,0:104"
    assert result.num_pixels == mask.sum()
    assert result.complex_nrmse < 1e-6
    assert result.phase_ssim > 0.99
    with pytest.raises(ValueError, match=r"`a` is .*nan.* at pixel \(0, 0\)"):
        compare(a, b, **ORIGIN)


@pytest.mark.parametrize(
    ("text", "message"),
    [("50:195", "y0:y1,x0:x1"), ("9:5,0:4", "holds no pixel"), ("-3:5,0:4", "y0:y1,x0:x1")],
)
def test_bad_region_text_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse_region(text)


def test_region_text_goes_there_and_back():
    assert str(parse_region(" 50:195, 60:180")) == "50:195,60:180"


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
def test_impossible_comparisons_are_refused(kwargs, message):
    b = phase_object()
    with pytest.raises(ValueError, match=message):
        compare(b, b, **(ORIGIN | kwargs))


def test_missing_scikit_image_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.registration", None)
    with pytest.raises(RuntimeError, match=r"pip install \"ptychonyx\[compare\]\""):
        align(phase_object(shift=(1, 1)), phase_object(), **ORIGIN)


def test_siemens_star_scores_what_was_measured_before():
    if not DATA.is_dir():
        pytest.skip(f"no real scan at {DATA}")
    with np.load(DATA / "siemens64.npz") as scan:
        a = scan["objectGuess"]
    with np.load(DATA / "siemens64_reference_3modes.npz") as reference:
        b = reference["object"]
    result = compare(a, b, **ORIGIN, region="50:195,50:195")
    # Scale and ramp alone give 0.9829 and 0.733; moving it by 0.1 px adds 0.0006 and 0.0014.
    assert result.phase_pearson == pytest.approx(0.983, abs=0.003)
    assert result.amplitude_pearson == pytest.approx(0.73, abs=0.01)
    assert np.abs(result.shift_px).max() < 0.2


@pytest.mark.parametrize("zero_rad", [0.0, 1.0, -0.4])
def test_phase_ssim_is_that_of_an_image_that_begins_at_zero(zero_rad):
    from skimage.metrics import structural_similarity

    rng = np.random.default_rng(0)
    image = np.zeros((64, 64))
    image[20:30] = image[:, 40:44] = 0.8  # mostly flat: near the mean phase, far from the lowest
    wrong = image + 0.03 * rng.normal(size=(64, 64))
    turn = np.exp(1j * zero_rad)
    everywhere, region = np.ones(image.shape, bool), Region(0, 64, 0, 64)
    aligned = Aligned(
        turn * np.exp(1j * wrong), turn * np.exp(1j * image), everywhere, region, (0.0, 0.0)
    )
    expected = structural_similarity(image, wrong, data_range=0.8, full=True)[1].mean()
    assert measure(aligned).phase_ssim == pytest.approx(expected, abs=1e-6)
