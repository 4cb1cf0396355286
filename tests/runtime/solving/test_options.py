"""Options that cannot be meant are refused when they are given."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ptychonyx.runtime.solving.options import AUTO, MAX_MODES, SolvingOptions

WRONG: dict[str, tuple[list[Any], str]] = {
    "passes": ([0, -1, 1.5, True, "many", None], '`passes` is .*; give 1 or more, or "auto"'),
    "budget_s": ([0, -3.0, float("nan"), float("inf")], "`budget_s` is .*; give a positive number"),
    "noise": (["gaussian", ""], "`noise` is .*, expected one of: amplitude, unbiased, poisson"),
    "refine_positions": (["all", "", True], "`refine_positions` is .*, expected None or one of"),
    "num_modes": ([0, MAX_MODES + 1, 1.0, True], f"`num_modes` is .*; give 1 to {MAX_MODES}"),
    "residual_patterns": ([-1, 2.5], "`residual_patterns` is .*; give 0 or more"),
    "provider": (["npu", None], "`provider` is .*; there is no such execution provider"),
    "seed": ([-1, 0.5], "`seed` is .*; give 0 or more"),
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, (values, _) in WRONG.items() for value in values]
)
def test_a_wrong_value_is_named(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=WRONG[name][1]) as error:
        SolvingOptions(**{name: value})
    assert repr(value) in str(error.value)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"passes": 1},
        {"passes": AUTO, "budget_s": 0.5},
        {"passes": 10**6, "noise": "poisson"},
        {"num_modes": 1},
        {"num_modes": AUTO, "passes": np.int64(3)},
        {"num_modes": MAX_MODES, "refine_probe": True},
        {"residual_patterns": 0, "seed": 7, "keep_probe_scale": False},
    ],
)
def test_the_ends_of_what_is_allowed_are_taken(changes: dict[str, Any]) -> None:
    options = SolvingOptions(**changes)
    assert all(getattr(options, name) == value for name, value in changes.items())
