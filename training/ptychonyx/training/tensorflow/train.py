"""The training loop: one `tf.function` step under a plain loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from ..config.config import TrainingConfig
from ..data.samples import Batch, Part, Samples, ScanConstants, part_of
from ..data.stored import made_ahead
from ..distributed.workers import WorkerLostError, Workers
from ..network.architecture import Architecture
from ..network.weights import Weights
from ..optimizer import ADAM, CLIP_EPSILON
from ..physics import Measured, Prediction
from ..policy import Progress, after_epoch, start
from ..run import Best, EpochRow, Run
from ..train import Watcher, check_agreement, interrupted
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
from .physics import merge_patches, predict_rate, turn_to_first
from .probe import Beam, beam_parameters, trained_probe
from .strategy import distribute, make_strategy, sum_over_devices, sum_over_workers

SUFFIX = ".weights.h5"

Parts = Mapping[int, tuple[Batch, float]]
"""By device: what it takes of a batch, and its share of the batch. One process may feed several."""
Step = Callable[[Parts, bool, bool], tuple[float, bool]]


class Constants:
    """The scans' constants as tensors."""

    def __init__(self, constants: ScanConstants, dtype: tf.DType) -> None:
        self.scale = tf.cast(constants.scale, dtype)
        self.good_pixels = tf.cast(constants.good_pixels, dtype)
        self.counts_per_good_pixel = tf.cast(constants.counts_per_good_pixel, dtype)
        self.weights = tf.cast(constants.weights, dtype)


