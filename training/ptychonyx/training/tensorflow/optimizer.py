"""Adam in TensorFlow, by the formula of `policy`."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from ..config.config import TrainingConfig
from ..policy import ADAM, CLIP_EPSILON
from .network import Network
from .probe import ProbeParameters


def make_optimizer(config: TrainingConfig, network: Network, probe: ProbeParameters) -> Adam:
    """Return Adam over the parameters of network and probe; the probe's never decay."""
    optimizer = Adam(
        config.learning_rate,
        beta_1=ADAM.beta_1,
        beta_2=ADAM.beta_2,
        epsilon=ADAM.epsilon,
        weight_decay=config.weight_decay or None,
    )
    optimizer.exclude_from_weight_decay(var_list=probe.trainable_variables)
    optimizer.build(network.trainable_variables + probe.trainable_variables)
    return optimizer


class Adam(keras.optimizers.Adam):
    """Adam with epsilon beside the bias-corrected sqrt(v), as in the paper and in PyTorch."""

    def _all_reduce_sum_gradients(self, grads_and_vars: Any) -> Any:
        """Leave gradients as they are: they are summed over all devices before they are clipped."""
        return grads_and_vars

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Take one step for one variable."""
        rate = tf.cast(learning_rate, variable.dtype)
        gradient = tf.cast(gradient, variable.dtype)
        step = tf.cast(self.iterations + 1, variable.dtype)
        index = self._get_variable_index(variable)
        momentum, velocity = self._momentums[index], self._velocities[index]
        momentum.assign(momentum + (gradient - momentum) * (1 - self.beta_1))
        velocity.assign(velocity + (tf.square(gradient) - velocity) * (1 - self.beta_2))
        # tf.cast would round the constants to float32 on the way
        beta_1 = tf.constant(self.beta_1, variable.dtype)
        beta_2 = tf.constant(self.beta_2, variable.dtype)
        corrected = momentum / (1 - tf.pow(beta_1, step))
        spread = tf.sqrt(velocity / (1 - tf.pow(beta_2, step)))
        variable.assign_sub(rate * corrected / (spread + self.epsilon))


def clip_gradients(gradients: list[tf.Tensor], norm: float | None) -> list[tf.Tensor]:
    """Shorten the gradient over all parameters to a norm, by PyTorch's formula."""
    if norm is None:
        return gradients
    factor = norm / (tf.linalg.global_norm(gradients) + CLIP_EPSILON)
    factor = tf.minimum(factor, tf.ones_like(factor))
    return [gradient * factor for gradient in gradients]
