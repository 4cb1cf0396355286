"""What the training of a solver network is asked to do; its scans are simulated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptychonyx.runtime.solving.network.features import NUM_FEATURES

from ..backends import check_backend_name
from ..network.solver import SolverArchitecture
from .any import SavedConfig, check_setting
from .reading import load

ARCHITECTURE = "solver"
SMALLEST_EPOCH = 2


@dataclass(frozen=True)
class SolverConfig(SavedConfig):
    """Everything that decides the outcome of a solver's training.

    Attributes
    ----------
    backend : "tensorflow" or "pytorch"
        Framework that trains; fixed for a run.
    architecture : "solver"
    widths : tuple of int
        Channels of the network at full size, at half of it, and so on.
    epochs, steps_per_epoch : int
        The learning rate falls from epoch to epoch, and a run that was stopped goes on from the last
        whole one. Each epoch begins with new scans.
    batch_size : int
        Scans in a step, over all devices.
    num_groups : int
        Batches of scans that a process keeps, each at its own stage of being solved.
    num_processes : int
        Processes that simulate and solve, for each one that trains; the outcome depends on both numbers.
    learning_rate, min_learning_rate : float
        Rates of Adam in the first and in the last epoch.
    schedule : "cosine", "constant" or "exponential"
        How it goes from one to the other; see `policy`.
    warmup_epochs : int
        Epochs over which the rate first rises.
    gradient_clip_norm : float
        Longest gradient over all weights; a longer one is shortened to it.
    validation_scans, validation_passes : int
        Fixed scans that are solved after each epoch, and how far.
    seed : int
        Decides the first weights and every scan, alike in both backends.

    Examples
    --------
    >>> SolverConfig(backend="pytorch").num_steps
    20000
    >>> SolverConfig(batch_size=0)
    Traceback (most recent call last):
    ...
    ValueError: `batch_size` is 0, expected at least 1.
    """

    backend: str = "tensorflow"
    architecture: str = ARCHITECTURE
    widths: tuple[int, ...] = (16, 32, 40, 56, 56)
    epochs: int = 50
    steps_per_epoch: int = 400
    batch_size: int = 4
    num_groups: int = 4
    num_processes: int = 1
    learning_rate: float = 1e-3
    min_learning_rate: float = 1e-5
    schedule: str = "cosine"
    warmup_epochs: int = 0
    gradient_clip_norm: float = 1.0
    validation_scans: int = 12
    validation_passes: int = 10
    seed: int = 0

    early_stopping_patience = None
    """Of the policy: none, since the learning rate must fall to its end."""
    plateau_factor, plateau_patience = 1.0, 1
    trains_probe = False

    def __post_init__(self) -> None:
        check_backend_name(self.backend)
        for name in ("epochs", "batch_size", "num_processes", "validation_passes"):
            check_setting(self, name, getattr(self, name) >= 1, "at least 1")
        for name in ("num_groups", "steps_per_epoch"):
            check_setting(
                self, name, getattr(self, name) >= SMALLEST_EPOCH, f"at least {SMALLEST_EPOCH}"
            )
        for name in ("learning_rate", "min_learning_rate", "gradient_clip_norm"):
            check_setting(self, name, getattr(self, name) > 0, "a positive number")
        for name in ("seed", "validation_scans"):
            check_setting(self, name, getattr(self, name) >= 0, "0 or larger")
        schedules = ("cosine", "constant", "exponential")
        check_setting(
            self, "schedule", self.schedule in schedules, "one of: " + ", ".join(schedules)
        )
        check_setting(
            self, "warmup_epochs", 0 <= self.warmup_epochs < self.epochs, "below `epochs`"
        )

    @property
    def num_steps(self) -> int:
        """Steps in all."""
        return self.epochs * self.steps_per_epoch


def solver_architecture_of(config: SolverConfig) -> SolverArchitecture:
    """Return the network that a configuration describes."""
    return SolverArchitecture(config.widths, NUM_FEATURES)


def load_solver_config(
    path: Path | None = None, overrides: Mapping[str, Any] | None = None
) -> SolverConfig:
    """Build a configuration from a YAML file and values that override it.

    Parameters
    ----------
    path : path or None
        YAML file with fields of `SolverConfig`; None starts from the defaults.
    overrides : mapping, optional
        Field names and values; a value of None leaves the file's value.

    Raises
    ------
    ValueError
        For a file that is no mapping, a field that does not exist, or a value out of range.

    Examples
    --------
    >>> load_solver_config(overrides={"epochs": 3, "widths": [8, 16]}).widths
    (8, 16)
    """
    return load(SolverConfig, path, overrides)
