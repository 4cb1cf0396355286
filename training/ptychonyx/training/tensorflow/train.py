"""The training loop: one `tf.function` step under a plain loop."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import tensorflow as tf

from ..config.config import TrainingConfig
from ..data.feed import BatchPart, Feed, make_feeds
from ..data.samples import Samples
from ..loop import Epochs
from ..network.architecture import Architecture
from ..network.weights import Weights
from ..physics.losses import Batch
from .module import TrainingModule, to_tensors
from .network import build_network, set_weights
from .optimizer import clip_gradients
from .strategy import (
    distribute,
    make_strategy,
    sum_over_devices,
    sum_over_workers,
    watched_workers,
)

SUFFIX = ".weights.h5"

Parts = tuple[BatchPart, ...]
"""One batch, as parts for the devices of this process."""
Validate = Callable[[Parts], float]


class Step(Protocol):
    """A function that takes in a batch, and steps if told to."""

    def __call__(self, parts: Parts, *, wants_stop: bool, with_update: bool) -> tuple[float, bool]:
        """Return the loss of the batch, and whether any process wants to stop.

        Parameters
        ----------
        parts : tuple of BatchPart
        wants_stop : bool
            Whether this process wants to stop.
        with_update : bool
            Whether to step, by the gradients of all batches since the last step.
        """


def fit(
    epochs: Epochs[TrainingConfig], samples: Samples, architecture: Architecture, weights: Weights
) -> None:
    """Train until the policy says that it is done, from `weights` or from where the run stands.

    Parameters
    ----------
    epochs : Epochs
        The run, its watcher, and the processes that train together.
    samples : Samples
    architecture : Architecture
    weights : Weights
        First weights of a new run.

    Raises
    ------
    TrainingInterruptedError
        If `watcher.should_stop` returned True; whole epochs are kept.
    RuntimeError
        If the loss is no longer finite.
    WorkerLostError
        If another worker has ended.
    """
    with watched_workers(epochs.workers):
        _fit(epochs, samples, architecture, weights)


def _fit(
    epochs: Epochs[TrainingConfig], samples: Samples, architecture: Architecture, weights: Weights
) -> None:
    run, workers, config = epochs.run, epochs.workers, epochs.run.config
    strategy = make_strategy(workers, config)
    with strategy.scope():  # of variables: only those that every process makes may be made in it
        network = build_network(architecture, precision=config.precision)
        set_weights(network, weights)
        module = TrainingModule(network, config, samples.constants)
        step = make_step(module, strategy)
    validate = make_validation(module, strategy)
    training, validation = make_feeds(
        samples, config, workers, to_tensors, epoch=lambda: epochs.progress.epoch
    )

    def save_checkpoint(path: Path) -> None:
        if run.is_written:
            module.save_weights(path)

    checkpoint = epochs.begin(
        sum_over_workers=lambda value: sum_over_workers(strategy, workers, value)[0],
        validate=lambda: _validation_loss(validate, validation),
        best=module.best,
    )
    if checkpoint is not None:
        module.load_weights(checkpoint)
    while not epochs.progress.is_finished:
        module.optimizer.learning_rate = epochs.begin_epoch()
        _train_epoch(step, training, epochs)
        epochs.end_epoch(
            _validation_loss(validate, validation),
            best=module.best,
            save_checkpoint=save_checkpoint,
            suffix=SUFFIX,
        )


def _train_epoch(step: Step, training: Feed, epochs: Epochs[TrainingConfig]) -> None:
    num_accumulated = epochs.run.config.accumulate_batches
    for index, parts in enumerate(training, start=1):
        loss, is_stopped = step(
            parts,
            wants_stop=epochs.watcher.should_stop(),
            with_update=index % num_accumulated == 0 or index == len(training),
        )
        epochs.add_batch(loss, parts[0].num, is_stopped=is_stopped)


def _validation_loss(validate: Validate, validation: Feed) -> float | None:
    total, validated = 0.0, 0
    for parts in validation:
        total += validate(parts) * parts[0].num
        validated += parts[0].num
    return total / validated if validated else None


def make_step(module: TrainingModule, strategy: tf.distribute.Strategy) -> Step:
    """Return the function that takes in a batch, and steps if told to.

    Gradients of the batches since the last step are averaged over `accumulate_batches`.
    """
    config, optimizer = module.config, module.optimizer
    variables = module.network.trainable_variables + module.probe.trainable_variables
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
            value = module.loss_of(batch) * share
        # dense: those of gathered values are not, and would be clipped and summed wrongly
        gradients = [tf.convert_to_tensor(each) for each in tape.gradient(value, variables)]
        if config.accumulate_batches > 1:
            for total, gradient in zip(sums, gradients, strict=True):
                total.assign_add(gradient / config.accumulate_batches)
            gradients = [tf.identity(total) for total in sums]
        if with_update:
            gradients = sum_over_devices(gradients)
            optimizer.apply(clip_gradients(gradients, config.gradient_clip_norm), variables)
            for total in sums if config.accumulate_batches > 1 else ():
                total.assign(tf.zeros_like(total))
        return sum_over_devices(tf.stack([value, stop]))

    @tf.function(reduce_retracing=True)
    def step(batch: Batch, share: tf.Tensor, stop: tf.Tensor, *, with_update: bool) -> tf.Tensor:
        sums = strategy.run(step_on_device, args=(batch, share, stop, with_update))
        return strategy.experimental_local_results(sums)[0]

    def take(parts: Parts, *, wants_stop: bool, with_update: bool) -> tuple[float, bool]:
        batch, share = _distributed(parts, strategy, module)
        stop = tf.constant(float(wants_stop), module.constants.scale.dtype)
        loss, num_stopped = step(batch, share, stop, with_update=with_update).numpy().tolist()
        return loss, num_stopped > 0

    return take


def make_validation(module: TrainingModule, strategy: tf.distribute.Strategy) -> Validate:
    """Return the function that gives the loss of a batch, by this process' parts of it."""

    def validate_on_device(batch: Batch, share: tf.Tensor) -> tf.Tensor:
        return sum_over_devices(module.loss_of(batch) * share)

    @tf.function(reduce_retracing=True)
    def validate(batch: Batch, share: tf.Tensor) -> tf.Tensor:
        sums = strategy.run(validate_on_device, args=(batch, share))
        return strategy.experimental_local_results(sums)[0]

    return lambda parts: float(validate(*_distributed(parts, strategy, module)))


def _distributed(
    parts: Parts, strategy: tf.distribute.Strategy, module: TrainingModule
) -> tuple[Batch, tf.Tensor]:
    """Return batch and share as values that differ from device to device."""
    dtype = module.constants.scale.dtype
    return distribute(strategy, [(part.batch, tf.constant(part.share, dtype)) for part in parts])
