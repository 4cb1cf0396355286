"""What a training run is asked to do: one frozen dataclass, YAML in and out."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from .backends import check_backend_name

LOSSES = ("poisson", "amplitude")
ARCHITECTURES = ("cnn",)


@dataclass(frozen=True)
class TrainingConfig:
    """Everything that decides the outcome of a training run, besides the scans themselves.

    Attributes
    ----------
    backend : "tensorflow" or "pytorch"
        Framework that trains; fixed for a run.
    architecture : "cnn"
        Network; see `docs/arrays.md`.
    filters : float
        F, the factor on all channel counts; may be fractional.
    amplitude_max : float
        Upper bound of the object's amplitude (1 is vacuum).
    loss : "poisson" or "amplitude"
        Self-supervised loss against the measured counts.
    patch_px : int or None
        Side M of the central part of a patch that the exported model returns; None is N/2.
    epochs, batch_size : int
        Passes over the training patterns, and patterns in a step.
    learning_rate, min_learning_rate : float
        First and last learning rate of Adam.
    plateau_factor, plateau_patience : float, int
        The rate is multiplied by the factor after that many epochs without improvement.
    early_stopping_patience : int
        Training ends after that many epochs without improvement.
    validation_fraction : float
        Share of the patterns, at the end of the scan's longer side, that only validates.
    seed : int
        Seeds the first weights and the order of the batches, alike in both backends.
    quantity : "counts", "amplitude" or None
        What the patterns are, where the files do not say.
    position_origin : str or None
        Rule from file positions to corners; None takes the format's own.

    Examples
    --------
    >>> TrainingConfig(backend="pytorch", filters=0.5).epochs
    100
    >>> TrainingConfig(backend="jax")
    Traceback (most recent call last):
    ...
    ValueError: `backend` is 'jax', expected exactly "tensorflow" or "pytorch".
    """

    backend: str = "tensorflow"
    architecture: str = "cnn"
    filters: float = 1.0
    amplitude_max: float = 2.0
    loss: str = "poisson"
    patch_px: int | None = None
    epochs: int = 100
    batch_size: int = 16
    learning_rate: float = 1e-3
    min_learning_rate: float = 1e-5
    plateau_factor: float = 0.5
    plateau_patience: int = 8
    early_stopping_patience: int = 30
    validation_fraction: float = 0.1
    seed: int = 0
    quantity: str | None = None
    position_origin: str | None = None

    def __post_init__(self) -> None:
        check_backend_name(self.backend)
        _check_choice("architecture", self.architecture, ARCHITECTURES)
        _check_choice("loss", self.loss, LOSSES)
        _check_choice("quantity", self.quantity, (None, "counts", "amplitude"))
        for name in ("filters", "amplitude_max", "learning_rate", "min_learning_rate"):
            _check(self, name, getattr(self, name) > 0, "a positive number")
        for name in ("epochs", "batch_size", "plateau_patience", "early_stopping_patience"):
            _check(self, name, getattr(self, name) >= 1, "at least 1")
        _check(self, "plateau_factor", 0 < self.plateau_factor <= 1, "above 0 and at most 1")
        _check(self, "validation_fraction", 0 < self.validation_fraction < 1, "between 0 and 1")
        _check(self, "seed", self.seed >= 0, "0 or larger")
        if self.min_learning_rate > self.learning_rate:
            raise ValueError(
                f"`min_learning_rate` is {self.min_learning_rate}, expected at most "
                f"`learning_rate` ({self.learning_rate})."
            )
        if self.patch_px is not None:
            _check(self, "patch_px", self.patch_px >= 2 and self.patch_px % 2 == 0, "even")

    def digest(self) -> str:
        """Return the sha256 of the configuration; equal configurations have equal digests."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def save(self, path: Path) -> None:
        """Write the whole configuration as YAML."""
        path.write_text(yaml.safe_dump(dataclasses.asdict(self), sort_keys=False))


def load_config(
    path: Path | None = None, overrides: Mapping[str, Any] | None = None
) -> TrainingConfig:
    """Build a configuration from a YAML file and values that override it.

    Parameters
    ----------
    path : path or None
        YAML file with fields of `TrainingConfig`; None starts from the defaults.
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
    values = _read_yaml(path) if path is not None else {}
    values.update({name: value for name, value in (overrides or {}).items() if value is not None})
    hints = typing.get_type_hints(TrainingConfig)
    unknown = sorted(set(values) - set(hints))
    if unknown:
        raise ValueError(
            f"Unknown training setting `{unknown[0]}`; the settings are: {', '.join(hints)}."
        )
    return TrainingConfig(**{name: _typed(name, hints[name], values[name]) for name in values})


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(Path(path).read_text())
    except FileNotFoundError:
        raise ValueError(f"There is no configuration file {path}; give a YAML file.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid YAML: {error}") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ValueError(f"{path} holds a {type(values).__name__}, expected `name: value` lines.")
    return values


def _typed(name: str, hint: Any, value: Any) -> Any:
    kinds = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    if value is None and type(None) in kinds:
        return None
    if float in kinds and isinstance(value, str | int) and not isinstance(value, bool):
        try:
            return float(value)  # YAML reads 1e-3 as text
        except ValueError:
            pass
    elif not isinstance(value, bool) and isinstance(value, kinds):
        return value
    names = " or ".join("null" if kind is type(None) else kind.__name__ for kind in kinds)
    raise ValueError(f"`{name}` is {value!r}, expected {names}.")


def _check(config: TrainingConfig, name: str, is_valid: bool, needed: str) -> None:
    if not is_valid:
        raise ValueError(f"`{name}` is {getattr(config, name)!r}, expected {needed}.")


def _check_choice(name: str, value: object, choices: tuple[str | None, ...]) -> None:
    if value not in choices:
        named = ", ".join("none" if choice is None else f'"{choice}"' for choice in choices)
        raise ValueError(f"`{name}` is {value!r}, expected one of: {named}.")
