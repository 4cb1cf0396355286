"""What a network says is added to the object after a pass, as far as it is trusted."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import pytest
from solver_oracle import Exact

from ptychonyx.runtime.solving.network.correction import (
    Corrector,
    corrected,
    features_after,
)
from ptychonyx.runtime.solving.passes import Passer
from ptychonyx.runtime.solving.physics.sweep import State
from ptychonyx.runtime.solving.probe.freedom import center_of


@dataclass
class Says:
    """A network that always says the same, on canvases of any size."""

    value: complex
    name: str = "test"
    stride: int = 16

    def change(self, features: np.ndarray) -> np.ndarray:
        shape = features.shape[1:]
        return np.stack([np.full(shape, self.value.real), np.full(shape, self.value.imag)]).astype(
            np.float32
        )


def passer(exact: Exact, pool: ThreadPoolExecutor, corrector: Corrector | None) -> Passer:
    intensity = np.square(np.abs(exact.modes)).sum(axis=0).astype(np.float32)
    power, center_px = float(intensity.sum()), center_of(intensity)
    return Passer(pool, False, 0, power, center_px, is_parallel=True, corrector=corrector)


def vacuum(exact: Exact) -> State:
    return exact.state(np.ones_like(exact.object_))


@pytest.mark.parametrize("trust", [1.0, 0.5, 0.0])
def test_the_object_moves_by_trusted_units(
    exact: Exact, pool: ThreadPoolExecutor, trust: float
) -> None:
    before, problem = vacuum(exact), exact.problem()
    plain = passer(exact, pool, None).step(problem, before)
    state = passer(exact, pool, Corrector(Says(1 - 2j), trust)).step(problem, before)
    unit = features_after(problem, before, plain).unit
    np.testing.assert_allclose(
        state.object_, plain.object_ + trust * unit * (1 - 2j), rtol=1e-5, atol=1e-6
    )
    assert plain.correction is None


def test_the_momentum_goes_on_with_what_the_network_changed(exact: Exact) -> None:
    before = vacuum(exact)
    after = replace(before, object_=before.object_ + np.float32(0.5), num_passes=1)
    correction = np.full_like(before.object_, 0.25j)
    state = corrected(before, after, correction)
    np.testing.assert_allclose(state.last_change, np.full_like(before.object_, 0.5 + 0.25j))
    np.testing.assert_array_equal(state.correction, correction)
    assert state.num_passes == 1


def test_a_network_that_knows_the_truth_ends_at_once(
    exact: Exact, pool: ThreadPoolExecutor
) -> None:
    problem, before = exact.problem(), vacuum(exact)

    @dataclass
    class Knows:
        name: str = "test"
        stride: int = 1

        def change(self, features: np.ndarray) -> np.ndarray:
            plain = passer(exact, pool, None).step(problem, before)
            unit = features_after(problem, before, plain).unit
            missing = (exact.object_ - plain.object_) / unit
            return np.stack([missing.real, missing.imag])

    state = passer(exact, pool, Corrector(Knows())).step(problem, before)
    np.testing.assert_allclose(state.object_, exact.object_, atol=1e-4)
