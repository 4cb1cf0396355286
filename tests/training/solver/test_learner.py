"""Both backends learn the same, and a training goes on in either."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ptychonyx.training.backends import BACKENDS, load_backend
from ptychonyx.training.config.solver import SolverConfig, solver_architecture_of
from ptychonyx.training.distributed.workers import Workers
from ptychonyx.training.network.weights import draw_weights
from ptychonyx.training.simulated.pool import Batch, Pool
from ptychonyx.training.solver.learner import (
    Learner,
    LearnerState,
    first_state,
    load_state,
    save_state,
)

WIDTHS = (4, 6)
RATE = 2e-3


def first() -> LearnerState:
    architecture = solver_architecture_of(SolverConfig(widths=WIDTHS))
    return first_state(draw_weights(architecture, np.random.default_rng(0)))


def learner_of(backend: str, state: LearnerState) -> Learner:
    for module in BACKENDS[backend][1]:
        pytest.importorskip(module)
    config = SolverConfig(backend=backend, widths=WIDTHS)
    learner: Learner = load_backend(backend, "solver_learner").SolverLearner(
        config, state, Workers()
    )
    return learner


@pytest.fixture(scope="module")
def batch() -> Batch:
    return Pool([0], 2, 2).batch(0)


def differs(one: LearnerState, other: LearnerState) -> float:
    """Return the largest difference of weights and first moments, in units of the largest."""
    found = []
    for part in ("weights", "first_moments"):
        mine, its = getattr(one, part), getattr(other, part)
        assert mine.keys() == its.keys()
        scale = max(float(np.abs(array).max()) for array in its.values())
        found += [float(np.abs(mine[name] - its[name]).max()) / scale for name in mine]
    return max(found)


@pytest.mark.slow
def test_twenty_steps_are_the_same_in_both_backends(batch: Batch) -> None:
    learners = [learner_of(backend, first()) for backend in BACKENDS]
    for _ in range(20):
        lessons = [learner.learn(batch, RATE) for learner in learners]
        np.testing.assert_allclose(lessons[0].losses, lessons[1].losses, rtol=2e-3)
        np.testing.assert_allclose(lessons[0].corrections, lessons[1].corrections, atol=3e-4)
    states = [learner.state() for learner in learners]
    assert [state.num_steps for state in states] == [20, 20]
    assert differs(*states) < 1e-3
    assert differs(first(), states[0]) > 0.01  # something was learned


@pytest.mark.slow
@pytest.mark.parametrize("ways", [("pytorch", "tensorflow"), ("tensorflow", "pytorch")])
def test_a_training_goes_on_in_the_other_backend(
    ways: tuple[str, str], batch: Batch, tmp_path: Path
) -> None:
    one = learner_of(ways[0], first())
    for _ in range(3):
        one.learn(batch, RATE)
    save_state(one.state(), tmp_path / "state.safetensors")
    other = learner_of(ways[1], load_state(tmp_path / "state.safetensors"))
    for _ in range(3):
        one.learn(batch, RATE)
        other.learn(batch, RATE)
    assert differs(one.state(), other.state()) < 1e-3


@pytest.mark.parametrize("backend", list(BACKENDS))
def test_learning_makes_the_loss_fall(backend: str, batch: Batch) -> None:
    learner = learner_of(backend, first())
    found = [float(learner.learn(batch, RATE).losses.mean()) for _ in range(30)]
    assert found[-1] < found[0] - 0.02


@pytest.mark.parametrize("backend", list(BACKENDS))
def test_the_change_is_what_the_next_correction_will_be(backend: str, batch: Batch) -> None:
    learner = learner_of(backend, first())
    expected = learner.change(batch.features) * batch.units[:, None, None, None]
    np.testing.assert_allclose(learner.learn(batch, RATE).corrections, expected, atol=1e-6)


def test_a_state_survives_its_file(tmp_path: Path) -> None:
    state = first()
    save_state(state, tmp_path / "state.safetensors")
    loaded = load_state(tmp_path / "state.safetensors")
    assert loaded.num_steps == 0
    for part in ("weights", "first_moments", "second_moments"):
        mine, its = getattr(state, part), getattr(loaded, part)
        assert mine.keys() == its.keys()
        for name in mine:
            np.testing.assert_array_equal(mine[name], its[name])


@pytest.mark.parametrize("content", [b"", b"no safetensors", b"\x00" * 64])
def test_a_damaged_state_is_said(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="not a checkpoint of a solver's training"):
        load_state(path)
