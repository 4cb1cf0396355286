r"""How the misfit of each pattern changes with its position: what a Gauss-Newton step is made of.

Where a corner moves by d, the probe moves over the object. To first order the amplitude is then
A + J d, with

    J = Re Σ_m Ψ̄_m F[(∂P_m) O] / A,   ∂P = F⁻¹[−2πi k · FP]

and ½ Σ (a − A − J d)² over good pixels has its minimum at d = (JᵀJ)⁻¹ Jᵀ(a − A). Object and probe are
held fixed.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from ..physics.comparing import CHUNK
from ..physics.disturbances import with_background
from ..physics.exit_waves import SMALLEST_AMPLITUDE, Beam, predicted_amplitudes, shift_ramps
from ..physics.fourier import transform, transform_back
from ..physics.sweep import Problem, State

Complex = NDArray[np.complex64]
Real = NDArray[np.float32]


@dataclass(frozen=True)
class Slopes:
    """Hold what the misfit of some patterns says of their positions.

    Attributes
    ----------
    pulls : float64 array, shape (k, 2)
        Jᵀ(a − A): minus the gradient of ½ Σ (A − a)² for the corner (y, x), per pixel.
    curvatures : float64 array, shape (k, 2, 2)
        JᵀJ, per pixel squared.
    misfits : float64 array, shape (k,)
        Σ (A − a)² over good pixels.
    """

    pulls: NDArray[np.float64]
    curvatures: NDArray[np.float64]
    misfits: NDArray[np.float64]


def slopes_of_batch(
    beam: Beam,
    windows: Complex,
    fractions_px: NDArray[np.float64],
    measured: Real,
    *,
    good: Real | None,
    background: Real | None = None,
) -> Slopes:
    """Return the slopes of a batch of patterns; parameters are those of `compare_batch`."""
    turned = beam.spectra * shift_ramps(fractions_px, beam.modes.shape[-1])[:, None]
    frequencies = (-2j * np.pi * np.fft.fftfreq(beam.modes.shape[-1])).astype(np.complex64)
    waves = _waves(turned.copy(), windows)
    predicted = with_background(predicted_amplitudes(waves), background)
    residual = measured - predicted
    if good is not None:
        residual *= good
    np.conjugate(waves, out=waves)
    slopes = np.empty((2, *predicted.shape), np.float32)
    for axis, along in enumerate((frequencies[:, None], frequencies[None, :])):
        np.sum((waves * _waves(turned * along, windows)).real, axis=1, out=slopes[axis])
    slopes /= predicted + SMALLEST_AMPLITUDE
    if good is not None:
        slopes *= good
    return Slopes(
        np.einsum("aknm,knm->ka", slopes, residual).astype(np.float64),
        np.einsum("aknm,bknm->kab", slopes, slopes).astype(np.float64),
        np.square(residual).sum(axis=(1, 2), dtype=np.float64),
    )


def _waves(spectra: Complex, windows: Complex) -> Complex:
    probes = transform_back(spectra)
    probes *= windows[:, None]
    return transform(probes)


def slopes_of(problem: Problem, state: State, pool: ThreadPoolExecutor) -> Slopes:
    """Return the slopes of all patterns of a problem, where a state has them."""
    problem = problem.at(state)
    placement = problem.placement

    def of_chunk(chunk: NDArray[np.int64]) -> Slopes:
        return slopes_of_batch(
            state.beam,
            placement.cut(state.object_, chunk),
            placement.fractions_px[chunk],
            problem.measured.even_amplitudes(chunk),
            good=problem.measured.good_of(chunk),
            background=problem.measured.background_of(chunk),
        )

    numbers = np.arange(len(problem.measured.indexes))
    chunks = [numbers[start : start + CHUNK] for start in range(0, len(numbers), CHUNK)]
    parts = list(pool.map(of_chunk, chunks))
    return Slopes(
        *(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Slopes))
    )
