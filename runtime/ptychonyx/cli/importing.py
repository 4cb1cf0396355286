"""The command on networks that other projects trained: import."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .console.terminal import say
from .models import Name, export_needed
from .options import words
from .options.shared import check_files


def import_network(
    source: Annotated[Path, typer.Argument(exists=True, help="ONNX file of another project.")],
    output: Annotated[Path, typer.Option("--output-file", "-o", help="The .onnx file.")],
    input_quantity: Annotated[
        words.ForeignInput | None,
        typer.Option("--input", help="What it was trained on; log is ln(1 + counts)."),
    ] = None,
    scaling: Annotated[
        str | None,
        typer.Option(
            help="none, scan (the scan's input scale), maximum (of each pattern), divide:D or "
            "standardise:MEAN,STD."
        ),
    ] = None,
    meaning: Annotated[
        words.ForeignOutput | None, typer.Option("--output", help="What its outputs are.")
    ] = None,
    crop: Annotated[
        int | None, typer.Option(help="Side of the central part of each patch that is used.")
    ] = None,
    license: Annotated[str | None, typer.Option(help="License of the network.")] = None,
    block: Annotated[int, typer.Option(help="Average blocks of so many pixels a side.")] = 1,
    threshold: Annotated[float, typer.Option(help="Counts below it become 0.")] = 0.0,
    backend: Annotated[
        words.Backend | None, typer.Option(help="What trained it, if the file does not say.")
    ] = None,
    name: Name = None,
) -> None:
    """Import a network of another project as a model file, and prove that it computes the same.

    Files do not say how the input was scaled, so nothing is guessed.

    **Example:** `ptychonyx import net.onnx -o model.onnx --input intensity --scaling none --output
    phase --crop 64 --license BSD-3-Clause`
    """
    with export_needed():
        from ptychonyx.export.importers import InputRule, import_onnx
        from ptychonyx.export.model_file import model_output
    given = {
        "--input": input_quantity,
        "--scaling": scaling,
        "--output": meaning,
        "--crop": crop,
        "--license": license,
    }
    missing = [option for option, value in given.items() if value is None]
    if missing:
        raise ValueError(
            f"{source} does not say how its network is used, and nothing is guessed; needed too: "
            f"{', '.join(missing)}. Its authors know; see `ptychonyx import --help`."
        )
    assert input_quantity is not None
    assert scaling is not None
    assert meaning is not None
    assert crop is not None
    assert license is not None
    check_files([source], model_output(output))
    report = import_onnx(
        source,
        output,
        rule=InputRule(input_quantity, scaling, block, threshold),
        meaning=meaning,
        crop=crop,
        license=license,
        backend=backend,
        name=name,
    )
    say(
        f"Wrote {report.path} ({report.num_bytes / 1e6:.1f} MB); differs from {source.name} by "
        f"{report.largest_difference:.1e} (allowed {report.tolerance:.0e})."
    )
