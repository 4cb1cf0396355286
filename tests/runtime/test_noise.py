"""What photon noise does to amplitudes, beside sums over all counts."""

from __future__ import annotations

import numpy as np
from scipy.stats import poisson

from ptychonyx.runtime.noise import mean_root, noise_of_amplitudes

RATES = np.logspace(-4, 2.5, 60)
COUNTS = np.arange(700)
CHANCES = poisson.pmf(COUNTS, RATES[:, None])


def test_the_mean_root_is_that_of_all_counts() -> None:
    found = mean_root(RATES)
    np.testing.assert_allclose(mean_root(RATES.astype(np.float32)), found, rtol=1e-6)
    np.testing.assert_allclose(found, (CHANCES * np.sqrt(COUNTS)).sum(axis=1), rtol=4e-3)


def test_the_mean_root_of_no_and_of_many_counts() -> None:
    rates = np.array([0, 1e4, 1e12], np.float32)
    np.testing.assert_allclose(mean_root(rates), [0, 100 - 1 / 800, 1e6], rtol=1e-6)


def test_the_noise_is_that_of_all_counts() -> None:
    squares = np.square(np.sqrt(COUNTS) - np.sqrt(RATES)[:, None])
    expected = (CHANCES * squares).sum(axis=1)
    np.testing.assert_allclose(noise_of_amplitudes(RATES), expected, rtol=0.02, atol=1e-5)
