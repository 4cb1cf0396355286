"""Commands that make products: reconstruct, reconstruct-folder, reconstruct-many."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import ModelPath, Origin, Patterns, Plot, Quantity, ScanPath, load_asked, scan_files
from .terminal import INTERRUPTED, progress_bar, say, stop_on_signal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ptychonyx.runtime.product import Product


def reconstruct(
    scan: ScanPath,
    model: ModelPath,
    output: Annotated[Path, typer.Option("--output", "-o", help="Product: .h5 or .npz.")],
    options: dict[str, Any],
    quantity: Quantity = None,
    position_origin: Origin = None,
    patterns: Patterns = None,
    plot: Plot = None,
) -> None:
    """Reconstruct a scan into a product that Ptychodus opens.

    **Example:** `ptychonyx reconstruct scan.npz --model model.onnx -o product.h5 --plot out.png`
    """
    from concurrent.futures import ThreadPoolExecutor

    from ptychonyx.runtime import Model, ReconstructionOptions, save_product
    from ptychonyx.runtime import reconstruct as run
    from ptychonyx.runtime.files import refuse_destroying_inputs
    from ptychonyx.runtime.formats import check_product_path
    from ptychonyx.runtime.model.model_file import open_model_file

    written = [path for path in (output, plot) if path is not None]
    refuse_destroying_inputs([model, *scan_files(scan, patterns)], written=written)
    check_product_path(output)
    chosen = ReconstructionOptions(**options).tuned(open_model_file(model).digest)
    with ThreadPoolExecutor(1) as starter:
        starting = starter.submit(Model, model, provider=chosen.provider)
        loaded = load_asked(scan, quantity, position_origin, patterns)
        network = starting.result()
    with stop_on_signal() as stopped, progress_bar("Reconstructing", loaded.num_patterns) as show:
        product = run(
            loaded,
            network,
            chosen,
            progress=lambda done, _: show(done),
            should_stop=lambda: bool(stopped),
        )
        save_product(product, output)
    if plot is not None:
        _plot(product, plot)
    _say_what_came_out(product, output, loaded.num_patterns, network.provider)
    if not product.complete:
        raise typer.Exit(INTERRUPTED)


def reconstruct_folder(
    input_folder: Annotated[
        Path,
        typer.Option(
            "--input-directory",
            "-i",
            help="Folder with diffraction.h5, product.h5, model.onnx and, if wanted, settings.ini.",
        ),
    ],
    output_folder: Annotated[
        Path, typer.Option("--output-directory", "-o", help="Folder that gets product.h5.")
    ],
    options: dict[str, Any],
    event_file: Annotated[
        Path | None, typer.Option("--events", help="File for events: one JSON object a line.")
    ] = None,
) -> None:
    """Reconstruct one folder in Ptychodus' standard layout, without Ptychodus.

    Options win over those in settings.ini.

    **Example:** `ptychonyx reconstruct-folder -i input -o output --events events.ndjson`
    """
    from ptychonyx.runtime.files import refuse_destroying_inputs
    from ptychonyx.runtime.formats.ptychodus_scan import PRODUCT
    from ptychonyx.runtime.reconstruction.folder import open_events
    from ptychonyx.runtime.reconstruction.folder import reconstruct_folder as run

    if event_file is not None:
        refuse_destroying_inputs([input_folder], written=[event_file, output_folder / PRODUCT])
    with stop_on_signal() as stopped, open_events(event_file) as events:
        product = run(
            input_folder,
            output_folder,
            changes=options,
            events=events,
            should_stop=lambda: bool(stopped),
        )
    say(
        f"Wrote {output_folder / PRODUCT}: {product.num_patterns_used} of "
        f"{len(product.corners_px)} patterns, {product.metadata['total_s']:.2f} s."
    )
    if not product.complete:
        raise typer.Exit(INTERRUPTED)


def reconstruct_many(
    scans: Annotated[list[Path], typer.Argument(help="Scans, as for `reconstruct`.")],
    model: ModelPath,
    output_folder: Annotated[
        Path,
        typer.Option(
            "--output-directory", "-o", help="Gets a product for each scan, and a report."
        ),
    ],
    options: dict[str, Any],
    dask: Annotated[
        str, typer.Option(help="local, or the address of a Dask scheduler: tcp://host:8786.")
    ] = "local",
    workers: Annotated[
        int | None, typer.Option(help="Local workers; by default one for each core, on a GPU one.")
    ] = None,
    split_patterns: Annotated[
        int, typer.Option(help="Scans with more patterns are split among workers.")
    ] = 20_000,
    quantity: Quantity = None,
    position_origin: Origin = None,
) -> None:
    """Reconstruct many scans on many processes or machines; finished ones are skipped.

    **Example:** `ptychonyx reconstruct-many scans/*.npz --model model.onnx -o products --workers 4`
    """
    from ptychonyx.runtime import ReconstructionOptions
    from ptychonyx.runtime.fleet.fleet import reconstruct_many as run

    with stop_on_signal() as stopped, progress_bar("Reconstructing", len(scans)) as show:
        fleet = run(
            scans,
            model,
            output_folder,
            dask=dask,
            num_workers=workers,
            quantity=quantity,
            position_origin=position_origin,
            split_patterns=split_patterns,
            options=ReconstructionOptions(**options),
            progress=lambda done, _: show(done),
            should_stop=lambda: bool(stopped),
        )
    for record in fleet.failed:
        sys.stderr.write(f"{record.scan}: {record.reason}\n")
    say(
        f"{fleet.num_done} of {len(fleet.records)} scans have their product ({fleet.num_skipped} "
        f"had it before), {len(fleet.failed)} failed: {output_folder / 'report.html'}"
    )
    if fleet.is_stopped:
        raise typer.Exit(INTERRUPTED)
    if fleet.failed:
        raise typer.Exit(1)


def _plot(product: Product, path: Path) -> None:
    from ptychonyx.runtime.plot import plot_object

    plot_object(
        product.object_,
        path,
        coverage=product.coverage,
        disagreement=product.disagreement,
        residuals=_residual_points(product),
        pass_residuals=product.pass_residuals,
        ring_correlation=product.ring_correlation,
        pixel_size_m=product.pixel_size_m,
        title=product.name,
    )


def _residual_points(
    product: Product,
) -> tuple[NDArray[np.float64], NDArray[np.float32]] | None:
    if product.pattern_residuals is None:
        return None
    centers_px = product.corners_px + product.window_px / 2 - product.object_corner_px
    return centers_px, product.pattern_residuals


def _say_what_came_out(product: Product, output: Path, num_patterns: int, provider: str) -> None:
    assert product.coverage is not None
    share = 100 * float((product.coverage > 0).mean())
    say(
        f"Wrote {output}: {product.num_patterns_used} of {num_patterns} patterns, {share:.0f} % of "
        f"{product.object_.shape[0]}×{product.object_.shape[1]} covered, on {provider}, "
        f"{product.metadata['total_s']:.2f} s."
    )
    if "residual" in product.metadata:
        say(
            f"It leaves {100 * float(product.metadata['residual']):.2f} % of the measured amplitude "
            f"unexplained ({product.metadata['residual_patterns']} patterns looked at)."
        )
    if product.metadata["probe_source"] == "estimated":
        say("Note: neither scan nor model has a probe; the stored one is an estimate.")
