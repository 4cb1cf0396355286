"""The way from a scan to its object: a network, passes, or passes after a network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from ..product import NETWORK, NETWORK_AND_PASSES, PASSES
from ..solving.options import AUTO, DEFAULT_SOLVING, SolvingOptions
from .options import DEFAULT_OPTIONS, ReconstructionOptions, boolean

PROBE_SCALES = {"keep": True, "fit": False}
"""Word of a flag or a settings file -> `SolvingOptions.keep_probe_scale`."""


@dataclass(frozen=True)
class Recipe:
    """The options of both ways, so that commands, settings files and fleets need not choose first.

    Attributes
    ----------
    network : ReconstructionOptions
        Used where there is a model.
    solving : SolvingOptions
        Used where there is none, and for passes after a network.
    refine_passes : int, "auto" or None
        Passes after a network, in place of `solving.passes`; None makes none.

    Raises
    ------
    ValueError
        If `refine_passes` is out of range.

    Examples
    --------
    >>> recipe = Recipe(refine_passes=3)
    >>> recipe.method(has_model=True), recipe.refining.passes
    ('network and passes', 3)
    >>> Recipe(refine_passes=0)
    Traceback (most recent call last):
    ...
    ValueError: `refine_passes` is 0; give 1 or more, "auto", or None for no passes.
    """

    network: ReconstructionOptions = DEFAULT_OPTIONS
    solving: SolvingOptions = DEFAULT_SOLVING
    refine_passes: int | str | None = None

    def __post_init__(self) -> None:
        number = self.refine_passes
        is_number = isinstance(number, int) and not isinstance(number, bool) and number >= 1
        if number is not None and number != AUTO and not is_number:
            raise ValueError(
                f'`refine_passes` is {number!r}; give 1 or more, "auto", or None for no passes.'
            )

    @property
    def refining(self) -> SolvingOptions:
        """The options of passes after a network."""
        return replace(self.solving, passes=self.refine_passes or AUTO)

    def method(self, *, has_model: bool) -> str:
        """Return what is done with a model, or without: the `method` in a product's metadata."""
        if not has_model:
            return PASSES
        return NETWORK if self.refine_passes is None else NETWORK_AND_PASSES

    def changed(self, changes: Mapping[str, Any]) -> Recipe:
        """Return a recipe with other values for some fields of itself and of its options.

        `residual_patterns` and `provider`, which both ways have, count for both.

        Raises
        ------
        ValueError
            If a value is out of range.

        Examples
        --------
        >>> recipe = Recipe().changed({"batch_size": 8, "passes": 5, "residual_patterns": 0})
        >>> recipe.network.batch_size, recipe.solving.passes, recipe.solving.residual_patterns
        (8, 5, 0)
        """

        def those_of(kind: type[ReconstructionOptions] | type[SolvingOptions]) -> dict[str, Any]:
            names = {field.name for field in fields(kind)}
            return {name: value for name, value in changes.items() if name in names}

        return Recipe(
            replace(self.network, **those_of(ReconstructionOptions)),
            replace(self.solving, **those_of(SolvingOptions)),
            changes.get("refine_passes", self.refine_passes),
        )


DEFAULT_RECIPE = Recipe()


def solving_option_from_text(name: str, text: str) -> Any:
    """Return the value of a field that concerns passes, as a settings file or a flag gives it.

    Parameters
    ----------
    name : str
        Field of `SolvingOptions`, or "refine_passes".
    text : str

    Raises
    ------
    ValueError
        If the text is no value of the field's kind; the classes themselves check its range.

    Examples
    --------
    >>> solving_option_from_text("passes", "20"), solving_option_from_text("passes", "auto")
    (20, 'auto')
    >>> solving_option_from_text("budget_s", "soon")
    Traceback (most recent call last):
    ...
    ValueError: `budget_s` is 'soon'; give a number of seconds.
    """
    parse, needed = _PARSERS[name]
    try:
        return parse(text)
    except (KeyError, ValueError):
        raise ValueError(f"`{name}` is {text!r}; give {needed}.") from None


def _number(text: str) -> int | str:
    return text if text == AUTO else int(text)


_PARSERS: dict[str, tuple[Callable[[str], Any], str]] = {
    "passes": (_number, 'a number of passes, or "auto"'),
    "budget_s": (float, "a number of seconds"),
    "noise": (str, "a word"),
    "refine_positions": (str, "a word"),
    "refine_probe": (boolean, "true or false"),
    "refine_intensity": (boolean, "true or false"),
    "refine_background": (boolean, "true or false"),
    "solver": (str, "a word or a path"),
    "num_modes": (_number, 'a number of modes, or "auto"'),
    "keep_probe_scale": (PROBE_SCALES.__getitem__, " or ".join(PROBE_SCALES)),
    "refine_passes": (_number, 'a number of passes, or "auto"'),
}
"""Field -> what makes its value of a text, and what it needs."""
