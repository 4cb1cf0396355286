"""The training loop: one `tf.function` step under a plain loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from ..architecture import Architecture
from ..config import TrainingConfig
from ..optimizer import ADAM, CLIP_EPSILON
from ..physics import Measured, Prediction
from ..policy import Progress, after_epoch, start
from ..run import Best, EpochRow, Run
from ..samples import Batch, Samples, ScanConstants
from ..train import Watcher, stop_if_asked
from ..weights import Weights
from .beam import Beam, beam_parameters, trained_probe
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
from .physics import merge_patches, predict_rate

SUFFIX = ".weights.h5"


class Constants:
    """The scans' constants as tensors."""

    def __init__(self, constants: ScanConstants, dtype: tf.DType) -> None:
        self.scale = tf.cast(constants.scale, dtype)
        self.good_pixels = tf.cast(constants.good_pixels, dtype)
        self.mean_count = tf.cast(constants.mean_count, dtype)
        self.weights = tf.cast(constants.weights, dtype)


def batch_loss(
    terms: Mapping[str, float], network: Network, beam: Beam, constants: Constants, batch: Batch
) -> tf.Tensor:
    """Return the loss of a batch: patches, one object of each group, forward model, terms."""
    amplitude, scan, kernels, truth = batch
    object_ = apply_network(network, amplitude, tf.gather(constants.scale, scan))
    weights = tf.gather(constants.weights, scan)
    if object_.shape[1] > 1:
        object_ = merge_patches(object_, kernels, weights)
    return loss(
        terms,
        Prediction(predict_rate(object_, beam(scan)), object_),
        Measured(
            counts=tf.square(amplitude),
            good_pixels=tf.gather(constants.good_pixels, scan),
            mean_count=tf.gather(constants.mean_count, scan),
            truth=truth,
            weights=weights,
        ),
    )


def loss_and_gradients(
    config: TrainingConfig, network: Network, samples: Samples, groups: NDArray[np.int64]
) -> tuple[float, dict[str, NDArray[np.float64]]]:
    """Return the loss of one batch and its gradient for every parameter, by neutral name."""
    dtype = next(iter(named_parameters(network).values())).dtype
    beam = Beam(samples.constants, config, dtype)
    parameters = named_parameters(network) | beam_parameters(beam)
    constants = Constants(samples.constants, dtype)
    batch = _to_tensors(samples.batch(groups), dtype)
    with tf.GradientTape() as tape:
        value = batch_loss(config.loss_weights, network, beam, constants, batch)
    gradients = tape.gradient(value, list(parameters.values()))
    arrays = {
        key: tf.convert_to_tensor(gradient).numpy().astype(np.float64)
        for key, gradient in zip(parameters, gradients, strict=True)
    }
    weights = named_parameters(network)
    return float(value), {
        key: to_neutral(array) if key in weights else array for key, array in arrays.items()
    }


class Trained(keras.Model):
    """Network and beam, so that one checkpoint holds both, with the optimiser's state."""

    def __init__(self, network: Network, config: TrainingConfig, constants: ScanConstants) -> None:
        super().__init__()
        dtype = next(iter(named_parameters(network).values())).dtype
        self.network = network
        self.beam = Beam(constants, config, dtype)
        self.config = config
        self.constants = Constants(constants, dtype)
        self.compile(optimizer=make_optimizer(config, network, self.beam))
        self.built = True

    def loss_of(self, batch: Batch) -> tf.Tensor:
        """Return the loss of a batch."""
        terms = self.config.loss_weights
        return batch_loss(terms, self.network, self.beam, self.constants, batch)


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


def make_optimizer(config: TrainingConfig, network: Network, beam: Beam) -> Adam:
    """Return Adam with the formula that both backends share; the beam's parameters never decay."""
    optimizer = Adam(
        config.learning_rate,
        beta_1=ADAM.beta_1,
        beta_2=ADAM.beta_2,
        epsilon=ADAM.epsilon,
        weight_decay=config.weight_decay or None,
    )
    optimizer.exclude_from_weight_decay(var_list=beam.trainable_variables)
    optimizer.build(network.trainable_variables + beam.trainable_variables)
    return optimizer


