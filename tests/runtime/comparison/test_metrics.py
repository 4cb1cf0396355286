"""Metrics against closed forms, and blind to what ptychography cannot know."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from phase_objects import ORIGIN, phase_object

from ptychonyx.runtime.comparison.align import Aligned
from ptychonyx.runtime.comparison.metrics import compare_objects, measure
from ptychonyx.runtime.comparison.region import Region

pytest.importorskip("skimage", reason="scikit-image is not installed")


def test_metrics_equal_independent_formulas() -> None:
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


def test_known_cutoff_is_the_resolution() -> None:
    rng = np.random.default_rng(2)
    spectrum, other = rng.normal(size=(2, 128, 128)) + 1j * rng.normal(size=(2, 128, 128))
    frequency = np.hypot(np.fft.fftfreq(128)[:, None], np.fft.fftfreq(128))
    b = np.fft.ifft2(spectrum) + 1
    a = np.fft.ifft2(np.where(frequency < 0.2, spectrum, other)) + 1
    aligned = Aligned(a, b, np.ones(a.shape, bool), Region(0, 128, 0, 128), (0.0, 0.0))
    assert measure(aligned).frc_half_bit_px == pytest.approx(5, rel=0.06)


def test_flat_object_scores_low_where_correlation_of_complex_values_would_not() -> None:
    b = phase_object()
    result = compare_objects(np.ones_like(b), b, **ORIGIN)
    assert result.phase_pearson < 0.2
    assert result.amplitude_pearson == 0
    assert result.phase_ssim < 0.3
    assert result.complex_nrmse > 0.25
    assert result.frc_half_bit_px > 50
    assert result.shift_px == (0, 0)
    assert np.isfinite([value for value in vars(result).values() if isinstance(value, float)]).all()


def test_pure_phase_reference_gives_finite_numbers() -> None:
    b = phase_object(amplitude_contrast=0).astype(np.complex64)
    result = compare_objects(b, b, **ORIGIN)
    assert result.amplitude_pearson == 0
    assert result.amplitude_ssim == pytest.approx(1)


def test_siemens_star_scores_what_was_measured_before(star: Path) -> None:
    with np.load(star / "siemens64.npz") as scan:
        a = scan["objectGuess"]
    with np.load(star / "siemens64_reference_3modes.npz") as reference:
        b = reference["object"]
    result = compare_objects(a, b, **ORIGIN, region="50:195,50:195")
    # Scale and ramp alone give 0.9829 and 0.733; moving it by 0.1 px adds 0.0006 and 0.0014.
    assert result.phase_pearson == pytest.approx(0.983, abs=0.003)
    assert result.amplitude_pearson == pytest.approx(0.73, abs=0.01)
    assert np.abs(result.shift_px).max() < 0.2


@pytest.mark.parametrize("zero_rad", [0.0, 1.0, -0.4])
def test_phase_ssim_is_that_of_an_image_that_begins_at_zero(zero_rad: float) -> None:
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


def test_metrics_are_plain_values_and_the_objects_stay_beside_them() -> None:
    b = phase_object()
    result = compare_objects(2 * b, b, **ORIGIN)
    values = result.metrics()
    assert json.loads(json.dumps(values))["phase_pearson"] == result.phase_pearson
    assert "aligned" not in values
    np.testing.assert_allclose(result.aligned.a, result.aligned.b, atol=1e-6)
