"""Rings against a naive loop, and the period where they part."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ptychonyx.runtime.comparison.ring_correlation import correlate_rings, half_bit_period_px


def complex_noise(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.complex128]:
    return np.asarray(rng.normal(size=shape) + 1j * rng.normal(size=shape))


@pytest.mark.parametrize("shape", [(32, 32), (21, 30)])
def test_rings_equal_a_naive_loop(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    a, noise = complex_noise(rng, shape), complex_noise(rng, shape)
    b = a + noise
    rings = correlate_rings(a, b, np.ones(shape, bool))
    taper = np.outer(*(np.hanning(side + 2)[1:-1] for side in shape))
    spectra = [np.fft.fft2((image - image.mean()) * taper) for image in (a, b)]
    side = min(shape)
    for number, frequency in enumerate(rings.frequencies):
        assert frequency == number / side
        on_ring = [
            (y, x)
            for y, fy in enumerate(np.fft.fftfreq(shape[0]))
            for x, fx in enumerate(np.fft.fftfreq(shape[1]))
            if round(float(np.hypot(fy, fx) * side)) == number
        ]
        first, second = (np.array([spectrum[at] for at in on_ring]) for spectrum in spectra)
        expected = np.vdot(second, first).real / (np.linalg.norm(first) * np.linalg.norm(second))
        assert rings.correlation[number] == pytest.approx(expected)
        assert rings.num_fourier_pixels[number] == len(on_ring)


def test_same_images_agree_at_all_frequencies_and_noise_at_none() -> None:
    rng = np.random.default_rng(1)
    a, b = complex_noise(rng, (40, 48)), complex_noise(rng, (40, 48))
    everywhere = np.ones(a.shape, bool)
    same, chance = correlate_rings(a, 3j * a, everywhere), correlate_rings(a, b, everywhere)
    np.testing.assert_allclose(correlate_rings(a, a, everywhere).correlation, 1)
    np.testing.assert_allclose(same.correlation, 0, atol=1e-12)  # a common phase must be gone
    assert half_bit_period_px(correlate_rings(a, a, everywhere).curve) == 2
    assert half_bit_period_px(chance.curve) > 13


def test_the_threshold_is_high_where_a_ring_has_few_pixels() -> None:
    noise = complex_noise(np.random.default_rng(2), (64, 64))
    rings = correlate_rings(noise, noise, np.ones((64, 64), bool))
    order = np.argsort(rings.num_fourier_pixels, kind="stable")
    assert (np.diff(rings.threshold[order]) <= 0).all()
    assert rings.threshold[0] == pytest.approx(1)
    assert 0.2071 / 1.2071 < rings.threshold[-1] < 0.3


def test_a_flat_image_correlates_with_nothing() -> None:
    flat, noise = (
        np.ones((16, 16), np.complex128),
        complex_noise(np.random.default_rng(3), (16, 16)),
    )
    rings = correlate_rings(flat, noise, np.ones((16, 16), bool))
    np.testing.assert_array_equal(rings.correlation, 0)
    assert half_bit_period_px(rings.curve) == 16
