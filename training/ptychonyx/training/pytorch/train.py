"""The training loop, run by Lightning's Trainer."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Iterator
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

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
)
from .physics import predict_rate

SUFFIX = ".ckpt"


class Constants(torch.nn.Module):
    """The scans' constants as buffers: they move to the device, and no checkpoint holds them."""

    scale: Tensor
    probe: Tensor
    good_pixels: Tensor
    mean_count: Tensor

    def __init__(self, constants: ScanConstants, dtype: torch.dtype) -> None:
        super().__init__()
        complex_dtype = torch.complex128 if dtype == torch.float64 else torch.complex64
        for name, array in vars(constants).items():
            tensor = torch.from_numpy(array)
            tensor = tensor.to(complex_dtype if tensor.is_complex() else dtype)
            self.register_buffer(name, tensor, persistent=False)


def batch_loss(
    name: str, network: Network, constants: Constants, amplitude: Tensor, scan: Tensor
) -> Tensor:
    """Return the self-supervised loss of a batch: patches, forward model, counts."""
    probe, scale = constants.probe[scan], constants.scale[scan]
    rate = predict_rate(apply_network(network, amplitude, scale), probe)
    return loss(
        name,
        rate,
        amplitude.square(),
        good_pixels=constants.good_pixels[scan],
        mean_count=constants.mean_count[scan],
    )


def loss_and_gradients(
    name: str, network: Network, samples: Samples, indexes: NDArray[np.int64]
) -> tuple[float, dict[str, NDArray[np.float64]]]:
    """Return the loss of one batch and its gradient for every parameter, by neutral name."""
    parameters = named_parameters(network)
    dtype = next(iter(parameters.values())).dtype
    amplitude = torch.from_numpy(samples.amplitude[indexes]).to(dtype)
    constants = Constants(samples.constants, dtype)
    value = batch_loss(name, network, constants, amplitude, torch.from_numpy(samples.scan[indexes]))
    gradients = torch.autograd.grad(value, list(parameters.values()))
    return float(value.detach()), {
        key: gradient.contiguous().numpy().astype(np.float64)
        for key, gradient in zip(parameters, gradients, strict=True)
    }


