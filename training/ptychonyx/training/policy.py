"""The rules of training: Adam's constants, the learning rate, the best weights, and the end.

Both backends ask the same function after each epoch, so neither has a rule of its own.

Adam: w ← w − rate · m̂ / (sqrt(v̂) + epsilon), with bias-corrected m̂ and v̂ (Kingma and Ba, 2015,
algorithm 1). PyTorch computes this; Keras puts epsilon beside the uncorrected sqrt(v), so the
TensorFlow backend overrides that one step. With a weight decay (AdamW), w first shrinks by
rate · decay · w in both.

Schedules, with e epochs done of E, after a linear rise over `warmup_epochs`:

- constant: the first rate;
- exponential: first · (last / first)^(e / (E − 1));
- cosine: last + (first − last) · (1 + cos(π e / (E − 1))) / 2;
- plateau: multiplied by `plateau_factor` after `plateau_patience` epochs without improvement.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from .config.any import RunConfig


class Adam(NamedTuple):
    """The constants of Adam."""

    beta_1: float
    beta_2: float
    epsilon: float


ADAM: Final = Adam(beta_1=0.9, beta_2=0.999, epsilon=1e-8)
CLIP_EPSILON: Final = 1e-6
"""Added to the norm of a gradient that may have to be shortened, as PyTorch does."""


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
    best_epoch : int
        When it was reached.
    num_drops, last_drop_epoch : int
        How often the rate fell on a plateau, and when last.
    is_finished : bool
        No further epoch is needed.
    """

    epoch: int
    learning_rate: float
    best_loss: float = math.inf
    best_epoch: int = 0
    num_drops: int = 0
    last_drop_epoch: int = 0
    is_finished: bool = False

    @property
    def is_best(self) -> bool:
        """Whether the last epoch was the best one."""
        return self.best_epoch == self.epoch


def start(config: RunConfig, validation_loss: float | None) -> Progress:
    """Return the progress of a run whose weights have not been changed yet.

    `validation_loss` is None where nothing validates.
    """
    best_loss = math.inf if validation_loss is None else _finite(validation_loss, 0)
    return Progress(0, _rate(config, 0, num_drops=0), best_loss=best_loss)


def after_epoch(progress: Progress, config: RunConfig, validation_loss: float) -> Progress:
    """Take one epoch's validation loss into account.

    Raises
    ------
    RuntimeError
        If the loss is not finite: the training has diverged.

    Examples
    --------
    >>> from ptychonyx.training import TrainingConfig
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
    progress = _next_rate(progress, config)
    patience = config.early_stopping_patience
    has_stalled = patience is not None and epoch - progress.best_epoch >= patience
    return replace(progress, is_finished=has_stalled or epoch >= config.epochs)


def _next_rate(progress: Progress, config: RunConfig) -> Progress:
    waited = progress.epoch - max(progress.best_epoch, progress.last_drop_epoch)
    if config.schedule == "plateau" and waited >= config.plateau_patience:
        drops = progress.num_drops + 1
        progress = replace(progress, num_drops=drops, last_drop_epoch=progress.epoch)
    rate = _rate(config, progress.epoch, num_drops=progress.num_drops)
    return replace(progress, learning_rate=rate)


def _rate(config: RunConfig, epoch: int, *, num_drops: int) -> float:
    """Return the rate of the epoch that follows `epoch` epochs."""
    first, last = config.learning_rate, config.min_learning_rate
    share = min(1.0, epoch / max(1, config.epochs - 1))
    rate = {
        "constant": first,
        "plateau": max(first * config.plateau_factor**num_drops, last),
        "exponential": first * (last / first) ** share,
        "cosine": last + (first - last) * (1 + math.cos(math.pi * share)) / 2,
    }[config.schedule]
    return float(rate) * min(1.0, (epoch + 1) / (config.warmup_epochs + 1))


def _finite(loss: float, epoch: int) -> float:
    if not math.isfinite(loss):
        raise RuntimeError(
            f"The validation loss after epoch {epoch} is {loss}: the training has diverged. "
            "The best weights so far are kept; try a smaller `learning_rate`."
        )
    return loss
