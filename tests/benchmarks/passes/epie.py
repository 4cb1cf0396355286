"""Sequential ePIE with a probe that stays, written plainly: what the solver is held against.

Maiden & Rodenburg, Ultramicroscopy 109, 1256 (2009), with incoherent modes: one pattern at a time, in
a new random order each pass,

    O_j ← O_j + Σ_m P̄_jm δ_jm / max Σ_m |P_m|²,    δ_jm = F⁻¹[Ψ_jm · (a_j/A_j − 1)].

Fractions of a pixel shift the probe, as in the solver, and both start from the same object.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

SMALLEST_AMPLITUDE = 1e-3

Complex = NDArray[np.complex64]


@dataclass(frozen=True)
class Task:
    """Hold what ePIE needs to know.

    Attributes
    ----------
    amplitudes : float32 array, shape (n, N, N)
        With DC at [0, 0].
    probe : complex64 array, shape (modes, N, N)
    corners_px : float64 array, shape (n, 2)
        In pixels of the object.
    """

    amplitudes: NDArray[np.float32]
    probe: Complex
    corners_px: NDArray[np.float64]


def passes(task: Task, object_: Complex, rng: np.random.Generator) -> Iterator[Complex]:
    """Shift the probe for each pattern, and yield the object after each pass, without end.

    The object is changed in place.
    """
    whole_px = np.rint(task.corners_px).astype(int)
    probes = _shifted(task.probe, task.corners_px - whole_px)
    conjugates = probes.conj() / np.square(np.abs(task.probe)).sum(axis=0).max()
    return _passes(task.amplitudes, object_, (probes, conjugates), whole_px, rng)


def _passes(
    amplitudes: NDArray[np.float32],
    object_: Complex,
    beams: tuple[Complex, Complex],
    whole_px: NDArray[np.int64],
    rng: np.random.Generator,
) -> Iterator[Complex]:
    (probes, conjugates), side = beams, amplitudes.shape[-1]
    while True:
        for j in rng.permutation(len(whole_px)):
            y, x = whole_px[j]
            window = object_[y : y + side, x : x + side]
            waves = fft.fft2(probes[j] * window, norm="ortho", overwrite_x=True)
            predicted = np.sqrt((np.square(waves.real) + np.square(waves.imag)).sum(axis=0))
            waves *= amplitudes[j] / (predicted + np.float32(SMALLEST_AMPLITUDE)) - 1
            changes = fft.ifft2(waves, norm="ortho", overwrite_x=True)
            window += (conjugates[j] * changes).sum(axis=0)
        yield object_


def _shifted(probe: Complex, fractions_px: NDArray[np.float64]) -> Complex:
    """Return the probe moved by each fraction of a pixel, shape (n, modes, N, N)."""
    steps = -2j * np.pi * np.fft.fftfreq(probe.shape[-1])
    down, across = np.exp(fractions_px.T[:, :, None] * steps).astype(np.complex64)
    ramps = down[:, None, :, None] * across[:, None, None, :]
    return np.asarray(fft.ifft2(fft.fft2(probe) * ramps))
