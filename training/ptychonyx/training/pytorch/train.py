"""The training loop, run by Lightning's Trainer."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from numpy.typing import NDArray
from torch import Tensor

from ..config.config import TrainingConfig
from ..data.samples import Batch, Part, Samples, ScanConstants, part_of
from ..data.stored import made_ahead
from ..distributed.workers import WorkerLostError, Workers
from ..network.architecture import Architecture
from ..network.weights import Weights
from ..optimizer import ADAM
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
)
from .physics import merge_patches, predict_rate, turn_to_first
from .probe import Beam, beam_parameters, trained_probe
from .strategy import is_lost_worker, join, make_strategy, own_signals, sum_over_workers

SUFFIX = ".ckpt"
QUIET = (
    "lightning.pytorch.utilities.rank_zero",
    "lightning.pytorch.accelerators.cuda",
    "lightning.fabric.utilities.distributed",
)
"""Loggers of Lightning that tell of its own ways."""


class Constants(torch.nn.Module):
    """The scans' constants as buffers: they move to the device, and no checkpoint holds them."""

    scale: Tensor
    good_pixels: Tensor
    counts_per_good_pixel: Tensor
    weights: Tensor

    def __init__(self, constants: ScanConstants, dtype: torch.dtype) -> None:
        super().__init__()
        for name in ("scale", "good_pixels", "counts_per_good_pixel", "weights"):
            tensor = torch.from_numpy(getattr(constants, name)).to(dtype)
            self.register_buffer(name, tensor, persistent=False)


def batch_loss(
    terms: Mapping[str, float], network: Network, beam: Beam, constants: Constants, batch: Batch
) -> Tensor:
    """Return the loss of a batch: patches, one object of each group, forward model, terms."""
    amplitude, scan, kernels, truth = batch
    object_ = apply_network(network, amplitude, constants.scale[scan])
    weights = constants.weights[scan]
    if object_.shape[1] > 1:
        if network.architecture.num_channels == 1:  # seen apart, patterns leave their phases free
            object_ = turn_to_first(object_, kernels, weights)
        object_ = merge_patches(object_, kernels, weights)
    return loss(
        terms,
        Prediction(predict_rate(object_, beam(scan)), object_),
        Measured(
            counts=amplitude.square(),
            good_pixels=constants.good_pixels[scan],
            counts_per_good_pixel=constants.counts_per_good_pixel[scan],
            truth=truth,
            weights=weights,
        ),
    )


def loss_and_gradients(
    config: TrainingConfig, network: Network, samples: Samples, groups: NDArray[np.int64]
) -> tuple[float, dict[str, NDArray[np.float64]]]:
    """Return the loss of one batch and its gradient for every parameter, by neutral name."""
    dtype = next(network.parameters()).dtype
    beam = Beam(samples.constants, config, dtype)
    parameters = named_parameters(network) | beam_parameters(beam)
    constants = Constants(samples.constants, dtype)
    batch = _to_tensors(samples.batch(groups), dtype)
    value = batch_loss(config.loss_weights, network, beam, constants, batch)
    gradients = torch.autograd.grad(value, list(parameters.values()))
    return float(value.detach()), {
        key: gradient.contiguous().numpy().astype(np.float64)
        for key, gradient in zip(parameters, gradients, strict=True)
    }


