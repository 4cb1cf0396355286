"""Draw beams: what a network must not know in advance, it must see in all kinds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ptychonyx.runtime.solving.probe.freedom import orthogonal

Complex = NDArray[np.complex128]
Real = NDArray[np.float64]

CONTAINED = 0.93
"""Share of a beam's power that must lie in the middle 3/4 of its window."""
MAX_TRIES = 20


def draw_beam(window_px: int, num_modes: int, rng: np.random.Generator) -> NDArray[np.complex64]:
    """Draw the orthogonal modes of a beam with a total power of 1.

    A lens with or without a central stop, out of focus and with aberrations; a Gaussian; or a
    pinhole some way off. Further modes are of one of three kinds: polynomials times the first (partial
    coherence to the first order), shifted copies (vibration), or the lens lit otherwise.

    Parameters
    ----------
    window_px : int
        Side N.
    num_modes : int
    rng : numpy.random.Generator

    Returns
    -------
    complex64 array, shape (num_modes, N, N)

    Examples
    --------
    >>> beam = draw_beam(32, 2, np.random.default_rng(0))
    >>> beam.shape, round(float(np.square(np.abs(beam)).sum()), 3)
    ((2, 32, 32), 1.0)
    """
    for _ in range(MAX_TRIES):
        first = BEAMS[rng.choice(len(BEAMS), p=BEAM_SHARES)](window_px, rng)
        modes = _with_modes(first, num_modes, rng)
        if _contained(modes) >= CONTAINED:
            break
    else:
        modes = _with_modes(_gaussian(window_px, rng), num_modes, rng)
    return orthogonal((modes / np.linalg.norm(modes)).astype(np.complex64))


def beam_diameter_px(modes: NDArray[np.complexfloating]) -> float:
    """Return the diameter of a flat disk with the same Σ I and Σ I² as the beam."""
    intensity = np.square(np.abs(modes)).sum(axis=0)
    area = intensity.sum() ** 2 / np.square(intensity).sum()
    return float(2 * np.sqrt(area / np.pi))


def _lens(window_px: int, rng: np.random.Generator) -> Complex:
    radius, turn = _polar_frequencies(window_px)
    aperture = rng.uniform(0.08, 0.4)
    pupil = _disk(radius, aperture, rng.uniform(0.003, 0.02))
    if rng.random() < 0.6:
        pupil = pupil * (1 - _disk(radius, aperture * rng.uniform(0.2, 0.6), 0.01))
    width_px = rng.uniform(0.2, 0.6) * window_px
    curvature = rng.choice([-1, 1]) * width_px / (2 * aperture)
    rim = radius / aperture
    phase = np.pi * curvature * radius**2
    phase += rng.normal(0, 0.5) * np.cos(2 * turn - rng.uniform(0, 2 * np.pi)) * rim**2
    phase += rng.normal(0, 0.4) * np.cos(turn - rng.uniform(0, 2 * np.pi)) * rim**3
    phase += rng.normal(0, 0.4) * rim**4
    if rng.random() < 0.5:
        pupil = pupil * np.exp(rng.uniform(0, 0.5) * _smooth(window_px, rng))
        phase += rng.uniform(0, 0.6) * _smooth(window_px, rng)
    return _to_plane(pupil * np.exp(1j * phase))


def _gaussian(window_px: int, rng: np.random.Generator) -> Complex:
    y, x = _pixels(window_px)
    sigma, oblong = rng.uniform(0.07, 0.16) * window_px, rng.uniform(0.75, 1.33)
    curvature = rng.uniform(-1, 1) * np.pi / window_px
    envelope = np.exp(-(y**2 * oblong + x**2 / oblong) / (4 * sigma**2))
    return np.asarray(envelope * np.exp(1j * curvature * (y**2 + x**2)))


def _pinhole(window_px: int, rng: np.random.Generator) -> Complex:
    radius, _ = _polar_frequencies(window_px)
    hole = _disk(np.hypot(*_pixels(window_px)), rng.uniform(0.12, 0.33) * window_px, 1.0)
    travel = np.exp(1j * np.pi * rng.uniform(0, 2) * window_px * radius**2)
    return _to_plane(_to_pupil(hole.astype(np.complex128)) * travel)


BEAMS: tuple[Callable[[int, np.random.Generator], Complex], ...] = (_lens, _gaussian, _pinhole)
BEAM_SHARES = (0.6, 0.2, 0.2)


def _with_modes(first: Complex, num_modes: int, rng: np.random.Generator) -> Complex:
    make = MODES[rng.integers(len(MODES))]
    modes = [first, *(make(first, number, rng) for number in range(1, num_modes))]
    powers = rng.uniform(0.15, 0.9) ** np.arange(num_modes) * rng.uniform(0.6, 1, num_modes)
    return np.stack(
        [
            mode / np.linalg.norm(mode) * np.sqrt(power)
            for mode, power in zip(modes, powers, strict=True)
        ]
    )


def _polynomial(first: Complex, number: int, rng: np.random.Generator) -> Complex:
    y, x = (pixels / (len(first) / 6) for pixels in _pixels(len(first)))
    return np.asarray(first * (y, x, y * x, y**2 - 1)[(number - 1) % 4])


def _displaced(first: Complex, number: int, rng: np.random.Generator) -> Complex:
    y, x = rng.normal(0, rng.uniform(0.5, 4), 2)
    frequencies = np.fft.fftshift(np.fft.fftfreq(len(first)))
    ramp = np.exp(-2j * np.pi * (y * frequencies[:, None] + x * frequencies))
    return _to_plane(_to_pupil(first) * ramp)


def _otherwise_lit(first: Complex, number: int, rng: np.random.Generator) -> Complex:
    side = len(first)
    return _to_plane(_to_pupil(first) * (_smooth(side, rng) + 1j * _smooth(side, rng)))


MODES: tuple[Callable[[Complex, int, np.random.Generator], Complex], ...] = (
    _polynomial,
    _displaced,
    _otherwise_lit,
)


def _contained(modes: Complex) -> float:
    intensity = np.square(np.abs(modes)).sum(axis=0)
    margin = len(intensity) // 8
    middle = intensity[margin:-margin, margin:-margin]
    return float(middle.sum() / intensity.sum())


def _pixels(side: int) -> tuple[Real, Real]:
    pixels = np.arange(side) - side // 2
    return pixels[:, None].astype(float), pixels[None].astype(float)


def _polar_frequencies(side: int) -> tuple[Real, Real]:
    frequencies = np.fft.fftshift(np.fft.fftfreq(side))
    y, x = frequencies[:, None], frequencies[None]
    return np.hypot(y, x), np.arctan2(y, x)


def _disk(radius: Real, edge: float, softness: float) -> Real:
    return np.asarray(1 / (1 + np.exp(np.clip((radius - edge) / softness, -50, 50))))


def _smooth(side: int, rng: np.random.Generator) -> Real:
    field = ndimage.gaussian_filter(rng.normal(size=(side, side)), rng.uniform(0.03, 0.15) * side)
    return np.asarray(field / field.std())


def _to_plane(pupil: Complex) -> Complex:
    return np.asarray(np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(pupil))))


def _to_pupil(plane: Complex) -> Complex:
    return np.asarray(np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(plane))))
