"""A batch is what the book says of each of its patterns, and minus a gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from solver_oracle import Complex, Exact, Real, amplitude, changes, make_exact, shift

from ptychonyx.runtime.forward import predict_counts
from ptychonyx.runtime.simulation.scan import SimulationOptions, simulate_scan
from ptychonyx.runtime.solving.options import NOISES, Noise
from ptychonyx.runtime.solving.physics.exit_waves import (
    LARGEST_POISSON_FACTOR,
    Change,
    compare_batch,
    make_beam,
    predict_amplitudes,
    predicted_amplitudes,
)
from ptychonyx.runtime.solving.physics.placement import place_windows


def a_wrong_batch(exact: Exact) -> tuple[Complex, Real, Real]:
    """Return windows of a wrong object with fractions and measured amplitudes, five patterns."""
    problem, chosen = exact.problem(), np.arange(3, 8)
    rng = np.random.default_rng(1)
    wrong = exact.object_ * (1 + 0.2 * rng.normal(size=exact.object_.shape))
    windows = problem.placement.cut(np.asarray(wrong, np.complex64), chosen)
    measured = problem.measured.amplitudes(chosen)
    fractions_px = problem.placement.fractions_px[chosen]
    return windows.astype(np.complex128), fractions_px, measured.astype(np.float64)


def compare(
    modes: Complex, windows: Complex, fractions_px: Real, measured: Real, **options: Any
) -> Change:
    settings = {"good": None, "noise": "amplitude", "with_probe": True} | options
    beam = make_beam(modes.astype(np.complex64))
    return compare_batch(
        beam,
        windows.astype(np.complex64),
        fractions_px,
        measured.astype(np.float32),
        **settings,
    )


def assert_close(found: NDArray[Any], expected: NDArray[Any]) -> None:
    """Compare as float32 allows: by the norm of the difference."""
    assert np.linalg.norm(found - expected) < 3e-5 * np.linalg.norm(expected)


@pytest.mark.parametrize("num_modes", [1, 3])
@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("mask", ["none", "one for all", "one for each"])
def test_a_batch_is_what_the_book_says_of_each_pattern(
    num_modes: int, noise: Noise, mask: str
) -> None:
    exact = make_exact(16, num_modes=num_modes)
    windows, fractions_px, measured = a_wrong_batch(exact)
    rng = np.random.default_rng(0)
    shapes = {"one for all": (32, 32), "one for each": (5, 32, 32)}
    good = None if mask == "none" else (rng.random(shapes[mask]) > 0.1).astype(np.float32)
    found = compare(exact.modes, windows, fractions_px, measured, good=good, noise=noise)
    goods = np.broadcast_to(1 if good is None else good, measured.shape).astype(np.float64)
    parts = [
        changes(window, exact.modes, fraction, a, weight, noise)
        for window, fraction, a, weight in zip(windows, fractions_px, measured, goods, strict=True)
    ]
    assert found.object_.dtype == np.complex64
    assert_close(found.object_, np.stack([of_object for of_object, _ in parts]))
    assert found.probe is not None
    assert_close(found.probe, np.sum([of_probe for _, of_probe in parts], axis=0))
    predicted = np.stack(
        [amplitude(w, exact.modes, f) for w, f in zip(windows, fractions_px, strict=True)]
    )
    assert found.misfit == pytest.approx(np.sum(goods * (predicted - measured) ** 2), rel=1e-4)


@pytest.mark.parametrize("noise", NOISES)
def test_a_background_is_seen_but_belongs_to_no_wave(noise: Noise) -> None:
    exact = make_exact(16)
    windows, fractions_px, measured = a_wrong_batch(exact)
    background = 50 * np.random.default_rng(0).random(measured.shape, np.float32)
    found = compare(
        exact.modes, windows, fractions_px, measured, noise=noise, background=background
    )
    parts = [
        changes(window, exact.modes, fraction, a, None, noise, b)
        for window, fraction, a, b in zip(
            windows, fractions_px, measured, background.astype(np.float64), strict=True
        )
    ]
    assert_close(found.object_, np.stack([of_object for of_object, _ in parts]))
    assert found.probe is not None
    assert_close(found.probe, np.sum([of_probe for _, of_probe in parts], axis=0))


def test_without_a_wish_for_the_probe_only_its_part_is_missing(exact: Exact) -> None:
    batch = a_wrong_batch(exact)
    whole = compare(exact.modes, *batch)
    part = compare(exact.modes, *batch, with_probe=False)
    assert part.probe is None
    np.testing.assert_array_equal(part.object_, whole.object_)
    assert part.misfit == whole.misfit


def misfit(modes: Complex, windows: Complex, fractions_px: Real, measured: Real) -> float:
    """Return ½ Σ (A − a)² by the book."""
    return 0.5 * sum(
        float(np.sum(np.square(amplitude(window, modes, fraction) - a)))
        for window, fraction, a in zip(windows, fractions_px, measured, strict=True)
    )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("turn", [1, 1j])
def test_both_parts_are_minus_the_gradient_of_the_misfit(
    exact: Exact, seed: int, turn: complex
) -> None:
    windows, fractions_px, measured = a_wrong_batch(exact)
    found = compare(exact.modes, windows, fractions_px, measured)
    rng = np.random.default_rng(seed)

    step = 1e-4
    along = (turn * rng.normal(size=windows.shape)).astype(np.complex128)
    ahead = misfit(exact.modes, windows + step * along, fractions_px, measured)
    behind = misfit(exact.modes, windows - step * along, fractions_px, measured)
    slope = -float(np.vdot(along, found.object_).real)
    scale = float(np.linalg.norm(along) * np.linalg.norm(found.object_))
    assert (ahead - behind) / (2 * step) == pytest.approx(slope, abs=1e-4 * scale)

    assert found.probe is not None
    along = (turn * rng.normal(size=exact.modes.shape)).astype(np.complex128)
    ahead = misfit(exact.modes + step * along, windows, fractions_px, measured)
    behind = misfit(exact.modes - step * along, windows, fractions_px, measured)
    slope = -float(np.vdot(along, found.probe).real)
    scale = float(np.linalg.norm(along) * np.linalg.norm(found.probe))
    assert (ahead - behind) / (2 * step) == pytest.approx(slope, abs=1e-4 * scale)


def factor_of(measured: float, rate: float, noise: Noise) -> float:
    """Return by what a single bright pixel of a flat exit wave is changed."""
    modes = np.full((1, 4, 4), np.sqrt(rate) / 4, np.complex128)  # all of it lies at DC
    windows = np.ones((1, 4, 4), np.complex128)
    amplitudes = np.zeros((1, 4, 4))
    amplitudes[0, 0, 0] = measured**0.5
    found = compare(modes, windows, np.zeros((1, 2)), amplitudes, noise=noise)
    return float(found.object_[0, 0, 0].real * 16 / rate)


def test_the_poisson_factor_has_its_sign_its_bounds_and_its_first_order() -> None:
    assert factor_of(10, 100, "poisson") == pytest.approx(-45 / 100.1, rel=1e-5)
    assert factor_of(0, 100, "poisson") == pytest.approx(-50 / 100.1, rel=1e-5)
    assert factor_of(120, 100, "poisson") == pytest.approx(10 / 100.1, rel=1e-5)
    assert factor_of(1e6, 1e-2, "poisson") == pytest.approx(LARGEST_POISSON_FACTOR, rel=1e-5)
    for counts in (9.9e5, 1.01e6):  # 1 % of the counts is ½ % of the amplitude
        plain, unbiased, poisson = (factor_of(counts, 1e6, noise) for noise in NOISES)
        assert poisson == pytest.approx(plain, rel=0.01)
        assert unbiased == pytest.approx(plain, abs=2e-6)
        assert poisson == pytest.approx(counts / 2e6 - 0.5, rel=1e-4)


def test_a_shift_by_whole_pixels_is_a_roll(exact: Exact) -> None:
    beam = make_beam(exact.modes.astype(np.complex64))
    shifts_px = np.array([[0.0, 0.0], [1.0, 0.0], [-2.0, 5.0]])
    moved = beam.shifted(shifts_px)
    assert moved.dtype == np.complex64
    for one, shift_px in zip(moved, shifts_px.astype(int).tolist(), strict=True):
        np.testing.assert_allclose(one, np.roll(beam.modes, shift_px, (1, 2)), atol=1e-4)


def test_a_shift_keeps_the_power_and_is_that_of_the_book(exact: Exact) -> None:
    beam = make_beam(exact.modes.astype(np.complex64))
    fractions_px = np.random.default_rng(0).uniform(-0.5, 0.5, (6, 2))
    moved = beam.shifted(fractions_px)
    power = float(np.sum(np.abs(exact.modes) ** 2))
    np.testing.assert_allclose(np.sum(np.abs(moved) ** 2, axis=(1, 2, 3)), power, rtol=1e-5)
    expected = [[shift(mode, fraction) for mode in exact.modes] for fraction in fractions_px]
    assert_close(moved, np.array(expected))
    np.testing.assert_allclose(
        beam.intensity, np.sum(np.abs(exact.modes) ** 2, axis=0), rtol=1e-5, atol=1e-6
    )


def test_amplitudes_add_the_modes_as_intensities() -> None:
    rng = np.random.default_rng(0)
    waves = (rng.normal(size=(3, 4, 5, 5)) + 1j * rng.normal(size=(3, 4, 5, 5))).astype(
        np.complex64
    )
    expected = np.sqrt(np.sum(np.abs(waves) ** 2, axis=1))
    np.testing.assert_allclose(predicted_amplitudes(waves), expected, rtol=1e-6)


@pytest.mark.parametrize("object_name", ["blurred_lines", "gaussian_random_field"])
@pytest.mark.parametrize(
    ("probe_name", "side", "most"), [("focused", 64, 3e-3), ("gaussian", 32, 5e-4)]
)
def test_patterns_agree_with_those_of_the_simulation(
    object_name: str, probe_name: str, side: int, most: float
) -> None:
    """A shifted probe, and an object shifted by a windowed sinc, are two ways to one pattern.

    They differ where a shifted beam runs over the window's edge: a focused one needs room.
    """
    spec = SimulationOptions(object_name, probe_name, num_patterns=20, window_px=side, step_px=3)
    scan = simulate_scan(spec, np.random.default_rng(0))
    assert scan.object_ is not None
    assert scan.probe is not None
    placement = place_windows(scan.corners_px, side)
    (top, left), (height, width) = placement.corner_px, placement.shape
    windows = placement.cut(
        scan.object_[top : top + height, left : left + width], np.arange(scan.num_patterns)
    )
    amplitudes = predict_amplitudes(make_beam(scan.probe), windows, placement.fractions_px)
    found = np.fft.fftshift(np.square(amplitudes), axes=(1, 2))
    expected = predict_counts(scan.object_, scan.probe.astype(np.complex128), scan.corners_px)
    assert np.linalg.norm(found - expected) < most * np.linalg.norm(expected)
