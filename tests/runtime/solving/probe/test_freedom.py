"""Changes of a probe that no pattern tells change no pattern."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from solver_oracle import Exact

from ptychonyx.runtime.simulation.probes import focused_probe
from ptychonyx.runtime.solving.options import MAX_MODES
from ptychonyx.runtime.solving.physics.exit_waves import make_beam, predict_amplitudes
from ptychonyx.runtime.solving.probe.freedom import (
    NEW_MODE_SHARE,
    center_of,
    orthogonal,
    with_more_modes,
    with_power,
)

Complex = NDArray[np.complex64]


def mixed_modes(num_modes: int = 3, side: int = 32) -> Complex:
    """Return modes that overlap, by no order of power."""
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(num_modes, num_modes)) + 1j * rng.normal(size=(num_modes, num_modes))
    mixed = np.tensordot(mixing, 100 * focused_probe(side, num_modes), axes=1)
    return mixed.astype(np.complex64)


def overlaps(modes: Complex) -> NDArray[np.complex128]:
    """Return the modes' scalar products, shape (modes, modes)."""
    flat = modes.reshape(len(modes), -1).astype(np.complex128)
    return np.asarray(flat @ flat.conj().T)


def test_orthogonal_modes_overlap_nowhere_and_fall_in_power() -> None:
    found = overlaps(orthogonal(mixed_modes()))
    powers = np.diag(found).real
    assert (np.diff(powers) < 0).all()
    assert np.abs(found - np.diag(np.diag(found))).max() < 1e-6 * powers[0]
    assert powers.sum() == pytest.approx(np.trace(overlaps(mixed_modes())).real, rel=1e-6)


def test_orthogonal_modes_give_the_same_patterns(exact: Exact) -> None:
    placement, chosen = exact.problem().placement, np.arange(10)
    windows = placement.cut(exact.object_.astype(np.complex64), chosen)
    fractions_px = placement.fractions_px[chosen]
    before, after = make_beam(mixed_modes()), make_beam(orthogonal(mixed_modes()))
    np.testing.assert_allclose(
        predict_amplitudes(after, windows, fractions_px),
        predict_amplitudes(before, windows, fractions_px),
        rtol=1e-4,
        atol=1e-4,
    )
    mixed, apart = (
        np.square(np.abs(beam.shifted(fractions_px))).sum(axis=1) for beam in (before, after)
    )
    np.testing.assert_allclose(apart, mixed, rtol=1e-4, atol=1e-4)


def test_orthogonal_modes_stay_as_they_are() -> None:
    once = orthogonal(mixed_modes())
    np.testing.assert_allclose(orthogonal(once), once, atol=1e-5 * np.abs(once).max())
    assert once.dtype == np.complex64


@pytest.mark.parametrize("power", [1e-3, 1.0, 1e7])
def test_power_is_set_and_shares_stay(power: float) -> None:
    modes = mixed_modes()
    scaled = with_power(modes, power)
    assert scaled.dtype == np.complex64
    assert np.sum(np.abs(scaled) ** 2) == pytest.approx(power, rel=1e-5)
    factor = scaled[0, 16, 16] / modes[0, 16, 16]
    np.testing.assert_allclose(scaled, modes * factor, rtol=1e-5)


@pytest.mark.parametrize("shift_px", [(0, 0), (3, -2), (-13, 9)])
def test_the_center_follows_the_beam(shift_px: tuple[int, int]) -> None:
    intensity = np.square(np.abs(100 * focused_probe(32, 1)[0])).astype(np.float32)
    before = center_of(intensity)
    np.testing.assert_allclose(before, 0, atol=0.05)
    after = center_of(np.roll(intensity, shift_px, (0, 1)))
    np.testing.assert_allclose(after - before, shift_px, atol=1e-3)


@pytest.mark.parametrize("num_modes", range(2, MAX_MODES + 1))
@pytest.mark.parametrize("num_before", [1, 2])
def test_added_modes_are_weak_and_overlap_no_other(num_before: int, num_modes: int) -> None:
    before = orthogonal(mixed_modes(num_before))
    after = with_more_modes(before, num_modes)
    assert after.shape == (num_modes, 32, 32)
    assert after.dtype == np.complex64
    np.testing.assert_array_equal(after[:num_before], before)
    found = overlaps(after)
    powers = np.diag(found).real
    np.testing.assert_allclose(powers[num_before:], NEW_MODE_SHARE * powers[0], rtol=1e-4)
    assert np.abs(found - np.diag(np.diag(found))).max() < 1e-5 * powers[0]


def test_modes_are_added_to_such_as_overlap_and_to_such_as_are_dark() -> None:
    before = mixed_modes(3)
    before[2] = 0
    after = with_more_modes(before, 5)
    assert np.isfinite(after).all()
    np.testing.assert_array_equal(after[:3], before)
    found = np.abs(overlaps(after))
    assert found[0, 1] > 0.1 * found[0, 0]
    assert found[3:, :3].max() < 1e-5 * found[0, 0]
    np.testing.assert_allclose(np.diag(found)[3:], NEW_MODE_SHARE * found[0, 0], rtol=1e-4)


def test_modes_that_are_too_many_leave_the_strongest() -> None:
    modes = mixed_modes(4)
    np.testing.assert_array_equal(with_more_modes(modes, 4), modes)
    np.testing.assert_array_equal(with_more_modes(modes, 2), orthogonal(modes)[:2])