def batch_loss(
    terms: Mapping[str, float], network: Network, beam: Beam, constants: Constants, batch: Batch
) -> tf.Tensor:
    """Return the loss of a batch: patches, one object of each group, forward model, terms."""
    amplitude, scan, kernels, truth = batch
    object_ = apply_network(network, amplitude, tf.gather(constants.scale, scan))
    weights = tf.gather(constants.weights, scan)
    if object_.shape[1] > 1:
        if network.architecture.num_channels == 1:  # seen apart, patterns leave their phases free
            object_ = turn_to_first(object_, kernels, weights)
        object_ = merge_patches(object_, kernels, weights)
    return loss(
        terms,
        Prediction(predict_rate(object_, beam(scan)), object_),
        Measured(
            counts=tf.square(amplitude),
            good_pixels=tf.gather(constants.good_pixels, scan),
            counts_per_good_pixel=tf.gather(constants.counts_per_good_pixel, scan),
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


def make_step(trained: Trained, strategy: tf.distribute.Strategy) -> Step:
    """Return the function that takes in a batch and steps if told to.

    It is called with this process' parts of the batch, whether this process wants to stop, and
    whether to step; it returns the batch's loss, and whether any process wants to stop. Gradients
    of the batches since the last step are averaged over `accumulate_batches`.
    """
    config, optimizer = trained.config, trained.optimizer
    variables = trained.network.trainable_variables + trained.beam.trainable_variables
    sums = [
        tf.Variable(
            tf.zeros_like(variable.value),
            synchronization=tf.VariableSynchronization.ON_READ,  # each device has its own
            aggregation=tf.VariableAggregation.SUM,
        )
        for variable in variables
    ]

    def step_on_device(
        batch: Batch, share: tf.Tensor, stop: tf.Tensor, with_update: bool
    ) -> tf.Tensor:
        with tf.GradientTape() as tape:
            value = trained.loss_of(batch) * share
        # dense: those of gathered values are not, and would be clipped and summed wrongly
        gradients = [tf.convert_to_tensor(each) for each in tape.gradient(value, variables)]
        if config.accumulate_batches > 1:
            for total, gradient in zip(sums, gradients, strict=True):
                total.assign_add(gradient / config.accumulate_batches)
            gradients = [tf.identity(total) for total in sums]
        if with_update:
            gradients = sum_over_devices(gradients)
            optimizer.apply(_clipped(gradients, config.gradient_clip_norm), variables)
            for total in sums if config.accumulate_batches > 1 else ():
                total.assign(tf.zeros_like(total))
        return sum_over_devices(tf.stack([value, stop]))

    @tf.function(reduce_retracing=True)
    def step(batch: Batch, share: tf.Tensor, stop: tf.Tensor, *, with_update: bool) -> tf.Tensor:
        sums = strategy.run(step_on_device, args=(batch, share, stop, with_update))
        return strategy.experimental_local_results(sums)[0]

    def call(parts: Parts, stop: bool, with_update: bool) -> tuple[float, bool]:
        batch, share = _distributed(parts, strategy, trained)
        wish = tf.constant(float(stop), trained.constants.scale.dtype)
        loss, num_stopped = step(batch, share, wish, with_update=with_update).numpy().tolist()
        return loss, num_stopped > 0

    return call


def make_validation(trained: Trained, strategy: tf.distribute.Strategy) -> Callable[[Parts], float]:
    """Return the function that gives the loss of a batch, by this process' parts of it."""

    def validate_on_device(batch: Batch, share: tf.Tensor) -> tf.Tensor:
        return sum_over_devices(trained.loss_of(batch) * share)

    @tf.function(reduce_retracing=True)
    def validate(batch: Batch, share: tf.Tensor) -> tf.Tensor:
        sums = strategy.run(validate_on_device, args=(batch, share))
        return strategy.experimental_local_results(sums)[0]

    return lambda parts: float(validate(*_distributed(parts, strategy, trained)))


def _distributed(
    parts: Parts, strategy: tf.distribute.Strategy, trained: Trained
) -> tuple[Batch, tf.Tensor]:
    """Return batch and share as values that differ from device to device."""
    dtype = trained.constants.scale.dtype

    def of_device(device: int) -> tuple[Batch, tf.Tensor]:
        batch, share = parts[device]
        return _to_tensors(batch, dtype), tf.constant(share, dtype)

    return distribute(strategy, of_device)


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
    run: Run,
    samples: Samples,
    architecture: Architecture,
    weights: Weights,
    watcher: Watcher,
    workers: Workers,
) -> Progress:
    """Train until the policy says that it is done, from `weights` or from where the run stands.

    Raises
    ------
    TrainingInterruptedError
        If `watcher.should_stop` said so; whole epochs are kept.
    RuntimeError
        If the loss is no longer finite.
    WorkerLostError
        If another worker has ended.
    """
    try:
        return _fit(run, samples, architecture, weights, watcher, workers)
    except tf.errors.OpError as error:
        if workers.num > 1:
            raise WorkerLostError(workers, error) from error
        raise


def _fit(
    run: Run,
    samples: Samples,
    architecture: Architecture,
    weights: Weights,
    watcher: Watcher,
    workers: Workers,
) -> Progress:
    config = run.config
    strategy = make_strategy(workers)
    with strategy.scope():  # of variables: only those that every process makes may be made in it
        network = build_network(architecture, precision=config.precision)
        set_weights(network, weights)
        trained = Trained(network, config, samples.constants)
        step = make_step(trained, strategy)
    validate = make_validation(trained, strategy)
    feed = _Feed(samples, workers)

    def best() -> Best:
        return Best(get_weights(network), trained_probe(trained.beam))

    def save_checkpoint(path: Path) -> None:
        if run.is_written:
            trained.save_weights(path)

    saved = run.saved_progress()
    epoch = saved[0].epoch if saved is not None else 0
    sum_of_epochs = sum_over_workers(strategy, workers, epoch)
    check_agreement(run, workers, epoch, sum_of_epochs)
    if saved is not None:
        progress = saved[0]
        trained.load_weights(saved[1])
    else:
        validation_loss = _validation_loss(validate, feed, config)
        progress = start(config, validation_loss)
        row = EpochRow(0, None, validation_loss, progress.learning_rate, 0.0, 0)
        run.record_epoch(progress, row, best, None)
        watcher.on_epoch(row)
    watcher.on_start(progress.epoch, config.epochs, len(samples.training))
    while not progress.is_finished:
        trained.optimizer.learning_rate = progress.learning_rate
        clock = time.perf_counter()
        training_loss = _train_epoch(step, feed, run, progress, watcher)
        validation_loss = _validation_loss(validate, feed, config)
        row = EpochRow(
            epoch=progress.epoch + 1,
            training_loss=training_loss,
            validation_loss=validation_loss,
            learning_rate=progress.learning_rate,
            seconds=time.perf_counter() - clock,
            num_samples=len(samples.training),
        )
        progress = after_epoch(progress, config, row.deciding_loss)
        run.record_epoch(progress, row, best, save_checkpoint, SUFFIX)
        watcher.on_epoch(row)
    return progress


class _Feed:
    """What a process' devices take of each batch, made ahead; and the size of the batch."""

    def __init__(self, samples: Samples, workers: Workers) -> None:
        self.samples = samples
        self.num_devices = workers.num_devices
        num_own = workers.num_devices // workers.num
        self.own_devices = range(workers.rank * num_own, (workers.rank + 1) * num_own)

    def __call__(self, batches: Iterable[NDArray[np.int64]]) -> Iterator[tuple[Parts, int]]:
        return made_ahead(self._make, batches)

    def _make(self, groups: NDArray[np.int64]) -> tuple[Parts, int]:
        taken = {device: part_of(groups, device, self.num_devices) for device in self.own_devices}
        return {device: self._read(part) for device, part in taken.items()}, len(groups)

    def _read(self, part: Part) -> tuple[Batch, float]:
        return self.samples.batch(part.groups), part.share


def _train_epoch(step: Step, feed: _Feed, run: Run, progress: Progress, watcher: Watcher) -> float:
    total, seen, since_step = 0.0, 0, 0
    config, num_samples = run.config, len(feed.samples.training)
    batches = feed.samples.training_batches(
        batch_size=config.batch_size, seed=config.seed, epoch=progress.epoch
    )
    for parts, num in feed(batches):
        seen += num
        since_step += 1
        with_update = since_step == config.accumulate_batches or seen == num_samples
        value, is_stopped = step(parts, watcher.should_stop(), with_update)
        since_step = 0 if with_update else since_step
        total += value * num
        watcher.on_batch(seen, total / seen)
        if is_stopped:
            raise interrupted(run, progress)
    return total / seen


def _validation_loss(
    validate: Callable[[Parts], float], feed: _Feed, config: TrainingConfig
) -> float | None:
    total, num_validating = 0.0, len(feed.samples.validation)
    batches = feed.samples.validation_batches(batch_size=config.batch_size)
    for parts, num in feed(batches):
        total += validate(parts) * num
    return total / num_validating if num_validating else None
