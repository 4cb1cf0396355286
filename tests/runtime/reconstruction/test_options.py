"""A value that is out of range is refused where it is given, and words of a file become values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ptychonyx.runtime.reconstruction.options import ReconstructionOptions, option_from_text

WRONG: dict[str, tuple[Any, ...]] = {
    "provider": ("npu",),
    "batch_size": (0, -1, 2.5, True, "many", None),
    "scale": ("file", None, 0.0, -1.0, np.nan, np.inf, True),
    "patch_weights": ("gauss", None),
    "subpixel": ("linear", None),
    "residual_patterns": (-1, 1.5, None),
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG.items() for value in values]
)
def test_a_wrong_value_is_named(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"(?i){name}.*{value}"):
        ReconstructionOptions(**{name: value})


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("provider", "cpu", "cpu"),
        ("batch_size", "16", 16),
        ("batch_size", "auto", "auto"),
        ("scale", "0.25", 0.25),
        ("scale", "trained", "trained"),
        ("align_phase", "Yes", True),
        ("align_phase", "0", False),
        ("residual_patterns", "3", 3),
    ],
)
def test_words_become_values(name: str, text: str, value: Any) -> None:
    found = option_from_text(name, text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("batch_size", "many"),
        ("scale", "file"),
        ("align_phase", "maybe"),
        ("residual_patterns", ""),
    ],
)
def test_a_word_that_is_no_value_is_named(name: str, text: str) -> None:
    with pytest.raises(ValueError, match=f"`{name}` is '{text}', expected"):
        option_from_text(name, text)


def test_a_word_that_is_no_choice_lists_the_choices() -> None:
    with pytest.raises(ValueError, match="`subpixel` is 'cubic', expected one of: \"sinc\""):
        ReconstructionOptions(subpixel="cubic")
