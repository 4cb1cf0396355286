"""Which kind of configuration a file holds."""

from __future__ import annotations

from pathlib import Path

from .config import TrainingConfig, load_config
from .reading import read_yaml
from .solver import ARCHITECTURE, SolverConfig, load_solver_config


def read_config(path: Path) -> TrainingConfig | SolverConfig:
    """Read the configuration of a run, of either kind.

    Raises
    ------
    ValueError
        As `load_config`.
    """
    if read_yaml(path).get("architecture") == ARCHITECTURE:
        return load_solver_config(path)
    return load_config(path)
