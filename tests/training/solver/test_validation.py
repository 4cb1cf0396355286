"""Fixed scans tell how good a solver network is, and one that is lost does not hide the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from ptychonyx.training.config.solver import SolverConfig
from ptychonyx.training.simulated.pool import Batch
from ptychonyx.training.solver.learner import LearnerState, Lesson
from ptychonyx.training.solver.validation import LOST, validation_loss

CONFIG = SolverConfig(backend="pytorch", widths=(4, 6), validation_scans=2, validation_passes=2)


@dataclass
class Adding:
    """A network that adds a constant to every object."""

    constant: float

    def load(self, state: LearnerState) -> None:
        raise AssertionError("a validation changes no weights")

    def learn(self, batch: Batch, learning_rate: float) -> Lesson:
        raise AssertionError("a validation does not learn")

    def change(self, features: np.ndarray) -> np.ndarray:
        return np.full_like(features[:, :2], self.constant)

    def state(self) -> LearnerState:
        return LearnerState({}, {}, {}, 0)

    def sum_over_workers(self, *values: float) -> tuple[float, ...]:
        return values


def test_a_network_that_does_nothing_leaves_what_passes_reach() -> None:
    loss = validation_loss(Adding(0), CONFIG)
    assert loss is not None
    assert np.isfinite(loss)
    assert loss < LOST


def test_what_is_lost_counts_as_nothing_of_the_truth() -> None:
    assert validation_loss(Adding(1e3), CONFIG) == pytest.approx(LOST)


def test_without_scans_there_is_no_loss() -> None:
    config = SolverConfig(backend="pytorch", validation_scans=0)
    assert validation_loss(Adding(0), config) is None
