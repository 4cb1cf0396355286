"""The steps of a solver's training in TensorFlow; the twin of PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from ..config.solver import SolverConfig, solver_architecture_of
from ..distributed.workers import Workers
from ..policy import ADAM
from ..simulated.pool import Batch
from ..solver.learner import LearnerState, Lesson
from ..solver.loss import DIFFERENCE_WEIGHT, FLOOR, SMALLEST_OVERLAP
from .layers import named_parameters, to_keras, to_neutral
from .optimizer import Adam, clip_gradients
from .solver import build_solver, get_weights, predict_change, set_weights
from .strategy import distribute, make_strategy, sum_over_devices, sum_over_workers


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
        self._strategy = make_strategy(workers, config)
        with self._strategy.scope():  # of variables, which every device then has
            self._make_variables()
        self.load(state)

    def _make_variables(self) -> None:
        config = self._config
        self._network = build_solver(solver_architecture_of(config))
        kept = {id(variable.value): variable for variable in self._network.trainable_variables}
        self._parameters = {
            name: kept[id(value)] for name, value in named_parameters(self._network).items()
        }
        self._optimizer = Adam(
            config.learning_rate,
            beta_1=ADAM.beta_1,
            beta_2=ADAM.beta_2,
            epsilon=ADAM.epsilon,
        )
        self._optimizer.build(list(self._parameters.values()))

    def load(self, state: LearnerState) -> None:
        """Go on from a state."""
        set_weights(self._network, state.weights)
        self._optimizer.iterations.assign(state.num_steps)
        for place, name in enumerate(self._parameters):
            self._optimizer._momentums[place].assign(to_keras(state.first_moments[name]))
            self._optimizer._velocities[place].assign(to_keras(state.second_moments[name]))

    def learn(self, batch: Batch, learning_rate: float) -> Lesson:
        """Correct the objects of this process' share of a batch, and take one step of Adam."""
        self._optimizer.learning_rate = learning_rate
        arrays = (batch.features, batch.units, batch.objects, batch.truths, batch.weights)
        parts = zip(
            *(np.split(array, len(self._workers.own_devices)) for array in arrays), strict=True
        )
        tensors = [tuple(tf.constant(array) for array in part) for part in parts]
        found = self._step(distribute(self._strategy, tensors))
        corrections, values = (
            np.concatenate(
                [part.numpy() for part in self._strategy.experimental_local_results(each)]
            )
            for each in found
        )
        return Lesson(corrections, values)

    @tf.function(reduce_retracing=True)
    def _step(self, tensors: Any) -> Any:
        return self._strategy.run(self._step_on_device, args=tensors)

    def _step_on_device(
        self,
        features: tf.Tensor,
        units: tf.Tensor,
        objects: tf.Tensor,
        truths: tf.Tensor,
        weights: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        variables = list(self._parameters.values())
        with tf.GradientTape() as tape:
            corrections = self._network(features) * units[:, None, None, None]
            values = losses(objects + corrections, truths, weights)
            share = tf.reduce_mean(values) / self._workers.num_devices
        gradients = sum_over_devices(tape.gradient(share, variables))
        gradients = clip_gradients(gradients, self._config.gradient_clip_norm)
        self._optimizer.apply(gradients, variables)
        return corrections, values

    def sum_over_workers(self, *values: float) -> tuple[float, ...]:
        """Return the sums of some numbers over all processes."""
        return sum_over_workers(self._strategy, self._workers, *values)

    def change(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the network's output (B, 2, H, W) for features, without learning."""
        return predict_change(self._network, features)

    def state(self) -> LearnerState:
        """Return copies of weights and moments."""
        first, second = (
            {
                name: to_neutral(moment.numpy())
                for name, moment in zip(self._parameters, moments, strict=True)
            }
            for moments in (self._optimizer._momentums, self._optimizer._velocities)
        )
        num_steps = int(self._optimizer.iterations.numpy())
        return LearnerState(get_weights(self._network), first, second, num_steps)


def losses(objects: tf.Tensor, truths: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Return the loss of each scan, by the formula of `solver.loss`."""
    object_, truth = (tf.complex(images[:, 0], images[:, 1]) for images in (objects, truths))
    shares = tf.cast(weights, object_.dtype)
    overlap = tf.reduce_sum(shares * tf.math.conj(truth) * object_, axis=(1, 2), keepdims=True)
    turn = overlap / tf.cast(tf.abs(overlap) + SMALLEST_OVERLAP, object_.dtype)
    error = object_ - truth * tf.stop_gradient(turn)
    size = tf.reduce_sum(weights * _square(truth), axis=(1, 2))
    down = _square(error[:, 1:] - error[:, :-1])
    across = _square(error[:, :, 1:] - error[:, :, :-1])
    differences = tf.reduce_sum(weights[:, 1:] * down, axis=(1, 2))
    differences += tf.reduce_sum(weights[:, :, 1:] * across, axis=(1, 2))
    whole = tf.reduce_sum(weights * _square(error), axis=(1, 2))
    return tf.math.log((whole + DIFFERENCE_WEIGHT * differences) / size + FLOOR)


def _square(values: tf.Tensor) -> tf.Tensor:
    return tf.square(tf.math.real(values)) + tf.square(tf.math.imag(values))
