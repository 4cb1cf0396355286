"""What a solver does, by the book: NumPy in float64, one pattern at a time, every mode by itself."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform, gaussian_filter

from ptychonyx.runtime.noise import mean_root
from ptychonyx.runtime.scan import Scan
from ptychonyx.runtime.simulation.probes import PROBES
from ptychonyx.runtime.solving.options import Noise
from ptychonyx.runtime.solving.physics.exit_waves import (
    LARGEST_POISSON_FACTOR,
    SMALLEST_AMPLITUDE,
    SMALLEST_RATE,
)
from ptychonyx.runtime.solving.physics.measured import read_measured
from ptychonyx.runtime.solving.physics.placement import place_windows
from ptychonyx.runtime.solving.physics.sweep import Problem, State, start_state

Complex = NDArray[np.complex128]
Real = NDArray[np.float64]


@dataclass(frozen=True)
class Exact:
    """Hold a scan whose patterns are those of its object and probe to float64, without noise."""

    scan: Scan
    object_: Complex
    modes: Complex

    def problem(self, noise: Noise = "amplitude") -> Problem:
        """Return the scan as passes take it."""
        measured = read_measured(self.scan, np.arange(self.scan.num_patterns))
        corners_px, side = self.scan.corners_px, self.scan.window_px
        return Problem(measured, place_windows(corners_px, side), noise)

    def state(self, object_: Complex | None = None) -> State:
        """Return the state at an object, or at the true one."""
        start = self.object_ if object_ is None else object_
        return start_state(start.astype(np.complex64), self.modes.astype(np.complex64))


def make_exact(
    num_patterns: int = 40,
    *,
    side: int = 32,
    num_modes: int = 2,
    step_px: float = 3.0,
    counts: float = 1e5,
    seed: int = 0,
) -> Exact:
    """Make a scan of a smooth object on random corners around a grid; its patterns are amplitudes."""
    rng = np.random.default_rng(seed)
    columns = int(np.ceil(np.sqrt(num_patterns)))
    grid = np.indices((columns, columns)).reshape(2, -1).T[:num_patterns]
    corners_px = step_px * grid + rng.uniform(-1, 1, (num_patterns, 2)) + (-7.0, 12.0)
    whole, fractions_px = split(corners_px)
    whole = whole - whole.min(axis=0)
    images = rng.normal(size=(2, *(whole.max(axis=0) + side)))
    images = gaussian_filter(images, (0, 1.5, 1.5), mode="wrap")
    images /= np.abs(images).max(axis=(1, 2), keepdims=True)
    object_: Complex = (0.8 + 0.2 * images[0]) * np.exp(0.7j * images[1])
    modes = PROBES["focused"](side, num_modes)
    modes *= np.sqrt(counts / np.sum(np.abs(modes) ** 2))
    amplitudes = [
        amplitude(object_[y : y + side, x : x + side], modes, fraction)
        for (y, x), fraction in zip(whole, fractions_px, strict=True)
    ]
    patterns = np.fft.fftshift(amplitudes, axes=(1, 2))
    scan = Scan(patterns, "amplitude", corners_px, modes.astype(np.complex64), name="exact")
    return Exact(scan, object_, modes)


def stretched(exact: Exact, stretch: Real, margin_px: int = 2) -> tuple[Problem, State]:
    """Return a problem whose corners p are C + (1 + E)(p − C), and its state at the object moved so.

    Parameters
    ----------
    exact : Exact
    stretch : float64 array, shape (2, 2)
        E.
    margin_px : int
        How far windows may move.
    """
    room_px = 8
    object_ = np.pad(exact.object_, room_px, mode="edge")
    placement = place_windows(exact.scan.corners_px, exact.scan.window_px, margin_px=room_px)
    middle_px = placement.corners_px.mean(axis=0)
    center_px = middle_px + exact.scan.window_px / 2
    back = np.linalg.inv(np.eye(2) + stretch)
    moved = affine_transform(object_, back, center_px - back @ center_px, mode="nearest")
    corners_px = middle_px + (placement.corners_px - middle_px) @ (np.eye(2) + stretch).T
    displaced = place_windows(corners_px, exact.scan.window_px, margin_px=margin_px)
    height, width = displaced.shape
    top, left = displaced.corner_px
    canvas = np.pad(moved[top:, left:], ((0, 20), (0, 20)), mode="edge")[:height, :width]
    return dataclasses.replace(exact.problem(), placement=displaced), exact.state(canvas)


def with_noise(exact: Exact, seed: int = 0) -> Exact:
    """Return the same scan as counts of photons."""
    rates = np.square(exact.scan.patterns[:])
    counts = np.random.default_rng(seed).poisson(rates)
    return dataclasses.replace(
        exact, scan=dataclasses.replace(exact.scan, patterns=counts, quantity="counts")
    )


def split(corners_px: Real) -> tuple[NDArray[np.int64], Real]:
    """Return the nearest whole pixels of corners, and what is left."""
    whole = np.floor(corners_px + 0.5).astype(np.int64)
    return whole, corners_px - whole


def shift(image: Complex, fraction_px: Real) -> Complex:
    """Return an image moved by a fraction of a pixel, periodically, by a ramp in Fourier space."""
    ky, kx = np.meshgrid(*(np.fft.fftfreq(size) for size in image.shape), indexing="ij")
    ramp = np.exp(-2j * np.pi * (ky * fraction_px[0] + kx * fraction_px[1]))
    return np.asarray(np.fft.ifft2(np.fft.fft2(image) * ramp))


def amplitude(window: Complex, modes: Complex, fraction_px: Real) -> Real:
    """Return A = √Σ_m|F(P_m·O)|² of one pattern, with DC at [0, 0]."""
    waves = [np.fft.fft2(shift(mode, fraction_px) * window, norm="ortho") for mode in modes]
    return np.asarray(np.sqrt(np.sum(np.square(np.abs(waves)), axis=0)))


def changes(
    window: Complex,
    modes: Complex,
    fraction_px: Real,
    measured: Real,
    good: Real | None = None,
    noise: Noise = "amplitude",
    background: Real | float = 0.0,
) -> tuple[Complex, Complex]:
    """Return what one pattern asks of its window (N, N) and of the probe (modes, N, N)."""
    predicted = np.sqrt(amplitude(window, modes, fraction_px) ** 2 + background)
    if noise != "poisson":
        expected = mean_root(predicted**2) if noise == "unbiased" else predicted
        factor = (measured - expected) / (predicted + SMALLEST_AMPLITUDE)
    else:
        factor = 0.5 * (measured**2 - predicted**2) / (predicted**2 + SMALLEST_RATE)
        factor = np.minimum(factor, LARGEST_POISSON_FACTOR)
    if good is not None:
        factor = factor * good
    of_object, of_probe = np.zeros_like(window), np.zeros_like(modes)
    for number, mode in enumerate(modes):
        moved = shift(mode, fraction_px)
        wave = np.fft.fft2(moved * window, norm="ortho")
        delta = np.fft.ifft2(wave * factor, norm="ortho")
        of_object += moved.conj() * delta
        of_probe[number] = shift(window.conj() * delta, -fraction_px)
    return of_object, of_probe
