"""The options of passes, and which options go together."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..console.terminal import Show
from . import words

if TYPE_CHECKING:
    pass

SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
"""Unit of a budget -> its seconds."""
FLAGS = {
    "budget_s": "--budget",
    "num_modes": "--modes",
    "keep_probe_scale": "--probe-scale",
    "refine_passes": "--refine",
}
"""Field of the library -> its option, where that has another name."""
OF_BOTH_WAYS = ("residual_patterns", "provider")
"""Options that networks and passes share."""


def solving_options(
    passes: Annotated[
        str | None,
        typer.Option(
            help="Passes over the scan; auto: as many as pixels that are held back bear.",
            show_default="auto",
        ),
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option(help="Begin no pass that would end after this time: 5s, 2m, 1.5."),
    ] = None,
    noise: Annotated[
        words.Noise | None,
        typer.Option(help="What weighs differences of patterns.", show_default="amplitude"),
    ] = None,
    refine_probe: Annotated[
        bool | None, typer.Option("--refine-probe", help="Correct the probe, too.")
    ] = None,
    refine_positions: Annotated[
        words.PositionFreedom | None,
        typer.Option(
            help="Correct the positions, too: one turn of all, turn and stretch, or each by itself."
        ),
    ] = None,
    refine_intensity: Annotated[
        bool | None,
        typer.Option("--refine-intensity", help="Fit how bright each pattern is, too."),
    ] = None,
    refine_background: Annotated[
        bool | None,
        typer.Option(
            "--refine-background", help="Fit light that is the same in all patterns, too."
        ),
    ] = None,
    modes: Annotated[
        str | None,
        typer.Option(
            help="Incoherent modes of the probe, 1 to 8; auto: as many as help; by default its own."
        ),
    ] = None,
    probe_scale: Annotated[
        words.ProbeScale | None,
        typer.Option(
            help="Keep a probe of more power than the counts, since the object absorbs, or fit it.",
            show_default="keep",
        ),
    ] = None,
    solver: Annotated[
        str | None,
        typer.Option(
            help="Network that corrects passes where photons or positions are few: shipped, none, "
            "or its model file; see train-solver.",
            show_default="shipped",
        ),
    ] = None,
    refine: Annotated[
        str | None,
        typer.Option(help="Passes after the network of a model: their number, or auto."),
    ] = None,
) -> dict[str, Any]:
    """Return the fields of `Recipe` that concern passes and were given."""
    from ptychonyx.runtime.reconstruction.recipe import DEFAULT_RECIPE, solving_option_from_text

    texts = {
        "passes": passes,
        "solver": None if solver is None else _solver(solver),
        "num_modes": modes,
        "keep_probe_scale": probe_scale,
        "refine_passes": refine,
    }
    given: dict[str, Any] = {
        name: solving_option_from_text(name, text)
        for name, text in texts.items()
        if text is not None
    }
    values = {
        "budget_s": None if budget is None else seconds_from_text(budget),
        "noise": noise,
        "refine_probe": refine_probe,
        "refine_positions": refine_positions,
        "refine_intensity": refine_intensity,
        "refine_background": refine_background,
    }
    given |= {name: value for name, value in values.items() if value is not None}
    DEFAULT_RECIPE.changed(given)  # says at once what is out of range
    return given


def _solver(text: str) -> str:
    """Return the word, or where the file lies wherever it is asked for.

    Raises
    ------
    ValueError
        If there is no such file.
    """
    from ptychonyx.runtime.solving.options import NO_SOLVER, SHIPPED_SOLVER

    if text in (SHIPPED_SOLVER, NO_SOLVER):
        return text
    if not Path(text).is_file():
        raise ValueError(
            f"`--solver` is {text}, and there is no such file; give one that `ptychonyx export` "
            "made of a run of train-solver, or one of: shipped, none."
        )
    return str(Path(text).resolve())


def seconds_from_text(text: str) -> float:
    """Return the seconds that a budget means.

    Raises
    ------
    ValueError
        If it is no positive number with a unit.

    Examples
    --------
    >>> seconds_from_text("5s"), seconds_from_text("2m"), seconds_from_text("1.5")
    (5.0, 120.0, 1.5)
    """
    found = re.fullmatch(r"(\d+\.?\d*|\.\d+)\s*([smh]?)", text.strip())
    seconds = 0.0 if found is None else float(found[1]) * SECONDS[found[2]]
    if seconds <= 0:
        raise ValueError(
            f"`--budget` is {text!r}; give a positive time in seconds, minutes or hours, like 5s, "
            "2m or 1.5."
        )
    return seconds


def refuse_unused(
    network: Mapping[str, Any],
    passes: Mapping[str, Any],
    *,
    has_model: bool,
    refines: int | str | None,
) -> None:
    """Refuse options that nothing would follow.

    Parameters
    ----------
    network, passes : mapping
        What was given of the options of networks, and of passes; only the names are looked at.
    has_model : bool
    refines : int, "auto" or None
        Passes after the network, whether a flag or a settings file asks for them.

    Raises
    ------
    ValueError
        Names the options and what to do.

    Examples
    --------
    >>> refuse_unused({}, {"passes": 5}, has_model=True, refines=None)
    Traceback (most recent call last):
    ...
    ValueError: `--passes` is for passes, but with a model none are made; add `--refine K` for \
passes after the network, or leave out the model.
    """
    if not has_model:
        if "refine_passes" in passes:
            raise ValueError(
                "`--refine` asks for passes after a network, but there is no model; ask for "
                "`--passes`, or give a model."
            )
        unused = _flags(name for name in network if name not in OF_BOTH_WAYS)
        if unused:
            raise ValueError(
                f"{unused} is for networks, but there is no model; give one, or leave it out."
            )
        return
    if refines is None and passes:
        raise ValueError(
            f"{_flags(passes)} is for passes, but with a model none are made; add `--refine K` for "
            "passes after the network, or leave out the model."
        )
    if "passes" in passes:
        raise ValueError(
            "`--passes` counts passes without a model; with one, give their number as `--refine`."
        )
    if "start" in passes:
        raise ValueError(
            "With a model the passes start from its result; leave out `--start`, or the model."
        )


def show_passes(show: Show) -> Callable[[int, int, float], None]:
    """Return a progress of passes that is drawn with the residual as it falls."""

    def report(done: int, num: int, residual: float) -> None:
        unexplained = f"{100 * residual:.2f} % unexplained"
        if done == 0:
            show(0, title=f"Looking how many passes it bears: {num}, {unexplained}")
        else:
            show(done, total=num, title=f"Pass {done}, {unexplained}")

    return report


def _flags(names: Iterable[str]) -> str:
    return ", ".join(f"`{FLAGS.get(name, '--' + name.replace('_', '-'))}`" for name in names)
