"""Options of the commands that train, and the settings that are made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from . import words
from .shared import Axis, Origin, Quantity

RunFolder = Annotated[Path, typer.Option("--output", "-o", help="Run folder.")]
Backend = Annotated[words.Backend | None, typer.Option(help="Framework that trains.")]
LearningRate = Annotated[float | None, typer.Option(help="First rate of Adam.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Any other setting; may be repeated."),
]
ConfigFile = Annotated[Path | None, typer.Option(exists=True, help="YAML with training settings.")]
InitFrom = Annotated[
    Path | None, typer.Option(exists=True, help="Run or weights, of either backend, to start from.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Delete a run that is already there.")]


def training_settings(
    backend: Backend = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the patterns.")] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Samples in a step, over all devices.")
    ] = None,
    filters: Annotated[float | None, typer.Option(help="F, factor on the widths.")] = None,
    loss: Annotated[words.Loss | None, typer.Option(help="What is made small.")] = None,
    learning_rate: LearningRate = None,
    seed: Annotated[int | None, typer.Option(help="Weights and batch order.")] = None,
    quantity: Quantity = None,
    position_origin: Origin = None,
    pattern_axis: Axis = None,
    set_: Settings = None,
) -> dict[str, Any]:
    """Return the settings that were given, which win over those of a configuration file."""
    flags = {
        "backend": backend,
        "epochs": epochs,
        "batch_size": batch_size,
        "filters": filters,
        "loss": loss,
        "learning_rate": learning_rate,
        "seed": seed,
        "quantity": quantity,
        "position_origin": position_origin,
        "pattern_axis": pattern_axis,
    }
    return with_settings(flags, set_ or [])


def with_settings(flags: dict[str, Any], settings: list[str]) -> dict[str, Any]:
    """Return the values of options together with those of `--set name=value`."""
    import yaml

    values = dict(flags)
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise ValueError(f"`--set` is {setting!r}, expected NAME=VALUE, as in num_merged=4.")
        if values.get(name) is not None:
            raise ValueError(f"`{name}` is given twice; give it once.")
        try:
            values[name] = yaml.safe_load(text)
        except yaml.YAMLError:
            raise ValueError(f"`--set` is {setting!r}, whose value is no YAML.") from None
    return values
