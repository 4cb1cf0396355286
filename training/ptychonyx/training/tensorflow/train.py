"""The training loop: one `tf.function` step under a plain loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from ..architecture import Architecture
from ..config import TrainingConfig
from ..optimizer import ADAM
from ..policy import Progress, after_epoch, start
from ..run import EpochRow, Run
from ..samples import Samples, ScanConstants
from ..train import Watcher, stop_if_asked
from ..weights import Weights
from .loss import loss
from .network import (
    Network,
    apply_network,
    build_network,
    get_weights,
    named_parameters,
    set_weights,
    to_neutral,
)
from .physics import predict_rate

SUFFIX = ".weights.h5"


class Constants:
    """The scans' constants as tensors."""

    def __init__(self, constants: ScanConstants, dtype: tf.DType) -> None:
        complex_dtype = tf.complex128 if dtype == tf.float64 else tf.complex64
        self.scale = tf.cast(constants.scale, dtype)
        self.probe = tf.cast(constants.probe, complex_dtype)
        self.good_pixels = tf.cast(constants.good_pixels, dtype)
        self.mean_count = tf.cast(constants.mean_count, dtype)


def batch_loss(
    name: str, network: Network, constants: Constants, amplitude: tf.Tensor, scan: tf.Tensor
) -> tf.Tensor:
    """Return the self-supervised loss of a batch: patches, forward model, counts."""
    probe, scale = tf.gather(constants.probe, scan), tf.gather(constants.scale, scan)
    rate = predict_rate(apply_network(network, amplitude, scale), probe)
    return loss(
        name,
        rate,
        tf.square(amplitude),
        good_pixels=tf.gather(constants.good_pixels, scan),
        mean_count=tf.gather(constants.mean_count, scan),
    )


def loss_and_gradients(
    name: str, network: Network, samples: Samples, indexes: NDArray[np.int64]
) -> tuple[float, dict[str, NDArray[np.float64]]]:
    """Return the loss of one batch and its gradient for every parameter, by neutral name."""
    parameters = named_parameters(network)
    dtype = next(iter(parameters.values())).dtype
    amplitude = tf.cast(samples.amplitude[indexes], dtype)
    constants = Constants(samples.constants, dtype)
    with tf.GradientTape() as tape:
        value = batch_loss(name, network, constants, amplitude, tf.constant(samples.scan[indexes]))
    gradients = tape.gradient(value, list(parameters.values()))
    return float(value), {
        key: to_neutral(gradient.numpy()).astype(np.float64)
        for key, gradient in zip(parameters, gradients, strict=True)
    }


class Adam(keras.optimizers.Adam):
    """Adam with epsilon beside the bias-corrected sqrt(v), as in the paper and in PyTorch."""

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


def make_optimizer(network: Network, learning_rate: float) -> Adam:
    """Return Adam with the formula that both backends share."""
    optimizer = Adam(learning_rate, beta_1=ADAM.beta_1, beta_2=ADAM.beta_2, epsilon=ADAM.epsilon)
    optimizer.build(network.trainable_variables)
    return optimizer


def make_step(
    config: TrainingConfig, network: Network, constants: Constants, optimizer: Adam
) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Return the function that takes one step on a batch and gives its loss."""

    @tf.function(reduce_retracing=True)
    def step(amplitude: tf.Tensor, scan: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            value = batch_loss(config.loss, network, constants, amplitude, scan)
        variables = network.trainable_variables
        optimizer.apply(tape.gradient(value, variables), variables)
        return value

    return step


def fit(
    run: Run, samples: Samples, architecture: Architecture, weights: Weights, watcher: Watcher
) -> Progress:
    """Train until the policy says that it is done, from `weights` or from where the run stands.

    Raises
    ------
    TrainingInterruptedError
        If `watcher.should_stop` said so; whole epochs are kept.
    RuntimeError
        If the loss is no longer finite.
    """
    config = run.config
    network = build_network(architecture)
    set_weights(network, weights)
    constants = Constants(samples.constants, tf.float32)
    optimizer = make_optimizer(network, config.learning_rate)
    network.compile(optimizer=optimizer)  # ties the optimiser's state to the network's checkpoint
    step = make_step(config, network, constants, optimizer)

    @tf.function(reduce_retracing=True)
    def validate(amplitude: tf.Tensor, scan: tf.Tensor) -> tf.Tensor:
        return batch_loss(config.loss, network, constants, amplitude, scan)

    saved = run.saved_progress()
    if saved is not None:
        progress = saved[0]
        network.load_weights(saved[1])
    else:
        validation_loss = _validation_loss(validate, samples, config)
        progress = start(config, validation_loss)
        row = EpochRow(0, None, validation_loss, config.learning_rate, 0.0, 0.0)
        run.record_epoch(progress, row, lambda: get_weights(network), None)
        watcher.on_epoch(row)
    watcher.on_start(progress.epoch, config.epochs, len(samples.training))
    while not progress.is_finished:
        optimizer.learning_rate = progress.learning_rate
        clock = time.perf_counter()
        training_loss = _train_epoch(step, samples, run, progress, watcher)
        validation_loss = _validation_loss(validate, samples, config)
        seconds = time.perf_counter() - clock
        row = EpochRow(
            epoch=progress.epoch + 1,
            training_loss=training_loss,
            validation_loss=validation_loss,
            learning_rate=progress.learning_rate,
            seconds=seconds,
            samples_per_s=len(samples.training) / seconds,
        )
        progress = after_epoch(progress, config, validation_loss)
        run.record_epoch(progress, row, lambda: get_weights(network), network.save_weights, SUFFIX)
        watcher.on_epoch(row)
    return progress


def _train_epoch(
    step: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    samples: Samples,
    run: Run,
    progress: Progress,
    watcher: Watcher,
) -> float:
    total, seen = 0.0, 0
    config = run.config
    batches = samples.training_batches(
        batch_size=config.batch_size, seed=config.seed, epoch=progress.epoch
    )
    for indexes in batches:
        value = step(tf.constant(samples.amplitude[indexes]), tf.constant(samples.scan[indexes]))
        total += float(value) * len(indexes)
        seen += len(indexes)
        watcher.on_batch(seen, total / seen)
        stop_if_asked(watcher, run, progress)
    return total / seen


def _validation_loss(
    validate: Callable[[tf.Tensor, tf.Tensor], tf.Tensor], samples: Samples, config: TrainingConfig
) -> float:
    total = 0.0
    for indexes in samples.validation_batches(batch_size=config.batch_size):
        value = validate(
            tf.constant(samples.amplitude[indexes]), tf.constant(samples.scan[indexes])
        )
        total += float(value) * len(indexes)
    return total / len(samples.validation)
