"""Arguments and options that several commands share, and what is made of them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ptychonyx.runtime.scan import Scan

ScanPath = Annotated[Path, typer.Argument(help="Scan: NPZ, product.h5, or their folder.")]
Quantity = Annotated[
    str | None, typer.Option(help="What the patterns are: counts or amplitude.", show_default=False)
]
Origin = Annotated[
    str | None,
    typer.Option(help="What pixel positions point at: corner, center or ptychodus."),
]
Patterns = Annotated[
    Path | None, typer.Option(help="diffraction.h5, if it is not beside the product.")
]
Plot = Annotated[Path | None, typer.Option(help="Also draw a picture (.png, .pdf, .svg).")]


def load_asked(
    path: Path, quantity: str | None, position_origin: str | None, patterns: Path | None
) -> Scan:
    """Load a scan; if it must be said what the patterns are, name this command."""
    from ptychonyx.runtime.errors import QuantityError
    from ptychonyx.runtime.formats import load_scan

    try:
        return load_scan(
            path, quantity=quantity, position_origin=position_origin, patterns_path=patterns
        )
    except QuantityError as error:
        command = sys.argv[1] if len(sys.argv) > 1 else "COMMAND"
        raise QuantityError(str(error).replace("COMMAND", command)) from None


def scan_files(path: Path, patterns: Path | None = None) -> list[Path]:
    """Return every file that loading this scan may read."""
    from ptychonyx.runtime.formats import files_of

    return [*files_of(path), *([patterns] if patterns is not None else [])]


def as_scale(text: str) -> float | str | None:
    """Return the input scale that `--scale` asks for; None is that of the scan."""
    if text in ("scan", "trained"):
        return None if text == "scan" else text
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"`--scale` is {text!r}, expected scan, trained or a number.") from None
