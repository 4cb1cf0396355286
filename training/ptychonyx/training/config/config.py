"""What a training run is asked to do: one frozen dataclass, YAML in and out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..backends import check_backend_name
from ..network.architecture import AMPLITUDE_ACTIVATIONS, NETWORKS, Architecture
from ..physics.losses import OBJECT_LOSSES, PIXEL_LOSSES
from .any import SavedConfig, check_setting
from .ptychopinn import is_ptychopinn, translate
from .reading import load

LOSSES = (*PIXEL_LOSSES, *OBJECT_LOSSES)
SCHEDULES = ("plateau", "constant", "exponential", "cosine")
OPTIMIZERS = ("adam", "adamw")
PRECISIONS = ("float32", "bfloat16")
PTYCHOPINN_ONLY = ("pad_object", "probe_big")


@dataclass(frozen=True)
class TrainingConfig(SavedConfig):
    """Everything that decides the outcome of a training run, besides the scans themselves.

    Attributes
    ----------
    backend : "tensorflow" or "pytorch"
        Framework that trains; fixed for a run.
    architecture : "cnn", "unet" or "ptychopinn"
        Network; see `docs/reference/arrays.md`.
    filters : float
        F, the factor on all channel counts; may be fractional.
    amplitude_activation : "sigmoid", "swish", "softplus" or "relu"
        Last function of the amplitude's decoder.
    amplitude_max : float
        Upper bound of the object's amplitude (1 is vacuum), for a sigmoid.
    window_px : int or None
        Side N that the patterns must have; None takes any.
    pad_object, probe_big : bool or None
        For `ptychopinn` only: reconstruct the object in the central half of the window; fill in the
        border by a branch of its own. None is true.
    num_channels : int
        C, the neighbouring patterns that the network takes at once: 1, 4 or 9.
    num_merged : int or None
        Patterns of a group, whose patches must agree on one object while training; None is C. With
        C = 1 each of them goes through the network alone, and the exported model takes single ones.
    max_distance_px : float or None
        Largest distance from a pattern to the other members of its group; None is N/4.
    loss : str or mapping of str to float
        "poisson", "amplitude" (both against the measured counts), "supervised" (against the scan's
        own object), "total_variation" (of the object); several with their weights.
    trainable_probe, trainable_gain : bool
        Also improve the probe's modes, and one factor on the intensity of each scan.
    patch_px : int or None
        Side M of the central part of a patch that the exported model returns; None is N/2.
    epochs, batch_size : int
        Passes over the training patterns, and samples in a step, over all devices.
    accumulate_batches : int
        Batches whose mean gradient makes one step.
    optimizer : "adam" or "adamw"
    weight_decay : float
        For adamw: share of the learning rate by which weights shrink in each step.
    gradient_clip_norm : float or None
        Longest gradient over all parameters; a longer one is shortened to it.
    schedule : "plateau", "constant", "exponential" or "cosine"
        How the learning rate goes from the first to the last; see `policy`.
    warmup_epochs : int
        Epochs over which the rate first rises linearly.
    learning_rate, min_learning_rate : float
        First and last learning rate.
    plateau_factor, plateau_patience : float, int
        The rate is multiplied by the factor after that many epochs without improvement.
    early_stopping_patience : int or None
        Training ends after that many epochs without improvement; None never ends early.
    validation_fraction : float
        Share of the patterns, at the end of the scan's longer side, that only validates. With 0
        the training loss takes the place of the validation loss.
    precision : "float32" or "bfloat16"
        Precision of the network's arithmetic; weights, physics and losses are always float32.
    seed : int
        Seeds the first weights, the groups and the order of the batches, alike in both backends.
    quantity : "counts", "amplitude" or None
        What the patterns are, where the files do not say.
    position_origin : str or None
        Rule from file positions to corners; None takes the format's own.
    pattern_axis : "first", "last" or None
        Which axis of an NPZ counts patterns, where its shape does not tell.

    Examples
    --------
    >>> TrainingConfig(backend="pytorch", filters=0.5).epochs
    100
    >>> TrainingConfig(loss={"amplitude": 1, "total_variation": 0.01}).loss_weights
    {'amplitude': 1.0, 'total_variation': 0.01}
    >>> TrainingConfig(backend="jax")
    Traceback (most recent call last):
    ...
    ValueError: `backend` is 'jax', expected exactly "tensorflow" or "pytorch".
    """

    backend: str = "tensorflow"
    architecture: str = "unet"
    filters: float = 1.0
    amplitude_activation: str = "sigmoid"
    amplitude_max: float = 2.0
    window_px: int | None = None
    pad_object: bool | None = None
    probe_big: bool | None = None
    num_channels: int = 1
    num_merged: int | None = None
    max_distance_px: float | None = None
    loss: str | Mapping[str, float] = "poisson"
    trainable_probe: bool = False
    trainable_gain: bool = False
    patch_px: int | None = None
    epochs: int = 100
    batch_size: int = 16
    accumulate_batches: int = 1
    optimizer: str = "adam"
    weight_decay: float = 0.0
    gradient_clip_norm: float | None = None
    schedule: str = "plateau"
    warmup_epochs: int = 0
    learning_rate: float = 1e-3
    min_learning_rate: float = 1e-5
    plateau_factor: float = 0.5
    plateau_patience: int = 8
    early_stopping_patience: int | None = 30
    validation_fraction: float = 0.1
    precision: str = "float32"
    seed: int = 0
    quantity: str | None = None
    position_origin: str | None = None
    pattern_axis: str | None = None

    def __post_init__(self) -> None:
        check_backend_name(self.backend)
        _check_choices(self)
        _check_loss(self.loss)
        for name in ("filters", "amplitude_max", "learning_rate", "min_learning_rate"):
            check_setting(self, name, getattr(self, name) > 0, "a positive number")
        for name in ("epochs", "batch_size", "plateau_patience", "accumulate_batches"):
            check_setting(self, name, getattr(self, name) >= 1, "at least 1")
        for name in (
            "gradient_clip_norm",
            "max_distance_px",
            "early_stopping_patience",
            "num_merged",
        ):
            value = getattr(self, name)
            check_setting(self, name, value is None or value > 0, "a positive number, or null")
        check_setting(self, "num_channels", self.num_channels in (1, 4, 9), "1, 4 or 9")
        check_setting(self, "weight_decay", self.weight_decay >= 0, "0 or larger")
        check_setting(self, "plateau_factor", 0 < self.plateau_factor <= 1, "above 0 and at most 1")
        check_setting(
            self, "validation_fraction", 0 <= self.validation_fraction < 1, "from 0 to below 1"
        )
        check_setting(
            self, "warmup_epochs", 0 <= self.warmup_epochs < self.epochs, "below `epochs`"
        )
        check_setting(self, "seed", self.seed >= 0, "0 or larger")
        _check_together(self)

    @property
    def group_size(self) -> int:
        """Patterns of a group."""
        return self.num_merged or self.num_channels

    @property
    def trains_probe(self) -> bool:
        """Whether the probe, or its power, is improved together with the network."""
        return self.trainable_probe or self.trainable_gain

    @property
    def loss_weights(self) -> dict[str, float]:
        """The losses and their weights."""
        if isinstance(self.loss, str):
            return {self.loss: 1.0}
        return {name: float(weight) for name, weight in self.loss.items()}


def architecture_of(config: TrainingConfig, window_px: int) -> Architecture:
    """Return the network that a configuration describes, for N×N patterns.

    Examples
    --------
    >>> architecture_of(TrainingConfig(filters=0.5), window_px=64).num_parameters
    268514
    """
    return Architecture(
        name=config.architecture,
        window_px=window_px,
        num_channels=config.num_channels,
        filters=config.filters,
        amplitude_activation=config.amplitude_activation,
        amplitude_max=config.amplitude_max,
        pad_object=config.pad_object is not False,
        probe_big=config.probe_big is not False,
    )


def load_config(
    path: Path | None = None, overrides: Mapping[str, Any] | None = None
) -> TrainingConfig:
    """Build a configuration from a YAML file and values that override it.

    Parameters
    ----------
    path : path or None
        YAML file with fields of `TrainingConfig`, or PtychoPINN's own (see `ptychopinn_settings`);
        None starts from the defaults.
    overrides : mapping, optional
        Field names and values; a value of None leaves the file's value.

    Raises
    ------
    ValueError
        For a file that is no mapping, a field that does not exist, or a value out of range.

    Examples
    --------
    >>> load_config(overrides={"epochs": 3}).epochs
    3
    """
    return load(TrainingConfig, path, overrides, translate=_own_settings)


def _own_settings(values: dict[str, Any]) -> dict[str, Any]:
    return translate(values) if is_ptychopinn(values) else values


def _check_choices(config: TrainingConfig) -> None:
    choices: dict[str, tuple[str | None, ...]] = {
        "architecture": tuple(NETWORKS),
        "amplitude_activation": AMPLITUDE_ACTIVATIONS,
        "schedule": SCHEDULES,
        "optimizer": OPTIMIZERS,
        "precision": PRECISIONS,
        "quantity": (None, "counts", "amplitude"),
        "pattern_axis": (None, "first", "last"),
    }
    for name, allowed in choices.items():
        if getattr(config, name) not in allowed:
            named = ", ".join("none" if choice is None else f'"{choice}"' for choice in allowed)
            raise ValueError(f"`{name}` is {getattr(config, name)!r}, expected one of: {named}.")


def _check_loss(loss: str | Mapping[str, float]) -> None:
    weights = {loss: 1.0} if isinstance(loss, str) else loss
    named = ", ".join(f'"{name}"' for name in LOSSES)
    for name, weight in weights.items():
        if name not in LOSSES:
            raise ValueError(f"`loss` is {name!r}, expected one of: {named}.")
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not weight > 0:
            raise ValueError(f"The weight of loss {name!r} is {weight!r}, expected above 0.")
    if not set(weights) - {"total_variation"}:
        raise ValueError(
            f"`loss` is {loss!r}, which knows no data; name one of: {named} besides total_variation."
        )


def _check_together(config: TrainingConfig) -> None:
    if config.min_learning_rate > config.learning_rate:
        raise ValueError(
            f"`min_learning_rate` is {config.min_learning_rate}, expected at most "
            f"`learning_rate` ({config.learning_rate})."
        )
    if config.patch_px is not None:
        check_setting(config, "patch_px", config.patch_px >= 2 and config.patch_px % 2 == 0, "even")
    if config.num_merged is not None and config.num_channels > 1:
        check_setting(
            config, "num_merged", config.num_merged == config.num_channels, "`num_channels`"
        )
    if config.weight_decay and config.optimizer != "adamw":
        raise ValueError(
            f"`weight_decay` is {config.weight_decay}, but `optimizer` is {config.optimizer!r}, "
            'which has none; use "adamw".'
        )
    for name in PTYCHOPINN_ONLY:
        if getattr(config, name) is not None and config.architecture != "ptychopinn":
            raise ValueError(
                f"`{name}` is given, but `architecture` is {config.architecture!r}, which has no "
                'such part; leave it out, or use "ptychopinn".'
            )
