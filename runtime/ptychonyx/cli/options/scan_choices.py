"""How commands take a scan beyond its file: turned, with findings that are accepted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from . import words

if TYPE_CHECKING:
    from ptychonyx.runtime.plausibility import Checked, Finding
    from ptychonyx.runtime.scan import Scan
    from ptychonyx.runtime.turns import Turn

Accept = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME", help="Go on although this was found with the scan; may be repeated."
    ),
]


@dataclass(frozen=True)
class ScanChoices:
    """What a user says about a scan that its file does not.

    Attributes
    ----------
    turn : Turn
    accept : tuple of str
        Names of findings that are right all the same.
    """

    turn: Turn
    accept: tuple[str, ...] = ()


def scan_choices(
    flip: Annotated[
        words.Flip | None,
        typer.Option(help="Turn patterns: axes exchanged (t), then reversed along y, along x."),
    ] = None,
    dc: Annotated[
        str | None,
        typer.Option(metavar="Y,X", help="Pixel of the patterns that the direct beam hits."),
    ] = None,
    swap_positions: Annotated[
        bool, typer.Option("--swap-positions", help="Exchange y and x of the positions.")
    ] = False,
    negate_positions: Annotated[
        words.Negation | None, typer.Option(help="Mirror the positions along y, x or both.")
    ] = None,
    accept: Accept = None,
) -> ScanChoices:
    """Return how the scan is taken."""
    from ptychonyx.runtime.turns import Turn, pixel_from_text

    turn = Turn(
        dc_px=None if dc is None else pixel_from_text(dc),
        flip=flip or "",
        swap_positions=swap_positions,
        negate_positions=negate_positions or "",
    )
    return ScanChoices(turn, known_names(accept))


def known_names(accept: list[str] | None) -> tuple[str, ...]:
    """Return the findings to accept.

    Raises
    ------
    ValueError
        If there is none of that name.

    Examples
    --------
    >>> known_names(["saturation"])
    Traceback (most recent call last):
    ...
    ValueError: `--accept` is 'saturation', expected one of: canvas-mostly-empty, dc-off-center, \
dead-pixels, empty-patterns, equal-modes, gap-pixels, hot-pixels, impossible-counts, orientation, \
outlier-patterns, outside-canvas, photon-energy, pixel-size, position-outliers, positions-equal, \
probe-power, saturated-pixels, steps-too-large, steps-too-small.
    """
    from ptychonyx.runtime.plausibility import SCAN_FINDINGS

    for name in accept or ():
        if name not in SCAN_FINDINGS:
            raise ValueError(
                f"`--accept` is {name!r}, expected one of: {', '.join(sorted(SCAN_FINDINGS))}."
            )
    return tuple(accept or ())


def take_plausible(scan: Scan, choices: ScanChoices) -> Checked:
    """Turn a scan as asked for, refuse what must give a wrong result, repair and say the rest.

    Raises
    ------
    ImplausibleError
        Lists what is wrong, with evidence and cure.
    """
    from ptychonyx.runtime.errors import ImplausibleError
    from ptychonyx.runtime.plausibility import log_findings, make_plausible

    try:
        checked = make_plausible(choices.turn.apply(scan), choices.accept)
    except ImplausibleError as error:
        raise ImplausibleError(f"{error}{as_options(error.names)}", error.names) from None
    found = [*checked.findings, *orientation_findings(checked.scan)]
    log_findings(found, scan.name, choices.accept)
    return checked


def as_options(names: tuple[str, ...]) -> str:
    """Return the options that accept findings."""
    return "".join(f"\n  --accept {name}" for name in dict.fromkeys(names))


def orientation_findings(scan: Scan) -> list[Finding]:
    """Return whether the scan's own probe and object explain its patterns clearly better when turned.

    Nothing is found, at no cost, if it has none.
    """
    from ptychonyx.runtime.orientation import check_orientation, orientation_finding

    if scan.probe is None or scan.object_ is None:
        return []
    finding = orientation_finding(check_orientation(scan, with_passes=False))
    return [] if finding is None else [finding]
