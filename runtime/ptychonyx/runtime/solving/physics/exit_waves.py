r"""The physics of one batch of patterns: predict, compare, and carry the difference back.

A pattern j sees the object O through the modes m of the probe P, which is shifted by the fraction of
a pixel that its corner has:

    ψ_jm = P_jm · O_j,   Ψ_jm = F ψ_jm,   A_j = √Σ_m |Ψ_jm|²

Where the measured amplitude is a_j, the exit waves change by δ_jm = F⁻¹[Ψ_jm · (a_j/A_j − 1)], the
shortest way to waves that agree with the measurement (Fienup, Appl. Opt. 21, 2758 (1982); modes:
Thibault & Menzel, Nature 494, 68 (2013)). With the weight of Poisson noise the factor is
½(k − I)/(I + b) for counts k and I = A², which is the same where k ≈ I, and which weak pixels follow
more (Thibault & Guizar-Sicairos, New J. Phys. 14, 063004 (2012)). It is bounded, since it grows
without limit where I → 0. The root of counts is in the mean less than the root of their mean, so a fit
to amplitudes is too dark where pixels count few photons; without that bias the factor is (a_j − ⟨√k⟩)/A_j,
where ⟨√k⟩ is the mean root of Poisson counts whose mean is I.

A background of b counts that is no part of the waves adds to what they predict: A = √(Σ_m |Ψ_jm|² + b).

The object's part is Σ_m P̄_jm δ_jm: minus the gradient of ½ Σ (A − a)² for O_j.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...noise import mean_root
from ..options import Noise
from .disturbances import with_background
from .fourier import transform, transform_back

SMALLEST_AMPLITUDE = 1e-3
"""Added to predicted amplitudes, in sqrt(counts), before dividing by them."""
SMALLEST_RATE = 0.1
"""b, in counts."""
LARGEST_POISSON_FACTOR = 1.0
"""Largest change of an exit wave's Fourier component, as a multiple of itself."""

Complex = NDArray[np.complex64]
Real = NDArray[np.float32]


@dataclass(frozen=True)
class Change:
    """Hold what a batch of patterns asks of object and probe.

    Attributes
    ----------
    object_ : complex64 array, shape (k, N, N)
        Σ_m P̄_jm δ_jm of each pattern.
    probe : complex64 array, shape (modes, N, N), or None
        Σ_j Ō_j δ_jm with the shift of the probe undone, where it was asked for.
    misfit : float
        Σ (A − a)² over good pixels.
    """

    object_: Complex
    probe: Complex | None
    misfit: float


@dataclass(frozen=True)
class Beam:
    """Hold a probe with its Fourier transform, from which shifted copies are made.

    Attributes
    ----------
    modes : complex64 array, shape (modes, N, N)
        The probe in sqrt(counts).
    spectra : complex64 array, shape (modes, N, N)
    intensity : float32 array, shape (N, N)
        Σ_m |P_m|².
    """

    modes: Complex
    spectra: Complex
    intensity: Real

    def shifted(self, fractions_px: NDArray[np.float64], *, out: Complex | None = None) -> Complex:
        """Return the modes moved by fractions of a pixel (k, 2), shape (k, modes, N, N).

        `out`, of that shape, is overwritten and may be what is returned.
        """
        ramps = shift_ramps(fractions_px, self.modes.shape[-1])
        turned = np.multiply(self.spectra, ramps[:, None], out=out)
        moved: Complex = transform_back(turned)
        return moved


def make_beam(modes: Complex) -> Beam:
    """Transform a probe for its shifts.

    Examples
    --------
    >>> beam = make_beam(np.eye(4, dtype=np.complex64)[None])
    >>> bool(np.allclose(beam.shifted(np.array([[0.0, 1.0]]))[0, 0], np.roll(np.eye(4), 1, axis=1)))
    True
    """
    intensity = np.square(np.abs(modes)).sum(axis=0)
    return Beam(modes, transform(modes.copy()), intensity)


def shift_ramps(fractions_px: NDArray[np.float64], window_px: int) -> Complex:
    """Return the phase ramps (k, N, N) that shift by fractions of a pixel in Fourier space."""
    down, across = axis_ramps(fractions_px, window_px).transpose(1, 0, 2)
    return np.asarray(down[:, :, None] * across[:, None, :])


def axis_ramps(fractions_px: NDArray[np.float64], window_px: int) -> Complex:
    """Return the ramp down and the one across (k, 2, N), whose product over both axes shifts."""
    steps = -2j * np.pi * np.fft.fftfreq(window_px)
    return np.exp(fractions_px[:, :, None] * steps).astype(np.complex64)


