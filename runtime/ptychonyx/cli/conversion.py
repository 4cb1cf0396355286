"""The command that writes a scan or a product in another format: convert."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console.terminal import say
from .options import words
from .options.reading import Reading
from .options.shared import Axis, Origin, Patterns, Quantity, check_files, load_asked, scan_files

if TYPE_CHECKING:
    from ptychonyx.runtime.files import Output


def convert(
    source: Annotated[
        Path, typer.Argument(exists=True, help="A scan or a product in any format that is read.")
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="Scan: .npz, .h5, .cxi or a folder; product: .h5, .npz or .cxi; .tif: its object.",
        ),
    ],
    reading: Reading,
    quantity: Quantity = None,
    position_origin: Origin = None,
    patterns: Patterns = None,
    pattern_axis: Axis = None,
    format: Annotated[
        words.ScanFormat | None,
        typer.Option(help="Of a scan, where the ending does not tell.", show_default=False),
    ] = None,
    unwrap: Annotated[
        bool, typer.Option("--unwrap", help="Take jumps of 2π out of the phase in .tif.")
    ] = False,
) -> None:
    """Write a scan or a product in another format; a TIFF shows amplitude and phase.

    A file with patterns is a scan, one without is a product.

    **Example:** `ptychonyx convert product.h5 -o star.tif --unwrap`
    """
    from ptychonyx.runtime.formats import save_scan, scan_outputs
    from ptychonyx.runtime.formats.products import holds_product, product_outputs, write_product
    from ptychonyx.runtime.formats.tiff import ENDINGS, tiff_outputs

    read = scan_files(source, patterns, reading)
    if output.suffix.lower() in ENDINGS:
        check_files(read, *tiff_outputs(output))
        _write_pictures(source, output, unwrap=unwrap)
        _say_written(tiff_outputs(output))
    elif patterns is None and holds_product(source):
        from ptychonyx.runtime import load_product

        check_files(read, *product_outputs(output))
        write_product(load_product(source), output)
        _say_written(product_outputs(output))
    else:
        check_files(read, *scan_outputs(output, format))
        scan = load_asked(source, quantity, position_origin, patterns, pattern_axis, reading)
        save_scan(scan, output, format=format)
        _say_written(scan_outputs(output, format))


def _write_pictures(source: Path, output: Path, *, unwrap: bool) -> None:
    from ptychonyx.runtime import load_object
    from ptychonyx.runtime.formats.tiff import write_tiffs

    placed = load_object(source)
    write_tiffs(
        placed.object_,
        output,
        pixel_size_m=placed.pixel_size_m,
        coverage=placed.coverage,
        unwrap=unwrap,
    )


def _say_written(outputs: list[Output]) -> None:
    say(f"Wrote {' and '.join(str(each.path) for each in outputs)}.")
