"""Write tables of settings: every field of a dataclass, with what its docstring says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, fields
from typing import Any

from griffe import Docstring, DocstringAttribute, DocstringSectionAttributes

from ptychonyx.runtime import ReconstructionOptions, SimulationOptions, SolvingOptions
from ptychonyx.training import TrainingConfig
from ptychonyx.training.config.solver import SolverConfig

KINDS: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (
        TrainingConfig,
        SolverConfig,
        ReconstructionOptions,
        SolvingOptions,
        SimulationOptions,
    )
}


def settings(name: str) -> str:
    """Return the table of a dataclass; each field can be linked to as `settings.md#CLASS.FIELD`."""
    kind = KINDS[name]
    described = _described(kind)
    rows = [
        _row(f"{name}.{field.name}", field.default, described[field.name]) for field in fields(kind)
    ]
    return "\n".join(["| name | default | values | meaning |", "|---|---|---|---|", *rows])


def _row(place: str, default: object, described: DocstringAttribute) -> str:
    shown = "required" if default is MISSING else f"`{default!r}`"
    name = f'<span id="{place}">`{place.split(".")[1]}`</span>'
    cells = (name, shown, str(described.annotation), described.description)
    return f"| {' | '.join(_cell(text) for text in cells)} |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _described(kind: type[Any]) -> dict[str, DocstringAttribute]:
    """Return what the docstring of a dataclass says of each field."""
    sections = Docstring(kind.__doc__ or "").parse("numpy")
    return {
        one.name: one
        for section in sections
        if isinstance(section, DocstringSectionAttributes)
        for entry in section.value
        for one in _apart(entry)
    }


def _apart(entry: DocstringAttribute) -> Iterator[DocstringAttribute]:
    """Split an entry of several fields ("epochs, batch_size : int") into one for each."""
    for name in entry.name.split(", "):
        yield DocstringAttribute(
            name, annotation=entry.annotation, description=entry.description, value=entry.value
        )