class Trained(lightning.LightningModule):
    """Network, loss and optimiser, as Lightning wants to see them."""

    def __init__(self, network: Network, config: TrainingConfig, constants: ScanConstants) -> None:
        super().__init__()
        self.network = network
        self.config = config
        dtype = next(network.parameters()).dtype
        self.constants = Constants(constants, dtype)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Return the loss of a training batch."""
        return batch_loss(self.config.loss, self.network, self.constants, *batch)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Return the loss of a validation batch."""
        return batch_loss(self.config.loss, self.network, self.constants, *batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam over every parameter."""
        return make_optimizer(self.network, self.config.learning_rate)


def make_optimizer(network: Network, learning_rate: float) -> torch.optim.Optimizer:
    """Return Adam with the formula that both backends share."""
    return torch.optim.Adam(
        named_parameters(network).values(),
        lr=learning_rate,
        betas=(ADAM.beta_1, ADAM.beta_2),
        eps=ADAM.epsilon,
    )


class _Patterns(Dataset[tuple[Tensor, Tensor]]):
    """Batches by sample indexes; a batch is read in one indexing operation."""

    def __init__(self, samples: Samples) -> None:
        self.samples = samples

    def __getitem__(self, indexes: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        amplitude = torch.from_numpy(self.samples.amplitude[indexes])
        return amplitude, torch.from_numpy(self.samples.scan[indexes])


class _Recorder(Callback):
    """Follows the run: history, best weights, checkpoints, learning rate, end."""

    def __init__(self, run: Run, samples: Samples, watcher: Watcher, progress: Progress) -> None:
        self.run, self.samples, self.watcher, self.progress = run, samples, watcher, progress
        self._clock = time.perf_counter()
        self._sum, self._seen = 0.0, 0
        self._validation_sum, self._validated = 0.0, 0

    def on_train_epoch_start(self, trainer: lightning.Trainer, module: Any) -> None:
        for group in trainer.optimizers[0].param_groups:
            group["lr"] = self.progress.learning_rate
        self._clock = time.perf_counter()
        self._sum, self._seen = 0.0, 0

    def on_train_batch_end(
        self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._sum += float(outputs["loss"].detach()) * len(batch[1])
        self._seen += len(batch[1])
        self.watcher.on_batch(self._seen, self._sum / self._seen)
        stop_if_asked(self.watcher, self.run, self.progress)

    def on_validation_epoch_start(self, trainer: Any, module: Any) -> None:
        self._validation_sum, self._validated = 0.0, 0

    def on_validation_batch_end(
        self, trainer: Any, module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._validation_sum += float(outputs) * len(batch[1])
        self._validated += len(batch[1])

    @property
    def validation_loss(self) -> float:
        return self._validation_sum / self._validated

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: Any) -> None:
        seconds = time.perf_counter() - self._clock
        rate = self.progress.learning_rate
        self.progress = after_epoch(self.progress, self.run.config, self.validation_loss)
        row = EpochRow(
            epoch=self.progress.epoch,
            training_loss=self._sum / self._seen,
            validation_loss=self.validation_loss,
            learning_rate=rate,
            seconds=seconds,
            samples_per_s=self._seen / seconds,
        )
        self.run.record_epoch(
            self.progress,
            row,
            lambda: get_weights(module.network),
            lambda path: trainer.save_checkpoint(path, weights_only=False),
            SUFFIX,
        )
        self.watcher.on_epoch(row)
        trainer.should_stop = self.progress.is_finished


class _TrainingOrder(Sampler[NDArray[np.int64]]):
    """The batches of the epoch that the run is in.

    Lightning's own `set_epoch` starts from 0 again when a run is resumed, so the recorder is asked.
    """

    def __init__(self, samples: Samples, config: TrainingConfig, recorder: _Recorder) -> None:
        self.samples, self.config, self.recorder = samples, config, recorder

    def __iter__(self) -> Iterator[NDArray[np.int64]]:
        return self.samples.training_batches(
            batch_size=self.config.batch_size,
            seed=self.config.seed,
            epoch=self.recorder.progress.epoch,
        )

    def __len__(self) -> int:
        return -(-len(self.samples.training) // self.config.batch_size)


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
    with warnings.catch_warnings():
        # Lightning 2.6 on torch 2.13 warns of Lightning's own ways
        warnings.filterwarnings("ignore", ".*LeafSpec.*", FutureWarning)
        warnings.filterwarnings("ignore", ".*does not have many workers.*")
        return _fit(run, samples, architecture, weights, watcher)


def _fit(
    run: Run, samples: Samples, architecture: Architecture, weights: Weights, watcher: Watcher
) -> Progress:
    config = run.config
    network = build_network(architecture)
    set_weights(network, weights)
    module = Trained(network, config, samples.constants)
    saved = run.saved_progress()
    progress = saved[0] if saved is not None else Progress(0, config.learning_rate)
    recorder = _Recorder(run, samples, watcher, progress)
    trainer = _trainer(run, recorder)
    data = _Patterns(samples)
    validation = DataLoader(
        data,
        sampler=list(samples.validation_batches(batch_size=config.batch_size)),
        batch_size=None,
    )
    if saved is None:
        trainer.validate(module, validation, verbose=False)
        recorder.progress = start(config, recorder.validation_loss)
        row = EpochRow(0, None, recorder.validation_loss, config.learning_rate, 0.0, 0.0)
        run.record_epoch(recorder.progress, row, lambda: get_weights(network), None)
        watcher.on_epoch(row)
    elif progress.is_finished:
        return progress
    watcher.on_start(recorder.progress.epoch, config.epochs, len(samples.training))
    training = DataLoader(data, sampler=_TrainingOrder(samples, config, recorder), batch_size=None)
    trainer.fit(
        module,
        training,
        validation,
        ckpt_path=saved[1] if saved is not None else None,
        weights_only=True,
    )
    return recorder.progress


def _trainer(run: Run, recorder: _Recorder) -> lightning.Trainer:
    for name in ("lightning.pytorch.utilities.rank_zero", "lightning.pytorch.accelerators.cuda"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return lightning.Trainer(
        max_epochs=run.config.epochs,
        devices=1,
        default_root_dir=run.path,
        callbacks=[recorder],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        inference_mode=False,
    )
