"""The training loop, run by Lightning's Trainer."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback

from ..config.config import TrainingConfig
from ..data.feed import BatchPart, make_feeds
from ..data.samples import Samples
from ..distributed.workers import Workers
from ..loop import Epochs
from ..network.architecture import Architecture
from ..network.weights import Weights
from ..run import Best
from .module import TrainingModule, to_tensors
from .network import build_network, set_weights
from .strategy import (
    checked_devices,
    join,
    make_strategy,
    own_signals,
    sum_over_workers,
    watched_workers,
)

SUFFIX = ".ckpt"


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
    with watched_workers(epochs.workers), quiet():
        _fit(epochs, samples, architecture, weights)


def _fit(
    epochs: Epochs[TrainingConfig], samples: Samples, architecture: Architecture, weights: Weights
) -> None:
    run, workers, config = epochs.run, epochs.workers, epochs.run.config
    network = build_network(architecture, precision=config.precision)
    set_weights(network, weights)
    module = TrainingModule(network, config, samples.constants, num_workers=workers.num)
    training, validation = make_feeds(
        samples, config, workers, to_tensors, epoch=lambda: epochs.progress.epoch
    )

    def best() -> Best:
        if workers.strategy != "fsdp":
            return module.best()
        state = trainer.strategy.lightning_module_state_dict()  # the parameters are spread out
        whole = TrainingModule(build_network(architecture), config, samples.constants)
        set_weights(whole.network, weights)  # with their constants, which are no parameters
        if run.is_written:  # only there is it complete
            whole.load_state_dict(state)
        return whole.best()

    def validation_loss() -> float | None:
        if len(validation):
            trainer.validate(module, validation, verbose=False)
        return recorder.validation_loss

    recorder = Recorder(epochs, best)
    trainer = make_trainer(config, workers, [recorder], folder=run.path)
    join(trainer, workers)
    checkpoint = epochs.begin(
        sum_over_workers=lambda value: sum_over_workers(
            trainer.strategy.root_device, workers, value
        )[0],
        validate=validation_loss,
        best=module.best,
    )
    if not epochs.progress.is_finished:
        trainer.fit(
            module,
            training,
            validation if len(validation) else None,
            ckpt_path=checkpoint,
            weights_only=True,
        )


class Recorder(Callback):
    """Tell `epochs` when Lightning begins an epoch, has a batch, and ends the epoch.

    Attributes
    ----------
    epochs : Epochs
    validation_loss : float or None
        Mean over the last validation; None if nothing was validated.
    """

    def __init__(self, epochs: Epochs[TrainingConfig], best: Callable[[], Best]) -> None:
        self.epochs = epochs
        self.validation_loss: float | None = None
        self._best = best
        self._validation_sum, self._validated = 0.0, 0
        self._take_signals = own_signals()

    def setup(self, trainer: lightning.Trainer, module: Any, stage: str) -> None:
        """Take the signals back, which Lightning has just taken."""
        self._take_signals()

    def on_train_epoch_start(self, trainer: lightning.Trainer, module: Any) -> None:
        """Set the learning rate."""
        rate = self.epochs.begin_epoch()
        for group in trainer.optimizers[0].param_groups:
            group["lr"] = rate

    def on_train_batch_end(
        self,
        trainer: lightning.Trainer,
        module: TrainingModule,
        outputs: Any,
        batch: tuple[BatchPart, ...],
        batch_idx: int,
    ) -> None:
        """Sum the loss over all processes, and stop if one of them wants to."""
        (part,) = batch
        loss, num_stopped = sum_over_workers(
            trainer.strategy.root_device,
            self.epochs.workers,
            float(module.last_loss) * part.share,
            float(self.epochs.watcher.should_stop()),
        )
        self.epochs.add_batch(loss, part.num, is_stopped=num_stopped > 0)

    def on_validation_epoch_start(self, trainer: lightning.Trainer, module: Any) -> None:
        """Begin a new mean."""
        self._validation_sum, self._validated = 0.0, 0

    def on_validation_batch_end(
        self,
        trainer: lightning.Trainer,
        module: Any,
        outputs: Any,
        batch: tuple[BatchPart, ...],
        batch_idx: int,
    ) -> None:
        """Add this process' share of the batch's loss."""
        (part,) = batch
        self._validation_sum += float(outputs) * part.share * part.num
        self._validated += part.num

    def on_validation_epoch_end(self, trainer: lightning.Trainer, module: Any) -> None:
        """Take the mean over all processes."""
        (total,) = sum_over_workers(
            trainer.strategy.root_device, self.epochs.workers, self._validation_sum
        )
        self.validation_loss = total / self._validated

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: Any) -> None:
        """Keep the epoch, and end the training if it was the last one."""
        self.epochs.end_epoch(
            self.validation_loss,
            best=self._best,
            save_checkpoint=lambda path: trainer.save_checkpoint(path, weights_only=False),
            suffix=SUFFIX,
        )
        trainer.should_stop = self.epochs.progress.is_finished


def make_trainer(
    config: TrainingConfig, workers: Workers, callbacks: Sequence[Callback], *, folder: Path
) -> lightning.Trainer:
    """Return Lightning's Trainer, which takes the steps and leaves the rest to `callbacks`.

    Raises
    ------
    ValueError
        If this machine has no such devices, or the strategy cannot do what `config` wants.
    """
    with checked_devices(workers):
        return lightning.Trainer(
            max_epochs=config.epochs,
            accumulate_grad_batches=config.accumulate_batches,
            gradient_clip_val=config.gradient_clip_norm,
            gradient_clip_algorithm="norm",
            devices=workers.devices,
            num_nodes=workers.num_nodes,
            **make_strategy(workers, config),
            use_distributed_sampler=False,  # each worker takes its part of every batch itself
            default_root_dir=folder,
            callbacks=list(callbacks),
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            inference_mode=False,
        )


@contextmanager
def quiet() -> Iterator[None]:
    """Ignore warnings of Lightning 2.6 on torch 2.13 that describe only Lightning's own set-up."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*LeafSpec.*", FutureWarning)
        warnings.filterwarnings("ignore", ".*no `val_dataloader`.*")
        yield
