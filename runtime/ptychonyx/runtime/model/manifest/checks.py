"""Rules for the fields of a record: what is true of a right value, and how to say what is needed."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LONGEST_SHOWN = 80
"""Longest value, in characters, that an error message repeats whole."""


@dataclass(frozen=True)
class Rule:
    """Tell right values of a field from wrong ones.

    Attributes
    ----------
    holds : callable
        Returns whether a value is right; takes values of any type and raises nothing.
    needed : str
        What a right value is, in words that complete "expected …".
    """

    holds: Callable[[Any], bool]
    needed: str


class FieldError(ValueError):
    """A field has a value that its rule refuses.

    Parameters
    ----------
    name : str
        The field.
    shown : str
        The value, as a message may show it.
    needed : str
        What a right value is.

    Examples
    --------
    >>> raise FieldError("epochs", "-1", "a whole number from 1")
    Traceback (most recent call last):
    ...
    ptychonyx.runtime.model.manifest.checks.FieldError: `epochs` is -1, expected a whole number from 1.
    """

    def __init__(self, name: str, shown: str, needed: str) -> None:
        self.name, self.shown, self.needed = name, shown, needed
        super().__init__(f"`{name}` is {shown}, expected {needed}.")


def check(name: str, value: object, rule: Rule) -> None:
    """Refuse a value that breaks a rule.

    Raises
    ------
    FieldError
        Names the field, its value and what is needed.
    """
    if not rule.holds(value):
        raise FieldError(name, shown(value), rule.needed)


def check_fields(record: object, rules: Mapping[str, Rule]) -> None:
    """Refuse a record with a field that breaks its rule.

    Parameters
    ----------
    record : object
        Has an attribute for each rule.
    rules : mapping of field name to Rule
        Checked in this order.

    Raises
    ------
    FieldError
        Names the first wrong field.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> rules = {"side": whole(1, 8), "unit": or_none(one_of("px", "m"))}
    >>> check_fields(SimpleNamespace(side=8, unit=None), rules)
    >>> check_fields(SimpleNamespace(side=8, unit="inch"), rules)
    Traceback (most recent call last):
    ...
    ptychonyx.runtime.model.manifest.checks.FieldError: `unit` is 'inch', expected one of px, m, or null.
    """
    for name, rule in rules.items():
        check(name, getattr(record, name), rule)


def check_array(name: str, array: NDArray[Any], shape: tuple[int, ...], dtype: type) -> None:
    """Refuse an array of another shape or dtype, or with a value that is not finite.

    Raises
    ------
    FieldError
        Names the field, its shape and dtype, and those that are needed.
    """
    if array.dtype != dtype or array.shape != shape:
        found, needed = (
            f"{array.dtype} of shape {array.shape}",
            f"{np.dtype(dtype)} of shape {shape}",
        )
        raise FieldError(name, found, needed)
    if not np.isfinite(array).all():
        raise FieldError(name, "an array with NaN or infinity", "finite numbers")


def values_of(kind: type, values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the values of a dataclass's fields, without any other keys.

    Raises
    ------
    FieldError
        Names a field that has no default and no value, with the prefix.
    """
    fields = dataclasses.fields(kind)
    for field in fields:
        if field.name not in values and field.default is dataclasses.MISSING:
            raise FieldError(prefix + field.name, "missing", "every field of the schema")
    return {field.name: values[field.name] for field in fields if field.name in values}


def shown(value: object) -> str:
    """Return a value as an error message shows it, cut after `LONGEST_SHOWN` characters.

    Examples
    --------
    >>> shown("inch"), len(shown("x" * 1000))
    ("'inch'", 80)
    """
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 3]}..."


def text(longest: int) -> Rule:
    """Return the rule of a text that is not empty and has at most `longest` characters."""
    return Rule(
        lambda value: isinstance(value, str) and 0 < len(value) <= longest,
        f"text of 1 to {longest} characters",
    )


def whole(lowest: int, highest: int | None = None) -> Rule:
    """Return the rule of an integer between two bounds, both allowed; booleans are none.

    Examples
    --------
    >>> rule = whole(1, 4)
    >>> rule.needed, [rule.holds(value) for value in (1, 4, 5, 2.0, True)]
    ('a whole number from 1 to 4', [True, True, False, False, False])
    """

    def holds(value: object) -> bool:
        if not isinstance(value, int) or isinstance(value, bool):
            return False
        return lowest <= value and (highest is None or value <= highest)

    end = "" if highest is None else f" to {highest}"
    return Rule(holds, f"a whole number from {lowest}{end}")


def one_of(*words: str) -> Rule:
    """Return the rule of a text that is one of some words."""
    return Rule(
        lambda value: isinstance(value, str) and value in words, f"one of {', '.join(words)}"
    )


def or_none(rule: Rule) -> Rule:
    """Return a rule that also allows None."""
    return Rule(lambda value: value is None or rule.holds(value), f"{rule.needed}, or null")


def _is_positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def _is_json_object(value: object) -> bool:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        return False
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


POSITIVE = Rule(_is_positive, "a positive finite number")
JSON_OBJECT = Rule(_is_json_object, "an object of JSON values, without NaN or infinity")
