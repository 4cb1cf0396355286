"""Simulated probes have distinct modes of falling power, and the size of a real beam."""

from __future__ import annotations

import numpy as np
import pytest

from ptychonyx.runtime.simulation.probes import PROBES


@pytest.mark.parametrize("name", PROBES)
def test_probe_modes_are_distinct_and_fall_in_power(name: str) -> None:
    probe = PROBES[name](64, 3)
    gram = np.abs(np.einsum("ayx,byx->ab", probe.conj(), probe))
    power = np.diag(gram)
    np.testing.assert_allclose(power / power.sum(), [9 / 13, 3 / 13, 1 / 13], rtol=1e-6)
    assert np.all(gram - np.diag(power) < 0.01 * power.max())


def test_focused_probe_is_curved_and_half_a_window_wide() -> None:
    probe = PROBES["focused"](64, 3)
    power = np.sum(np.abs(probe) ** 2, axis=0)
    assert 0.75 < power[16:48, 16:48].sum() / power.sum() < 0.95
    phase = np.unwrap(np.angle(probe[0, 32, 22:43]))
    assert np.abs(np.diff(phase, 2)).mean() > 0.01


def test_too_many_modes_are_refused() -> None:
    with pytest.raises(ValueError, match="`num_modes` is 6, expected at most 5"):
        PROBES["focused"](32, 6)