class Workspace:
    """Hold the large arrays of one comparison, so that the next one need not ask for memory.

    With it a pass takes three quarters of the time: fresh memory is cleared page by page.

    Parameters
    ----------
    num_patterns : int
        Largest batch.
    beam : Beam
        A beam of the shape that will be used.
    """

    def __init__(self, num_patterns: int, beam: Beam) -> None:
        self._shape = (num_patterns, *beam.modes.shape)
        side = beam.modes.shape[-1]
        self._waves = np.empty((2, *self._shape), np.complex64)
        self._squares = np.empty((2, num_patterns, side, 2 * side), np.float32)

    def arrays(self, num_patterns: int) -> tuple[Complex, Complex, Real, Real]:
        """Return two arrays (k, modes, N, N) for waves, and two (k, N, 2N) for pairs of numbers."""
        (probes, waves), (squares, more) = self._waves, self._squares
        return (
            probes[:num_patterns],
            waves[:num_patterns],
            squares[:num_patterns],
            more[:num_patterns],
        )


def compare_batch(
    beam: Beam,
    windows: Complex,
    fractions_px: NDArray[np.float64],
    measured: Real,
    *,
    good: Real | None,
    noise: Noise,
    with_probe: bool,
    background: Real | None = None,
    workspace: Workspace | None = None,
) -> Change:
    """Compare the patterns that windows of an object predict with the measured ones.

    Parameters
    ----------
    beam : Beam
    windows : complex64 array, shape (k, N, N)
        O_j, cut at whole pixels.
    fractions_px : float64 array, shape (k, 2)
        What the corners have beyond that.
    measured : float32 array, shape (k, N, N)
        Amplitudes with DC at [0, 0].
    good : float32 array, shape (N, N) or (k, N, N), or None
        0 where a pixel says nothing, else 1.
    noise : "amplitude", "unbiased" or "poisson"
        How a pixel's difference counts.
    with_probe : bool
        Whether the probe's part is wanted.
    background : float32 array, shape (k, N, N) or (1, N, N), or None
        b, in counts, which is in the measured amplitudes, but not in what the windows predict.
    workspace : Workspace, optional
        Memory for at least k patterns; no other comparison may use it at the same time.
    """
    num_patterns = len(windows)
    workspace = workspace or Workspace(num_patterns, beam)
    of_probes, of_waves, squares, pairs = workspace.arrays(num_patterns)
    probes = beam.shifted(fractions_px, out=of_probes)
    np.multiply(probes, windows[:, None], out=of_waves)
    waves: Complex = transform(of_waves)
    predicted = predicted_amplitudes(waves, work=(squares, pairs))
    predicted = with_background(predicted, background)
    factor, misfit = _factor(predicted, measured, good, noise)
    pairs[..., ::2], pairs[..., 1::2] = factor, factor
    parts = waves.view(np.float32)
    parts *= pairs[:, None]
    changes: Complex = transform_back(waves)
    of_probe = _probe_part(changes, windows, fractions_px) if with_probe else None
    np.conjugate(probes, out=probes)
    changes *= probes
    of_object = changes[:, 0].copy()
    for mode in range(1, changes.shape[1]):
        of_object += changes[:, mode]
    return Change(of_object, of_probe, misfit)


def predict_amplitudes(
    beam: Beam, windows: NDArray[np.complex64], fractions_px: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return the amplitudes (k, N, N) that windows of an object predict, DC at [0, 0]."""
    waves = beam.shifted(fractions_px) * windows[:, None]
    return predicted_amplitudes(transform(waves))


def predicted_amplitudes(waves: Complex, *, work: tuple[Real, Real] | None = None) -> Real:
    """Return √Σ_m|Ψ_jm|² of exit waves in Fourier space (k, modes, N, N), shape (k, N, N).

    `work` are two arrays (k, N, 2N) that are overwritten.
    """
    parts = waves.view(np.float32)
    sums, more = (None, None) if work is None else work
    squares = np.square(parts[:, 0], out=sums)
    for mode in range(1, parts.shape[1]):
        squares += np.square(parts[:, mode], out=more)
    intensity = squares[..., ::2] + squares[..., 1::2]
    return np.asarray(np.sqrt(intensity, out=intensity))


def _factor(predicted: Real, measured: Real, good: Real | None, noise: Noise) -> tuple[Real, float]:
    """Return a/A − 1, or its like for another noise, and Σ (A − a)²."""
    difference = measured - predicted
    if good is not None:
        difference *= good
    misfit = float(np.vdot(difference, difference))
    if noise == "poisson":
        rate = np.square(predicted)
        factor = difference * (measured + predicted)
        factor /= 2 * (rate + SMALLEST_RATE)
        return np.minimum(factor, LARGEST_POISSON_FACTOR, out=factor), misfit
    if noise == "unbiased":
        difference = measured - mean_root(np.square(predicted))
        if good is not None:
            difference *= good
    predicted += SMALLEST_AMPLITUDE
    difference /= predicted
    return difference, misfit


def _probe_part(changes: Complex, windows: Complex, fractions_px: NDArray[np.float64]) -> Complex:
    """Return Σ_j of Ō_j δ_jm, each moved back by its fraction of a pixel."""
    waves = transform(changes * windows.conj()[:, None])
    back = shift_ramps(-fractions_px, windows.shape[-1])
    summed: Complex = transform_back((waves * back[:, None]).sum(axis=0))
    return summed
