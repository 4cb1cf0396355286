"""When the learning rate falls, which weights are best, and when training ends.

Both backends ask the same function after each epoch, so neither has a rule of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from .config import TrainingConfig


@dataclass(frozen=True)
class Progress:
    """Where a run stands after `epoch` epochs.

    Attributes
    ----------
    epoch : int
        Epochs done; 0 before the first step.
    learning_rate : float
        Rate of the next epoch.
    best_loss : float
        Smallest validation loss so far.
    best_epoch, last_drop_epoch : int
        When it was reached, and when the learning rate last fell.
    is_finished : bool
        No further epoch is needed.
    """

    epoch: int
    learning_rate: float
    best_loss: float = math.inf
    best_epoch: int = 0
    last_drop_epoch: int = 0
    is_finished: bool = False

    @property
    def is_best(self) -> bool:
        """Whether the last epoch was the best one."""
        return self.best_epoch == self.epoch


def start(config: TrainingConfig, validation_loss: float) -> Progress:
    """Return the progress of a run whose weights have not been changed yet."""
    return Progress(0, config.learning_rate, best_loss=_finite(validation_loss, 0))


def after_epoch(progress: Progress, config: TrainingConfig, validation_loss: float) -> Progress:
    """Take one epoch's validation loss into account.

    Raises
    ------
    RuntimeError
        If the loss is not finite: the training has diverged.

    Examples
    --------
    >>> config = TrainingConfig(plateau_patience=2, learning_rate=0.1)
    >>> progress = start(config, 1.0)
    >>> for loss in (0.5, 0.6, 0.6):
    ...     progress = after_epoch(progress, config, loss)
    >>> progress.learning_rate, progress.best_epoch
    (0.05, 1)
    """
    epoch = progress.epoch + 1
    loss = _finite(validation_loss, epoch)
    progress = replace(progress, epoch=epoch)
    if loss < progress.best_loss:
        progress = replace(progress, best_loss=loss, best_epoch=epoch)
    waited = epoch - max(progress.best_epoch, progress.last_drop_epoch)
    if waited >= config.plateau_patience and progress.learning_rate > config.min_learning_rate:
        rate = max(progress.learning_rate * config.plateau_factor, config.min_learning_rate)
        progress = replace(progress, learning_rate=rate, last_drop_epoch=epoch)
    has_stalled = epoch - progress.best_epoch >= config.early_stopping_patience
    return replace(progress, is_finished=has_stalled or epoch >= config.epochs)


def _finite(loss: float, epoch: int) -> float:
    if not math.isfinite(loss):
        raise RuntimeError(
            f"The validation loss after epoch {epoch} is {loss}: the training has diverged. "
            "The best weights so far are kept; try a smaller `learning_rate`."
        )
    return loss
