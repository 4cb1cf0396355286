"""Options that say how to read a file: a map, names of arrays, cropping and binning."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer


@dataclass(frozen=True)
class Reading:
    """What a user said about how to read a scan.

    Attributes
    ----------
    map_path : Path or None
    keys : dict of str to str
    crop_px, bin : int or None
    """

    map_path: Path | None
    keys: dict[str, str]
    crop_px: int | None
    bin: int | None


def reading_options(
    map_path: Annotated[
        Path | None,
        typer.Option("--map", exists=True, help="YAML file that says what lies where in the scan."),
    ] = None,
    key: Annotated[
        list[str] | None,
        typer.Option(
            help="Name of an array, as THING=NAME (patterns=dp, positions_y=ppY); alone: the patterns'."
        ),
    ] = None,
    crop: Annotated[
        int | None,
        typer.Option(help="Side of the windows to cut from the patterns, around the beam."),
    ] = None,
    bin: Annotated[
        int | None, typer.Option(help="Pixels to sum to one, in either direction; after --crop.")
    ] = None,
) -> Reading:
    """Return what was said."""
    pairs = [each.split("=", 1) if "=" in each else ["patterns", each] for each in key or []]
    return Reading(map_path, {each[0]: each[1] for each in pairs}, crop, bin)
