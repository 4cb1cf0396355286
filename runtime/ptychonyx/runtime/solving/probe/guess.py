"""A probe from nothing but patterns: the mean pattern, at the defocus that explains them best.

In the far field a probe has about the amplitude of the mean pattern, and a lens out of focus gives
it a quadratic phase, ±π c |k|². How large c is cannot be read from the mean. So each of some values
of both signs is tried in a few passes over a part of the scan, with the probe refined; the best few
are passed on, and the one with the smallest residual is the guess. A wrong defocus does not go
unnoticed: its residual stays several times as large.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from ..options import Noise
from ..part import middle_part
from ..passes import Passer
from ..physics.comparing import Comparer
from ..physics.fourier import transform_back
from ..physics.measured import Measured
from ..physics.placement import Placement
from ..physics.sweep import Problem, State, start_state
from ..start import vacuum
from .freedom import orthogonal

SPREADS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
"""Defocus to try, as the distance from the axis at which a ray of the mean pattern's mean (rms) angle
meets the object, in halves of the window."""
GUESS_PATTERNS = 128
NUM_FIRST_PASSES = 4
NUM_FINALISTS = 4
NUM_FINAL_PASSES = 6

Complex = NDArray[np.complex64]


def defocused(mean_counts: NDArray[np.float64], spread: float) -> Complex:
    """Return the one-mode probe of a mean pattern at a defocus.

    Parameters
    ----------
    mean_counts : float64 array, shape (N, N)
        The mean pattern, with the direct beam at [0, 0].
    spread : float
        As in `SPREADS`, with the sign of the defocus.

    Returns
    -------
    complex64 array, shape (1, N, N)
        A probe in sqrt(counts), with the beam in the middle of the window.

    Examples
    --------
    >>> probe = defocused(np.full((8, 8), 4.0), 0.2)
    >>> float(np.square(np.abs(probe)).sum().round(3))
    256.0
    """
    side = mean_counts.shape[-1]
    k = np.fft.fftfreq(side)
    squares = k[:, None] ** 2 + k**2
    rms = np.sqrt((mean_counts * squares).sum() / mean_counts.sum())
    curvature = spread * side / 2 / rms
    far_field = np.sqrt(mean_counts) * np.exp(1j * np.pi * curvature * squares)
    probe = np.fft.fftshift(transform_back(far_field.astype(np.complex64)))
    return np.asarray(probe[None], np.complex64)


def guess_probe(
    measured: Measured,
    placement: Placement,
    *,
    noise: Noise,
    seed: int,
    pool: ThreadPoolExecutor,
    comparer: Comparer | None = None,
) -> Complex:
    """Guess the probe of a scan from its patterns.

    Parameters
    ----------
    measured : Measured
    placement : Placement
        Where the patterns lie.
    noise : "amplitude", "unbiased" or "poisson"
    seed : int
    pool : ThreadPoolExecutor
    comparer : Comparer, optional
        Compares the patterns; by default NumPy and SciPy.

    Returns
    -------
    complex64 array, shape (1, N, N)
        A probe in sqrt(counts), refined on a part of the scan.
    """
    part, _ = middle_part(measured, placement, GUESS_PATTERNS)
    problem = Problem(*part, noise)
    mean = np.square(problem.measured.kept).mean(axis=0, dtype=np.float64)
    passer = Passer(pool, True, seed, float(mean.sum()), np.zeros(2), comparer=comparer)

    def passed(state: State, num: int) -> State:
        for _ in range(num):
            state = passer.step(problem, state)
        return state

    object_ = vacuum(problem.placement, 1.0)
    spreads = [sign * spread for spread in SPREADS for sign in (1, -1) if spread or sign > 0]
    states = [
        passed(start_state(object_, defocused(mean, each)), NUM_FIRST_PASSES) for each in spreads
    ]
    finalists = sorted(states, key=lambda state: state.residual)[:NUM_FINALISTS]
    best = min(
        (passed(each, NUM_FINAL_PASSES) for each in finalists), key=lambda each: each.residual
    )
    return orthogonal(best.beam.modes)
