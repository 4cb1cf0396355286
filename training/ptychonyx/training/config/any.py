"""What every run's configuration has, whichever network it trains."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any, Protocol

import yaml

from ptychonyx.runtime.files import write_text


class RunConfig(Protocol):
    """Decide a run's steps, learning rate, best weights and end; see `policy`."""

    @property
    def backend(self) -> str:
        """Framework that trains."""

    @property
    def epochs(self) -> int:
        """Epochs in all."""

    @property
    def batch_size(self) -> int:
        """Samples in a step, over all devices."""

    @property
    def gradient_clip_norm(self) -> float | None:
        """Longest gradient over all parameters; None shortens none."""

    @property
    def schedule(self) -> str:
        """How the learning rate goes from the first to the last."""

    @property
    def learning_rate(self) -> float:
        """First learning rate."""

    @property
    def min_learning_rate(self) -> float:
        """Last learning rate."""

    @property
    def warmup_epochs(self) -> int:
        """Epochs over which the rate first rises."""

    @property
    def plateau_factor(self) -> float:
        """Factor on the rate where nothing improves."""

    @property
    def plateau_patience(self) -> int:
        """Epochs without improvement before that."""

    @property
    def early_stopping_patience(self) -> int | None:
        """Epochs without improvement that end the run."""

    @property
    def seed(self) -> int:
        """Seed of everything that is drawn."""

    @property
    def trains_probe(self) -> bool:
        """Whether the run also leaves a probe of its own."""

    def values(self) -> dict[str, Any]:
        """Return the settings by their names, as YAML and JSON have them."""

    def digest(self) -> str:
        """Return the sha256 of the configuration; equal configurations have equal digests."""

    def save(self, path: Path) -> None:
        """Write the whole configuration as YAML."""


def check_setting(config: RunConfig, name: str, is_valid: bool, needed: str) -> None:
    """Make sure that a setting is valid.

    Raises
    ------
    ValueError
        If not: naming it, its value and what is needed.
    """
    if not is_valid:
        raise ValueError(f"`{name}` is {getattr(config, name)!r}, expected {needed}.")


class SavedConfig:
    """Give a frozen dataclass of settings a file and a digest."""

    def values(self) -> dict[str, Any]:
        """Return the settings by their names, as YAML and JSON have them."""
        values = dataclasses.asdict(self)  # type: ignore[call-overload]
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
        }

    def digest(self) -> str:
        """Return the sha256 of the configuration; equal configurations have equal digests."""
        return hashlib.sha256(json.dumps(self.values(), sort_keys=True).encode()).hexdigest()

    def save(self, path: Path) -> None:
        """Write the whole configuration as YAML."""
        write_text(path, yaml.safe_dump(self.values(), sort_keys=False))
