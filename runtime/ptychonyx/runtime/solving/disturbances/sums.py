r"""What patterns say of their brightness and of the light in all of them, summed in one reading.

Object and probe are held fixed. Where they predict the amplitude A_j of pattern j, the detector should
count I_j = c_j·A_j² + b, and has counted k_j. The misfit is L = ½ Σ (√I − √k)², or, where photon noise
weighs the differences, ¼ Σ (I − k·log I), which is as steep where I ≈ k.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..options import Noise
from ..physics.comparing import CHUNK
from ..physics.disturbances import Disturbances
from ..physics.exit_waves import SMALLEST_RATE, predict_amplitudes
from ..physics.sweep import Problem, State

Real = NDArray[np.float32]
Real64 = NDArray[np.float64]


@dataclass(frozen=True)
class Light:
    """Hold sums over the good pixels of each pattern, and over the patterns of each pixel.

    Attributes
    ----------
    counted : float64 array, shape (n,)
        Σ (k_j − b) of each pattern.
    predicted : float64 array, shape (n,)
        Σ A_j² of each pattern.
    surplus : float64 array, shape (N, N)
        Σ_j (k_j − I_j) of each pixel, DC at [0, 0].
    pull : float64 array, shape (N, N)
        −dL/db of each pixel.
    curvature : float64 array, shape (N, N)
        d²L/db² of each pixel.
    num : float64 array, shape (N, N)
        How many patterns say something of each pixel.
    """

    counted: Real64
    predicted: Real64
    surplus: Real64
    pull: Real64
    curvature: Real64
    num: Real64


def light_of(
    problem: Problem,
    state: State,
    pool: ThreadPoolExecutor,
    *,
    chosen: NDArray[np.int64] | None = None,
) -> Light:
    """Return these sums of the patterns of a problem, at a state.

    Parameters
    ----------
    problem : Problem
    state : State
        After a pass.
    pool : ThreadPoolExecutor
    chosen : int64 array, shape (k,), optional
        Which patterns; by default all.
    """
    problem = problem.at(state)
    numbers = np.arange(len(problem.measured.indexes)) if chosen is None else chosen
    chunks = [numbers[start : start + CHUNK] for start in range(0, len(numbers), CHUNK)]
    parts = list(pool.map(lambda chunk: _of_chunk(problem, state, chunk), chunks))
    return Light(
        np.concatenate([part.counted for part in parts]),
        np.concatenate([part.predicted for part in parts]),
        np.sum([part.surplus for part in parts], axis=0),
        np.sum([part.pull for part in parts], axis=0),
        np.sum([part.curvature for part in parts], axis=0),
        np.sum([part.num for part in parts], axis=0),
    )


def _of_chunk(problem: Problem, state: State, chunk: NDArray[np.int64]) -> Light:
    measured, placement = problem.measured, problem.placement
    disturbances = measured.disturbances or Disturbances()
    windows = placement.cut(state.object_, chunk)
    predicted = predict_amplitudes(state.beam, windows, placement.fractions_px[chunk])
    amplitudes, good = measured.amplitudes(chunk), measured.good_of(chunk)
    mask = np.broadcast_to(np.float32(1) if good is None else good, amplitudes.shape)
    expected, counts = disturbances.counted(predicted, chunk), np.square(amplitudes)
    pull, curvature = _SLOPES[problem.noise](amplitudes, expected)
    beside = counts if disturbances.background is None else counts - disturbances.background
    return Light(
        (beside * mask).sum(axis=(1, 2), dtype=np.float64),
        (np.square(predicted) * mask).sum(axis=(1, 2), dtype=np.float64),
        ((counts - np.square(expected)) * mask).sum(axis=0, dtype=np.float64),
        (pull * mask).sum(axis=0, dtype=np.float64),
        (curvature * mask).sum(axis=0, dtype=np.float64),
        mask.sum(axis=0, dtype=np.float64),
    )


def _of_amplitudes(amplitudes: Real, expected: Real) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return (a − T)/2T and a/4T³, with T = √I, of each pixel."""
    rate = np.square(expected) + np.float32(SMALLEST_RATE)
    root = np.sqrt(rate)
    return (amplitudes - expected) / (2 * root), amplitudes / (4 * root * rate)


def _of_photons(amplitudes: Real, expected: Real) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return ¼ (k − I)/I and ¼ k/I² of each pixel."""
    rate = np.square(expected) + np.float32(SMALLEST_RATE)
    counts = np.square(amplitudes)
    return (counts - np.square(expected)) / (4 * rate), counts / (4 * np.square(rate))


_SLOPES: dict[Noise, Callable[[Real, Real], tuple[NDArray[Any], NDArray[Any]]]] = {
    "amplitude": _of_amplitudes,
    "unbiased": _of_photons,  # both err to neither side
    "poisson": _of_photons,
}