def make_step(trained: Trained) -> Callable[[Batch, bool], tf.Tensor]:
    """Return the function that takes in a batch, steps if told to, and gives the batch's loss.

    Gradients of the batches since the last step are averaged over `accumulate_batches`.
    """
    config, optimizer = trained.config, trained.optimizer
    variables = trained.network.trainable_variables + trained.beam.trainable_variables
    sums = [tf.Variable(tf.zeros_like(variable.value)) for variable in variables]

    @tf.function(reduce_retracing=True)
    def step(batch: Batch, *, with_update: bool) -> tf.Tensor:
        with tf.GradientTape() as tape:
            value = trained.loss_of(batch)
        gradients = tape.gradient(value, variables)
        if config.accumulate_batches > 1:
            for total, gradient in zip(sums, gradients, strict=True):
                total.assign_add(gradient / config.accumulate_batches)
            gradients = [tf.identity(total) for total in sums]
        if with_update:
            optimizer.apply(_clipped(gradients, config.gradient_clip_norm), variables)
            for total in sums if config.accumulate_batches > 1 else ():
                total.assign(tf.zeros_like(total))
        return value

    return lambda batch, with_update: step(batch, with_update=with_update)


def _clipped(gradients: list[tf.Tensor], norm: float | None) -> list[tf.Tensor]:
    """Shorten the gradient over all parameters to a norm, by PyTorch's formula."""
    if norm is None:
        return gradients
    factor = norm / (tf.linalg.global_norm(gradients) + CLIP_EPSILON)
    factor = tf.minimum(factor, tf.ones_like(factor))
    return [gradient * factor for gradient in gradients]


def _to_tensors(batch: Batch, dtype: tf.DType = tf.float32) -> Batch:
    complex_dtype = tf.complex128 if dtype == tf.float64 else tf.complex64
    return Batch(
        amplitude=tf.cast(batch.amplitude, dtype),
        scan=tf.constant(batch.scan),
        kernels=tf.cast(batch.kernels, dtype),
        truth=tf.cast(batch.truth, complex_dtype),
    )


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
    network = build_network(architecture, precision=config.precision)
    set_weights(network, weights)
    trained = Trained(network, config, samples.constants)
    step = make_step(trained)
    validate = tf.function(trained.loss_of, reduce_retracing=True)

    def best() -> Best:
        return Best(get_weights(network), trained_probe(trained.beam))

    saved = run.saved_progress()
    if saved is not None:
        progress = saved[0]
        trained.load_weights(saved[1])
    else:
        validation_loss = _validation_loss(validate, samples, config)
        progress = start(config, validation_loss)
        row = EpochRow(0, None, validation_loss, progress.learning_rate, 0.0, 0)
        run.record_epoch(progress, row, best, None)
        watcher.on_epoch(row)
    watcher.on_start(progress.epoch, config.epochs, len(samples.training))
    while not progress.is_finished:
        trained.optimizer.learning_rate = progress.learning_rate
        clock = time.perf_counter()
        training_loss = _train_epoch(step, samples, run, progress, watcher)
        validation_loss = _validation_loss(validate, samples, config)
        row = EpochRow(
            epoch=progress.epoch + 1,
            training_loss=training_loss,
            validation_loss=validation_loss,
            learning_rate=progress.learning_rate,
            seconds=time.perf_counter() - clock,
            num_samples=len(samples.training),
        )
        progress = after_epoch(progress, config, row.deciding_loss)
        run.record_epoch(progress, row, best, trained.save_weights, SUFFIX)
        watcher.on_epoch(row)
    return progress


def _train_epoch(
    step: Callable[[Batch, bool], tf.Tensor],
    samples: Samples,
    run: Run,
    progress: Progress,
    watcher: Watcher,
) -> float:
    total, seen, since_step = 0.0, 0, 0
    config, num_samples = run.config, len(samples.training)
    batches = samples.training_batches(
        batch_size=config.batch_size, seed=config.seed, epoch=progress.epoch
    )
    for groups in batches:
        seen += len(groups)
        since_step += 1
        with_update = since_step == config.accumulate_batches or seen == num_samples
        value = step(_to_tensors(samples.batch(groups)), with_update)
        since_step = 0 if with_update else since_step
        total += float(value) * len(groups)
        watcher.on_batch(seen, total / seen)
        stop_if_asked(watcher, run, progress)
    return total / seen


def _validation_loss(
    validate: Callable[[Batch], tf.Tensor], samples: Samples, config: TrainingConfig
) -> float | None:
    total = 0.0
    for groups in samples.validation_batches(batch_size=config.batch_size):
        total += float(validate(_to_tensors(samples.batch(groups)))) * len(groups)
    return total / len(samples.validation) if len(samples.validation) else None
