"""The steps of a solver's training in PyTorch, on the devices that Lightning's Fabric finds."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..config.solver import SolverConfig, solver_architecture_of
from ..distributed.workers import Workers
from ..policy import ADAM
from ..simulated.pool import Batch
from ..solver.learner import LearnerState, Lesson
from ..solver.loss import DIFFERENCE_WEIGHT, FLOOR, SMALLEST_OVERLAP
from .layers import named_parameters
from .solver import build_solver, get_weights, set_weights
from .strategy import make_fabric, sum_over_workers


class SolverLearner:
    """A solver network and Adam; made when all processes are there, which it connects.

    Parameters
    ----------
    config : SolverConfig
    state : LearnerState
        Where the training stands.
    workers : Workers
        The processes that train it.
    """

    def __init__(self, config: SolverConfig, state: LearnerState, workers: Workers) -> None:
        self._config, self._workers = config, workers
        self._fabric = make_fabric(workers, config)
        network = build_solver(solver_architecture_of(config))
        optimizer = torch.optim.Adam(
            named_parameters(network).values(),
            lr=config.learning_rate,
            betas=(ADAM.beta_1, ADAM.beta_2),
            eps=ADAM.epsilon,
        )
        self._bare = network
        self._network, self._optimizer = self._fabric.setup(network, optimizer)
        self.load(state)

    def load(self, state: LearnerState) -> None:
        """Go on from a state."""
        set_weights(self._bare, state.weights)
        if state.num_steps == 0:
            return
        for name, parameter in named_parameters(self._bare).items():
            self._optimizer.state[parameter] = {
                "step": torch.tensor(float(state.num_steps)),
                "exp_avg": torch.from_numpy(state.first_moments[name]).to(parameter),
                "exp_avg_sq": torch.from_numpy(state.second_moments[name]).to(parameter),
            }

    def learn(self, batch: Batch, learning_rate: float) -> Lesson:
        """Correct the objects of this process' share of a batch, and take one step of Adam."""
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate
        features, units, objects, truths, weights = (
            torch.from_numpy(array).to(self._fabric.device)
            for array in (batch.features, batch.units, batch.objects, batch.truths, batch.weights)
        )
        features = features.contiguous(memory_format=torch.channels_last)
        corrections = self._network(features) * units[:, None, None, None]
        values = losses(objects + corrections, truths, weights)
        self._optimizer.zero_grad()
        self._fabric.backward(values.mean())  # the gradient is then the mean over all processes
        self._fabric.clip_gradients(
            self._network, self._optimizer, max_norm=self._config.gradient_clip_norm
        )
        self._optimizer.step()
        return Lesson(
            corrections.detach().contiguous().cpu().numpy(), values.detach().cpu().numpy()
        )

    def sum_over_workers(self, *values: float) -> tuple[float, ...]:
        """Return the sums of some numbers over all processes."""
        return sum_over_workers(self._fabric.device, self._workers, *values)

    def change(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the network's output (B, 2, H, W) for features, without learning."""
        with torch.inference_mode():
            change = self._bare(torch.from_numpy(features).to(self._fabric.device))
        result: NDArray[np.float32] = change.contiguous().cpu().numpy()
        return result

    def state(self) -> LearnerState:
        """Return copies of weights and moments."""
        first, second, num_steps = {}, {}, 0
        for name, parameter in named_parameters(self._bare).items():
            kept = self._optimizer.state.get(parameter, {})
            zeros = torch.zeros_like(parameter)
            first[name] = kept.get("exp_avg", zeros).detach().cpu().contiguous().numpy().copy()
            second[name] = kept.get("exp_avg_sq", zeros).detach().cpu().contiguous().numpy().copy()
            num_steps = int(kept.get("step", 0))
        weights = {name: array.copy() for name, array in get_weights(self._bare).items()}
        return LearnerState(weights, first, second, num_steps)


def losses(objects: Tensor, truths: Tensor, weights: Tensor) -> Tensor:
    """Return the loss of each scan, by the formula of `solver.loss`."""
    object_, truth = (torch.complex(images[:, 0], images[:, 1]) for images in (objects, truths))
    with torch.no_grad():
        overlap = (weights * truth.conj() * object_).sum(dim=(1, 2), keepdim=True)
        turn = overlap / (overlap.abs() + SMALLEST_OVERLAP)
    error = object_ - truth * turn
    size = (weights * _square(truth)).sum(dim=(1, 2))
    down, across = (_square(torch.diff(error, dim=dim)) for dim in (1, 2))
    differences = (weights[:, 1:] * down).sum(dim=(1, 2))
    differences = differences + (weights[:, :, 1:] * across).sum(dim=(1, 2))
    whole = (weights * _square(error)).sum(dim=(1, 2))
    return torch.log((whole + DIFFERENCE_WEIGHT * differences) / size + FLOOR)


def _square(values: Tensor) -> Tensor:
    return torch.square(values.real) + torch.square(values.imag)
