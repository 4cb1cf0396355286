"""Arguments and options that several commands share, and what is made of them."""

from __future__ import annotations

import inspect
import logging
import sys
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from . import words
from .reading import Reading

if TYPE_CHECKING:
    from ptychonyx.runtime.files import Output, OutputFolder
    from ptychonyx.runtime.scan import Scan

ScanPath = Annotated[
    Path,
    typer.Argument(
        exists=True, help="Scan: NPZ, HDF5, CXI, NeXus, MATLAB …, or a folder with product.h5."
    ),
]
ModelPath = Annotated[
    Path | None,
    typer.Option(
        "--model", "-m", exists=True, help="Model file; without one, scans are solved by passes."
    ),
]
Quantity = Annotated[words.Quantity | None, typer.Option(help="What the patterns are.")]
Origin = Annotated[words.Origin | None, typer.Option(help="What pixel positions point at.")]
Axis = Annotated[
    words.PatternAxis | None,
    typer.Option("--pattern-axis", help="Which axis of an NPZ counts the patterns."),
]
Patterns = Annotated[
    Path | None, typer.Option(exists=True, help="diffraction.h5, if it is not beside the product.")
]
Plot = Annotated[
    Path | None, typer.Option(help="Also draw a picture (.png, .pdf, .svg, .jpg, .tif).")
]
Said = tuple[str | None, str | None, Path | None, str | None, Reading]
"""What was said of how to read a scan, as `load_asked` takes it after the path."""
Provider = Annotated[words.Provider, typer.Option(help="Execution provider.")]


def reconstruction_options(
    provider: Annotated[
        words.Provider | None,
        typer.Option(
            help="Execution provider; passes need none, and take one that is named.",
            show_default="auto",
        ),
    ] = None,
    batch_size: Annotated[
        str | None,
        typer.Option(
            help="Patterns of one prediction; auto: what `benchmark` found best.", show_default="64"
        ),
    ] = None,
    scale: Annotated[
        str | None,
        typer.Option(help="Input scale: scan, trained, or a number.", show_default="scan"),
    ] = None,
    patch_weights: Annotated[
        words.PatchWeights | None,
        typer.Option(help="How much a pixel of a patch counts.", show_default="probe"),
    ] = None,
    subpixel: Annotated[
        words.Subpixel | None,
        typer.Option(help="How patches are brought to fractions of pixels.", show_default="sinc"),
    ] = None,
    align_phase: Annotated[
        bool | None,
        typer.Option(
            "--align-phase",
            help="Stitch twice; in the second pass each patch is multiplied by one phase factor "
            "that fits it to the first result.",
        ),
    ] = None,
    residual_patterns: Annotated[
        int | None,
        typer.Option(help="Patterns on which the object is tested; 0: none.", show_default="256"),
    ] = None,
) -> dict[str, Any]:
    """Return the fields of `ReconstructionOptions` that were given; the others keep their default."""
    from ptychonyx.runtime.reconstruction.options import ReconstructionOptions, option_from_text

    given: dict[str, Any] = {
        "provider": None if provider is None else provider.value,
        "batch_size": None if batch_size is None else option_from_text("batch_size", batch_size),
        "scale": None if scale is None else option_from_text("scale", scale),
        "patch_weights": patch_weights,
        "subpixel": subpixel,
        "align_phase": align_phase,
        "residual_patterns": residual_patterns,
    }
    given = {name: value for name, value in given.items() if value is not None}
    ReconstructionOptions(**given)  # says at once what is out of range
    return given


def verbosity(
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say also what is done and how.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
) -> None:
    """Set what the package's logger lets through; `terminal.say` asks it, too."""
    level = logging.ERROR if quiet else logging.INFO if verbose else logging.WARNING
    logging.getLogger("ptychonyx").setLevel(level)


def with_options(
    command: Callable[..., None], shared: Callable[..., Any], name: str | None = None
) -> Callable[..., None]:
    """Return a command that also takes the options of a shared function.

    When the command runs, the shared function gets its options first; what it returns is handed to
    the command under `name`, if there is one.
    """
    own, more = inspect.signature(command), inspect.signature(shared)
    parameters = [each for each in own.parameters.values() if each.name != name]

    @wraps(command)
    def extended(**values: Any) -> None:
        made = shared(**{key: values.pop(key) for key in more.parameters})
        command(**values, **({} if name is None else {name: made}))

    hints = get_type_hints(command, include_extras=True) | get_type_hints(
        shared, include_extras=True
    )
    extended.__annotations__ = {
        key: hints[key] for key in (*(each.name for each in parameters), *more.parameters)
    }
    extended.__signature__ = own.replace(  # type: ignore[attr-defined]
        parameters=[
            each.replace(annotation=hints[each.name], kind=inspect.Parameter.KEYWORD_ONLY)
            for each in (*parameters, *more.parameters.values())
        ]
    )
    del extended.__wrapped__  # typer would look through it
    return extended


def load_asked(
    path: Path,
    quantity: str | None,
    position_origin: str | None = None,
    patterns: Path | None = None,
    pattern_axis: str | None = None,
    reading: Reading | None = None,
) -> Scan:
    """Load a scan; where it must be said what the patterns are, show the two ways of this command."""
    from ptychonyx.runtime.errors import AxisError, QuantityError, ScanError
    from ptychonyx.runtime.formats import load_scan

    try:
        return load_scan(
            path,
            quantity=quantity,
            position_origin=position_origin,
            patterns_path=patterns,
            pattern_axis=pattern_axis,
            map_path=None if reading is None else reading.map_path,
            keys=None if reading is None else reading.keys,
            crop_px=None if reading is None else reading.crop_px,
            bin=None if reading is None else reading.bin,
        )
    except (QuantityError, AxisError) as error:
        command = sys.argv[1] if len(sys.argv) > 1 else "COMMAND"
        option = "--quantity" if isinstance(error, QuantityError) else "--pattern-axis"
        ways = (f"\n  ptychonyx {command} {path} {option} {word}" for word in error.CHOICES)
        raise ScanError(f"{error} Choose one of these:{''.join(ways)}") from error


def check_files(
    read: Iterable[Path | None],
    *written: Output | OutputFolder,
    plot: Path | None = None,
) -> None:
    """Refuse outputs of a command that cannot be, before it does anything; see `check_outputs`.

    Parameters
    ----------
    read : iterable of path or None
        Every file that the command was given or finds; None was not given.
    written : Output or OutputFolder
    plot : path or None
        Its picture.
    """
    from ptychonyx.runtime.files import check_outputs

    outputs = list(written)
    if plot is not None:
        from ptychonyx.runtime.plot import picture_output

        outputs.append(picture_output(plot))
    check_outputs([path for path in read if path is not None], outputs)


def scan_files(
    path: Path, patterns: Path | None = None, reading: Reading | None = None
) -> list[Path]:
    """Return every file that loading this scan may read."""
    from ptychonyx.runtime.formats import files_of, map_files

    named = [] if reading is None or reading.map_path is None else map_files(reading.map_path)
    return [*files_of(path), *named, *([patterns] if patterns is not None else [])]
