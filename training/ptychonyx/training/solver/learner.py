"""What a backend must be able to do to train a solver network, and where its optimiser stands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ptychonyx.runtime.files import write_atomically

from ..network.weights import Weights
from ..simulated.pool import Batch

MOMENTS = ("first_moment", "second_moment")


@dataclass(frozen=True)
class LearnerState:
    """Hold everything that a training goes on from, in the neutral layout of `network.weights`.

    A training that was stopped in one backend can go on in the other.

    Attributes
    ----------
    weights : dict of float32 arrays
    first_moments, second_moments : dict of float32 arrays
        Adam's running means of the gradient and of its square, under the names of the weights.
    num_steps : int
        Steps taken.
    """

    weights: Weights
    first_moments: Weights
    second_moments: Weights
    num_steps: int


@dataclass(frozen=True)
class Lesson:
    """Hold what one step came to.

    Attributes
    ----------
    corrections : float32 array, shape (B, 2, S, S)
        What the network changed in each object before the step.
    losses : float32 array, shape (B,)
        Loss of each scan.
    """

    corrections: NDArray[np.float32]
    losses: NDArray[np.float32]


class Learner(Protocol):
    """A solver network and its optimiser in one backend, in one of the processes that train it."""

    def load(self, state: LearnerState) -> None:
        """Go on from a state."""

    def learn(self, batch: Batch, learning_rate: float) -> Lesson:
        """Correct the objects of this process' share of a batch, and take one step of Adam.

        The gradient is the mean over the shares of all processes.
        """

    def sum_over_workers(self, *values: float) -> tuple[float, ...]:
        """Return the sums of some numbers over all processes."""

    def change(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the network's output (B, 2, H, W) for features, without learning."""

    def state(self) -> LearnerState:
        """Return copies of weights and moments."""


def save_state(state: LearnerState, path: Path) -> None:
    """Write a state as safetensors, whole or not at all."""
    from safetensors.numpy import save

    parts = {"weight": state.weights, MOMENTS[0]: state.first_moments}
    parts[MOMENTS[1]] = state.second_moments
    arrays = {
        f"{part}/{name}": np.ascontiguousarray(array)
        for part, named in parts.items()
        for name, array in named.items()
    }
    arrays["num_steps"] = np.array([state.num_steps], np.int64)
    data = save(arrays)
    write_atomically(path, lambda file: file.write(data))


def load_state(path: Path) -> LearnerState:
    """Read what `save_state` wrote.

    Raises
    ------
    ValueError
        If it is not such a file.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        arrays = load_file(path)
        num_steps = int(arrays.pop("num_steps")[0])
        parts: dict[str, Weights] = {part: {} for part in ("weight", *MOMENTS)}
        for name, array in arrays.items():
            part, _, own = name.partition("/")
            parts[part][own] = array
    except (OSError, SafetensorError, KeyError) as error:
        raise ValueError(
            f"{path} is not a checkpoint of a solver's training ({error}); take the run from a "
            "backup, or start it anew with --overwrite."
        ) from None
    first, second = (parts[name] for name in MOMENTS)
    return LearnerState(parts["weight"], first, second, num_steps)


def first_state(weights: Weights) -> LearnerState:
    """Return the state before the first step."""
    zeros = {name: np.zeros_like(array) for name, array in weights.items()}
    return LearnerState(weights, zeros, {name: array.copy() for name, array in zeros.items()}, 0)
