"""Simulated positions have the step that was asked for."""

from __future__ import annotations

import numpy as np
import pytest

from ptychonyx.runtime.simulation.positions import POSITIONS


@pytest.mark.parametrize("name", POSITIONS)
def test_positions_have_the_mean_step(name: str) -> None:
    positions_px = POSITIONS[name](400, 5.0, np.random.default_rng(0))
    assert positions_px.shape == (400, 2)
    inner = np.all(np.abs(positions_px - np.median(positions_px, axis=0)) < 30, axis=1).sum()
    assert inner == pytest.approx(60**2 / 5.0**2, rel=0.25)
