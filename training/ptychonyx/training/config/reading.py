"""Settings of any kind from a YAML file, each checked for its type."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

Config = TypeVar("Config")


def load(
    kind: type[Config],
    path: Path | None,
    overrides: Mapping[str, Any] | None,
    *,
    translate: Callable[[dict[str, Any]], dict[str, Any]] = dict,
) -> Config:
    """Build a configuration of a kind from a YAML file and values that override it.

    Parameters
    ----------
    kind : type
    path : path or None
        None starts from the defaults.
    overrides : mapping or None
        Field names and values; a value of None leaves the file's value.
    translate : callable
        Turns the file's settings into fields of `kind`.

    Raises
    ------
    ValueError
        For a file that is no mapping, a field that does not exist, or a value out of range.
    """
    values = translate(read_yaml(path) if path is not None else {})
    values.update({name: value for name, value in (overrides or {}).items() if value is not None})
    return _build(kind, values)


def _build(kind: type[Config], values: Mapping[str, Any]) -> Config:
    """Build a configuration of a kind from its settings.

    Raises
    ------
    ValueError
        For a setting that does not exist, of another type, or out of range.
    """
    hints = typing.get_type_hints(kind)
    names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    unknown = sorted(set(values) - set(names))
    if unknown:
        raise ValueError(
            f"Unknown training setting `{unknown[0]}`; the settings are: {', '.join(names)}."
        )
    return kind(**{name: _typed(name, hints[name], values[name]) for name in values})


def read_yaml(path: Path) -> dict[str, Any]:
    """Return the settings of a YAML file by their names.

    Raises
    ------
    ValueError
        If there is no such file, or it holds something else.
    """
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
    kinds = tuple(typing.get_origin(kind) or kind for kind in kinds)
    if value is None and type(None) in kinds:
        return None
    if kinds == (tuple,) and isinstance(value, list | tuple):
        (item, *_) = typing.get_args(hint)
        return tuple(_typed(name, item, each) for each in value)
    if float in kinds and isinstance(value, str | int) and not isinstance(value, bool):
        try:
            return float(value)  # YAML reads 1e-3 as text
        except ValueError:
            pass
    elif isinstance(value, kinds) and isinstance(value, bool) == (bool in kinds):
        return value
    names = " or ".join("null" if kind is type(None) else kind.__name__ for kind in kinds)
    raise ValueError(f"`{name}` is {value!r}, expected {names}.")