class Trained(lightning.LightningModule):
    """Network, beam, loss and optimiser, as Lightning wants to see them."""

    def __init__(
        self,
        network: Network,
        config: TrainingConfig,
        constants: ScanConstants,
        num_workers: int = 1,
    ) -> None:
        super().__init__()
        self.network = network
        self.config = config
        self.num_workers = num_workers
        dtype = next(network.parameters()).dtype
        self.beam = Beam(constants, config, dtype)
        self.constants = Constants(constants, dtype)
        self.last_loss = torch.zeros(())

    def training_step(self, batch: tuple[Batch, float, int], batch_idx: int) -> Tensor:
        """Return the loss of a part of a training batch, such that the mean over workers is the batch's."""
        tensors, share, _ = batch
        value = self._loss(tensors)
        self.last_loss = value.detach()  # what Lightning hands on is divided by the accumulation
        return value * (share * self.num_workers)

    def validation_step(self, batch: tuple[Batch, float, int], batch_idx: int) -> Tensor:
        """Return the loss of a part of a validation batch."""
        return self._loss(batch[0])

    def _loss(self, batch: Batch) -> Tensor:
        terms = self.config.loss_weights
        return batch_loss(terms, self.network, self.beam, self.constants, batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam over every parameter."""
        return make_optimizer(self.config, self.network, self.beam)


def make_optimizer(config: TrainingConfig, network: Network, beam: Beam) -> torch.optim.Optimizer:
    """Return Adam with the formula that both backends share; the beam's parameters never decay."""
    groups: list[dict[str, Any]] = [
        {"params": list(named_parameters(network).values()), "weight_decay": config.weight_decay}
    ]
    if beam_parameters(beam):
        groups.append({"params": list(beam_parameters(beam).values()), "weight_decay": 0.0})
    return torch.optim.AdamW(
        groups, lr=config.learning_rate, betas=(ADAM.beta_1, ADAM.beta_2), eps=ADAM.epsilon
    )


def _to_tensors(batch: Batch, dtype: torch.dtype = torch.float32) -> Batch:
    complex_dtype = torch.complex128 if dtype == torch.float64 else torch.complex64
    return Batch(
        amplitude=torch.from_numpy(batch.amplitude).to(dtype),
        scan=torch.from_numpy(batch.scan),
        kernels=torch.from_numpy(batch.kernels).to(dtype),
        truth=torch.from_numpy(batch.truth).to(complex_dtype),
    )


class _Parts:
    """A worker's part of each batch, made ahead; with its share, and the size of the batch.

    `order` is asked when an epoch begins: a resumed run begins with any epoch.
    """

    def __init__(
        self,
        samples: Samples,
        workers: Workers,
        order: Callable[[], Iterator[NDArray[np.int64]]],
        num_batches: int,
    ) -> None:
        self.samples, self.workers, self.order = samples, workers, order
        self.num_batches = num_batches

    def __iter__(self) -> Iterator[tuple[Batch, float, int]]:
        parts = (part_of(groups, self.workers.rank, self.workers.num) for groups in self.order())
        return made_ahead(self._make, parts)

    def __len__(self) -> int:
        return self.num_batches

    def _make(self, part: Part) -> tuple[Batch, float, int]:
        return _to_tensors(self.samples.batch(part.groups)), part.share, part.num


class _Recorder(Callback):
    """Follows the run: history, best weights, checkpoints, learning rate, end."""

    def __init__(
        self,
        run: Run,
        samples: Samples,
        watcher: Watcher,
        progress: Progress,
        best: Callable[[lightning.Trainer], Best],
    ) -> None:
        self.run, self.samples, self.watcher, self.progress = run, samples, watcher, progress
        self._best = best
        self._clock = time.perf_counter()
        self._sum, self._seen = 0.0, 0
        self._validation_sum, self._validated = 0.0, 0
        self._take_signals = own_signals()

    def setup(self, trainer: lightning.Trainer, module: Any, stage: str) -> None:
        self._take_signals()

    def on_train_epoch_start(self, trainer: lightning.Trainer, module: Any) -> None:
        for group in trainer.optimizers[0].param_groups:
            group["lr"] = self.progress.learning_rate
        self._clock = time.perf_counter()
        self._sum, self._seen = 0.0, 0

    def on_train_batch_end(
        self,
        trainer: Any,
        module: Any,
        outputs: Any,
        batch: tuple[Batch, float, int],
        batch_idx: int,
    ) -> None:
        _, share, num = batch
        loss, num_stopped = sum_over_workers(
            trainer, float(module.last_loss) * share, float(self.watcher.should_stop())
        )
        self._sum += loss * num
        self._seen += num
        self.watcher.on_batch(self._seen, self._sum / self._seen)
        if num_stopped:
            raise interrupted(self.run, self.progress)

    def on_validation_epoch_start(self, trainer: Any, module: Any) -> None:
        self._validation_sum, self._validated = 0.0, 0

    def on_validation_batch_end(
        self,
        trainer: Any,
        module: Any,
        outputs: Any,
        batch: tuple[Batch, float, int],
        batch_idx: int,
    ) -> None:
        _, share, num = batch
        self._validation_sum += float(outputs) * share * num
        self._validated += num

    def on_validation_epoch_end(self, trainer: Any, module: Any) -> None:
        (self._validation_sum,) = sum_over_workers(trainer, self._validation_sum)

    @property
    def validation_loss(self) -> float | None:
        return self._validation_sum / self._validated if self._validated else None

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: Any) -> None:
        row = EpochRow(
            epoch=self.progress.epoch + 1,
            training_loss=self._sum / self._seen,
            validation_loss=self.validation_loss,
            learning_rate=self.progress.learning_rate,
            seconds=time.perf_counter() - self._clock,
            num_samples=self._seen,
        )
        self.progress = after_epoch(self.progress, self.run.config, row.deciding_loss)
        self.run.record_epoch(
            self.progress,
            row,
            lambda: self._best(trainer),
            lambda path: trainer.save_checkpoint(path, weights_only=False),
            SUFFIX,
        )
        self.watcher.on_epoch(row)
        trainer.should_stop = self.progress.is_finished


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
    with warnings.catch_warnings():
        # Lightning 2.6 on torch 2.13 warns of Lightning's own ways
        warnings.filterwarnings("ignore", ".*LeafSpec.*", FutureWarning)
        warnings.filterwarnings("ignore", ".*no `val_dataloader`.*")
        try:
            return _fit(run, samples, architecture, weights, watcher, workers)
        except RuntimeError as error:
            if workers.num > 1 and is_lost_worker(error):
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
    network = build_network(architecture, precision=config.precision)
    set_weights(network, weights)
    module = Trained(network, config, samples.constants, workers.num)

    def best(trainer: lightning.Trainer) -> Best:
        if workers.strategy != "fsdp":
            return Best(get_weights(module.network), trained_probe(module.beam))
        state = trainer.strategy.lightning_module_state_dict()  # the parameters are spread out
        whole = Trained(build_network(architecture), config, samples.constants)
        set_weights(whole.network, weights)  # with what is no parameter
        if run.is_written:  # only there is it complete
            whole.load_state_dict(state)
        return Best(get_weights(whole.network), trained_probe(whole.beam))

    recorder = _Recorder(run, samples, watcher, start(config, None), best)
    trainer = _trainer(run, recorder, workers)
    join(trainer, workers)
    saved = run.saved_progress()
    progress = saved[0] if saved is not None else recorder.progress
    (sum_of_epochs,) = sum_over_workers(trainer, float(progress.epoch))
    check_agreement(run, workers, progress.epoch, sum_of_epochs)
    recorder.progress = progress
    num_validating = len(samples.validation)
    validation = _Parts(
        samples,
        workers,
        lambda: samples.validation_batches(batch_size=config.batch_size),
        -(-num_validating // config.batch_size),
    )
    if saved is None:
        if num_validating:
            trainer.validate(module, validation, verbose=False)
        recorder.progress = start(config, recorder.validation_loss)
        row = EpochRow(0, None, recorder.validation_loss, recorder.progress.learning_rate, 0.0, 0)
        first = Best(get_weights(network), trained_probe(module.beam))
        run.record_epoch(recorder.progress, row, lambda: first, None)
        watcher.on_epoch(row)
    elif progress.is_finished:
        return progress
    watcher.on_start(recorder.progress.epoch, config.epochs, len(samples.training))
    training = _Parts(
        samples,
        workers,
        lambda: samples.training_batches(
            batch_size=config.batch_size, seed=config.seed, epoch=recorder.progress.epoch
        ),
        -(-len(samples.training) // config.batch_size),
    )
    trainer.fit(
        module,
        training,
        validation if num_validating else None,
        ckpt_path=saved[1] if saved is not None else None,
        weights_only=True,
    )
    return recorder.progress


def _trainer(run: Run, recorder: _Recorder, workers: Workers) -> lightning.Trainer:
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        return _make_trainer(run, recorder, workers)
    except MisconfigurationException as error:
        raise ValueError(
            f"`--devices` is {workers.devices} and `--strategy` {workers.strategy!r}, which this machine "
            f"cannot do: {error}"
        ) from error


def _make_trainer(run: Run, recorder: _Recorder, workers: Workers) -> lightning.Trainer:
    return lightning.Trainer(
        max_epochs=run.config.epochs,
        accumulate_grad_batches=run.config.accumulate_batches,
        gradient_clip_val=run.config.gradient_clip_norm,
        gradient_clip_algorithm="norm",
        devices=workers.devices,
        num_nodes=workers.num_nodes,
        **make_strategy(workers, run.config),
        use_distributed_sampler=False,  # each worker takes its part of every batch itself
        default_root_dir=run.path,
        callbacks=[recorder],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        inference_mode=False,
    )
