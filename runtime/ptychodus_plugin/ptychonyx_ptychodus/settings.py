"""Our two sections of Ptychodus' settings, made from the runtime's own options."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from ptychodus.api.settings import SettingsRegistry

from ptychonyx.runtime import ReconstructionOptions, SolvingOptions
from ptychonyx.runtime.reconstruction.options import DEFAULT_OPTIONS, option_from_text
from ptychonyx.runtime.reconstruction.recipe import PROBE_SCALES, solving_option_from_text
from ptychonyx.runtime.reconstruction.settings import INI_KEYS, NO_FILE, SOLVER_KEY, SOLVING_KEYS
from ptychonyx.runtime.solving.options import DEFAULT_SOLVING

TRAINING_SECTION = "PtychonyxTraining"
MAY_BE_ZERO = ("ResidualPatterns",)


class InferenceSettings:
    """Settings of networks, with one for Ptychodus alone.

    Attributes
    ----------
    parameters : dict
        Field of `ReconstructionOptions` -> Ptychodus' parameter.
    separate_process
        Ptychodus' parameter: run in a process of its own on the CPU, too.
    """

    def __init__(self, group: Any) -> None:
        self.parameters: dict[str, Any] = {
            name: _add(group, key, getattr(DEFAULT_OPTIONS, name)) for name, key in INI_KEYS.items()
        }
        self.separate_process: Any = _add(group, "UseSeparateProcess", False)

    def options(self) -> ReconstructionOptions:
        """Return the present values.

        Raises
        ------
        ValueError
            If a value typed into a settings file does not exist.
        """
        values = {name: each.get_value() for name, each in self.parameters.items()}
        values["scale"] = option_from_text("scale", values["scale"])
        return ReconstructionOptions(**values)


class SolvingSettings:
    """Settings of passes, in the section of `InferenceSettings`, which has their residual patterns.

    What `SOLVING_KEYS` of the runtime lists is here, too: a new option of passes needs no line.

    Attributes
    ----------
    parameters : dict
        Field of `SolvingOptions` -> Ptychodus' parameter: a boolean, or a text that is empty for
        None.
    network
        Ptychodus' parameter: file of a network that corrects passes; without one, that which ships.
    """

    def __init__(self, group: Any) -> None:
        self.parameters: dict[str, Any] = {
            field.name: _add(group, SOLVING_KEYS[field.name], _default_of(field.name))
            for field in fields(SolvingOptions)
            if field.name in SOLVING_KEYS and field.name != "solver"
        }
        self.network: Any = group.create_path_parameter(SOLVER_KEY, Path())

    def options(self, residual_patterns: int) -> SolvingOptions:
        """Return the present values.

        Raises
        ------
        ValueError
            If a value that was typed in does not exist.
        """
        texts = {name: str(each.get_value()).strip() for name, each in self.parameters.items()}
        values = {
            name: solving_option_from_text(name, text) for name, text in texts.items() if text
        }
        network = str(self.network.get_value())
        if network != NO_FILE:
            values["solver"] = network
        return replace(DEFAULT_SOLVING, residual_patterns=residual_patterns, **values)


@dataclass(frozen=True)
class TrainingOptions:
    """What a training started from Ptychodus may be told; what else there is, a file says.

    The defaults are those that docs/guide/training.md advises. The names are those of `TrainingConfig`.
    """

    backend: str = "tensorflow"
    epochs: int = 90
    batch_size: int = 4
    filters: float = 0.5
    num_merged: int = 4
    loss: str = "amplitude"
    learning_rate: float = 1e-3

    def config(self) -> dict[str, Any]:
        """Return them with what goes with them, as `ptychonyx train --config` reads it."""
        return asdict(self) | {
            "schedule": "cosine",
            "warmup_epochs": min(2, self.epochs // 10),
            "early_stopping_patience": None,
        }


TRAINING_KEYS = {
    "backend": "Backend",
    "epochs": "TrainingEpochs",
    "batch_size": "BatchSize",
    "filters": "FilterFactor",
    "num_merged": "MergedPatterns",
    "loss": "Loss",
    "learning_rate": "LearningRate",
}


class TrainingSettings:
    """Like `InferenceSettings`, for `TrainingOptions`."""

    def __init__(self, registry: SettingsRegistry) -> None:
        group = registry.create_group(TRAINING_SECTION)
        self.parameters: dict[str, Any] = {
            field.name: _add(group, TRAINING_KEYS[field.name], field.default)
            for field in fields(TrainingOptions)
        }

    def options(self) -> TrainingOptions:
        """Return the present values."""
        return TrainingOptions(**{name: each.get_value() for name, each in self.parameters.items()})


def _default_of(name: str) -> Any:
    """Return the default of a field of `SolvingOptions`, as a setting has it."""
    value = getattr(DEFAULT_SOLVING, name)
    if name == "keep_probe_scale":
        return next(word for word, is_kept in PROBE_SCALES.items() if is_kept == value)
    return "" if value is None else value


def _add(group: Any, key: str, default: Any) -> Any:
    kinds = {
        bool: group.create_boolean_parameter,
        int: group.create_integer_parameter,
        float: group.create_real_parameter,
        str: group.create_string_parameter,
    }
    if type(default) is int:
        return group.create_integer_parameter(key, default, minimum=0 if key in MAY_BE_ZERO else 1)
    return kinds[type(default)](key, default)
