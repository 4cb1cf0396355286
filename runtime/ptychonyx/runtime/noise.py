"""What photon noise does to an amplitude."""

from __future__ import annotations

from functools import cache
from math import lgamma
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

LARGEST_SUMMED_RATE = 20.0
"""Above it the mean is 1/4 + 7/64 of the inverse rate, to a few thousandths."""

Precision = TypeVar("Precision", np.float32, np.float64)
ROOT_TERMS = 0.25, 0.47, 0.34
"""Of `mean_root`: the linear and four times the square term of the numerator, and by how much the
linear one of the denominator is larger."""


def noise_of_amplitudes(rate: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the mean of (√k − √rate)² over Poisson counts k, which is 1/4 where the rate is high.

    Parameters
    ----------
    rate : float array, any shape
        Mean counts.

    Returns
    -------
    float64 array of the same shape

    Examples
    --------
    >>> noise_of_amplitudes(np.array([0.0, 0.01, 100.0])).round(3).tolist()
    [0.0, 0.018, 0.251]
    """
    rates, means = _summed()
    few = np.interp(rate, rates, means)
    many = 0.25 + 7 / 64 / np.maximum(rate, LARGEST_SUMMED_RATE)
    return np.asarray(np.where(rate < LARGEST_SUMMED_RATE, few, many))


def mean_root(rate: NDArray[Precision]) -> NDArray[Precision]:
    """Return the mean of √k over Poisson counts k, to 0.4 %: below √rate where counts are few.

    It is rate/√(rate + c): where the rate is low, √k is k, so that c is 1; where it is high, √k lacks
    1/8 of the inverse root, so that c is 1/4. In between, a fraction of polynomials was fitted.

    Parameters
    ----------
    rate : float array, any shape
        Mean counts, at least 0.

    Returns
    -------
    float array of the same shape and dtype

    Examples
    --------
    >>> mean_root(np.array([0.0, 0.01, 1.0, 100.0])).round(3).tolist()
    [0.0, 0.01, 0.775, 9.987]
    """
    linear, square, more = ROOT_TERMS
    top = 1 + rate * (linear + rate * (square / 4))
    bottom = 1 + rate * (linear + more + rate * square)
    return np.asarray(rate / np.sqrt(rate + top / bottom), rate.dtype)


@cache
def _summed() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return rates, and the means that follow from summing over counts."""
    rates = np.linspace(0, np.sqrt(LARGEST_SUMMED_RATE), 100) ** 2
    counts = np.arange(80.0)
    logarithms = np.array([lgamma(count + 1) for count in counts])
    with np.errstate(divide="ignore", invalid="ignore"):
        powers = np.where(counts == 0, 0, counts * np.log(rates[:, None]))
    chances = np.exp(powers - rates[:, None] - logarithms)
    squares = np.square(np.sqrt(counts) - np.sqrt(rates)[:, None])
    return rates, (chances * squares).sum(axis=1)
