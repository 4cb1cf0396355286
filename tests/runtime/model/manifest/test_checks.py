"""A field's rule tells right from wrong, whatever it is given, and says what is needed."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

from ptychonyx.runtime.model.manifest.checks import (
    JSON_OBJECT,
    POSITIVE,
    FieldError,
    Rule,
    check_array,
    check_fields,
    one_of,
    or_none,
    text,
    whole,
)

VALUES = [
    None,
    True,
    0,
    1,
    3,
    -1,
    2.5,
    math.nan,
    math.inf,
    "",
    "a",
    "abcd",
    [],
    ["a"],
    {},
    {"a": 1},
]


@pytest.mark.parametrize(
    ("rule", "right"),
    [
        (POSITIVE, [1, 3, 2.5]),
        (whole(1), [1, 3]),
        (whole(-1, 1), [0, 1, -1]),
        (text(3), ["a"]),
        (one_of("a", "b"), ["a"]),
        (or_none(one_of("a")), [None, "a"]),
        (JSON_OBJECT, [{}, {"a": 1}]),
    ],
)
def test_a_rule_holds_for_the_right_values_only(rule: Rule, right: list[object]) -> None:
    assert [value for value in VALUES if rule.holds(value)] == right


def test_json_objects_hold_json_values_only() -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    for wrong in ({1: 1}, {"a": math.nan}, {"a": {1, 2}}, {"a": deep}):
        assert not JSON_OBJECT.holds(wrong)


def test_the_first_wrong_field_is_named_with_what_is_needed() -> None:
    rules = {"side": whole(1, 8), "scale": POSITIVE}
    with pytest.raises(FieldError) as caught:
        check_fields(SimpleNamespace(scale=-1, side="x" * 1000), rules)
    error = caught.value
    assert (error.name, error.needed) == ("side", "a whole number from 1 to 8")
    assert error.shown.endswith("...")
    assert len(error.shown) == 80


def test_arrays_are_checked_for_shape_dtype_and_finite_numbers() -> None:
    ones = np.ones((2, 3), np.float32)
    check_array("a", ones, (2, 3), np.float32)
    for wrong, shape, match in (
        (ones, (3, 2), r"`a` is float32 of shape \(2, 3\), expected float32 of shape \(3, 2\)"),
        (ones.astype(np.float64), (2, 3), "is float64"),
        (ones * np.float32(np.inf), (2, 3), "NaN or infinity"),
    ):
        with pytest.raises(FieldError, match=match):
            check_array("a", wrong, shape, np.float32)
