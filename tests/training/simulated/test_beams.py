"""Beams that are drawn are ones that a scan could have."""

from __future__ import annotations

import numpy as np
import pytest

from ptychonyx.training.simulated.beams import CONTAINED, beam_diameter_px, draw_beam


@pytest.mark.parametrize("window_px", [32, 64])
@pytest.mark.parametrize("num_modes", [1, 2, 4])
def test_a_beam_has_orthogonal_modes_within_its_window(window_px: int, num_modes: int) -> None:
    for seed in range(12):
        modes = draw_beam(window_px, num_modes, np.random.default_rng(seed))
        assert modes.shape == (num_modes, window_px, window_px)
        assert modes.dtype == np.complex64
        flat = modes.reshape(num_modes, -1)
        overlaps = np.abs(flat.conj() @ flat.T)
        powers = np.diag(overlaps)
        assert powers.sum() == pytest.approx(1, rel=1e-5)
        assert (np.diff(powers) <= 1e-6).all()
        np.testing.assert_allclose(overlaps, np.diag(powers), atol=1e-5)
        margin = window_px // 8
        intensity = np.square(np.abs(modes)).sum(axis=0)
        assert intensity[margin:-margin, margin:-margin].sum() >= CONTAINED - 1e-6
        assert window_px / 20 < beam_diameter_px(modes) < window_px


def test_beams_differ_and_repeat_with_their_seed() -> None:
    first, again, other = (draw_beam(32, 2, np.random.default_rng(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


def test_the_diameter_of_a_disk_is_its_own() -> None:
    y, x = np.indices((64, 64)) - 32
    disk = (np.hypot(y, x) < 10).astype(np.complex64)
    assert beam_diameter_px(disk[None]) == pytest.approx(20, rel=0.02)
