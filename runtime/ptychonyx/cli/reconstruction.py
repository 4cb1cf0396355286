"""Commands that make products: reconstruct, reconstruct-folder, reconstruct-many."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .console.terminal import INTERRUPTED, complain, progress_bar, say, stop_on_signal
from .options.reading import Reading
from .options.scan_choices import ScanChoices, take_plausible
from .options.shared import (
    Axis,
    ModelPath,
    Origin,
    Patterns,
    Plot,
    Quantity,
    Said,
    ScanPath,
    check_files,
    load_asked,
    scan_files,
)
from .options.solving import refuse_unused, show_passes
from .outcome import count_passes, doubts, needed, say_what_came_out

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ptychonyx.runtime.model.session import Model
    from ptychonyx.runtime.product import Product
    from ptychonyx.runtime.reconstruction.recipe import Recipe
    from ptychonyx.runtime.scan import Scan
    from ptychonyx.runtime.solving.refine import Solver


Strict = Annotated[
    bool, typer.Option("--strict", help="End with exit code 1 if the result is not believable.")
]


def reconstruct(
    scan: ScanPath,
    output: Annotated[Path, typer.Option("--output", "-o", help="Product: .h5 or .npz.")],
    options: dict[str, Any],
    solving: dict[str, Any],
    choices: ScanChoices,
    reading: Reading,
    model: ModelPath = None,
    start: Annotated[
        Path | None,
        typer.Option(exists=True, help="Product from which passes without a model start."),
    ] = None,
    probe: Annotated[
        Path | None,
        typer.Option(exists=True, help="File whose probe the passes take instead of the scan's."),
    ] = None,
    halves: Annotated[
        bool,
        typer.Option(
            "--halves", help="Also solve two halves of the scan apart, and compare their objects."
        ),
    ] = False,
    quantity: Quantity = None,
    position_origin: Origin = None,
    patterns: Patterns = None,
    pattern_axis: Axis = None,
    plot: Plot = None,
    skip_proof: Annotated[
        bool,
        typer.Option("--skip-proof", help="Do not compute the test in the model file first."),
    ] = False,
    strict: Strict = False,
) -> None:
    """Reconstruct a scan into a product that Ptychodus opens: by passes, or with a model.

    **Example:** `ptychonyx reconstruct scan.npz -o product.h5 --plot out.png`

    **With a model:** `ptychonyx reconstruct scan.npz --model model.onnx --refine 5 -o product.h5`
    """
    from ptychonyx.runtime import load_probe, load_product, save_product
    from ptychonyx.runtime.formats import product_output
    from ptychonyx.runtime.reconstruction.recipe import Recipe
    from ptychonyx.runtime.reconstruction.run import follow

    recipe = Recipe().changed(options | solving)
    more = {"start": start, "probe": probe, "halves": halves or None}
    asked = {**solving, **{name: value for name, value in more.items() if value is not None}}
    used = options | ({"skip_proof": True} if skip_proof else {})
    refuse_unused(used, asked, has_model=model is not None, refines=recipe.refine_passes)
    own_files = scan_files(scan, patterns, reading)
    read = [model, start, probe, recipe.solving.solver_file, *own_files]
    check_files(read, product_output(output), plot=plot)
    given_start = None if start is None else load_product(start)
    given_probe = None if probe is None else load_probe(probe)
    said = (quantity, position_origin, patterns, pattern_axis, reading)
    loaded, network, recipe = _open(scan, model, recipe, said, check_proof=not skip_proof)
    loaded = take_plausible(loaded, choices).scan
    with stop_on_signal() as stopped, progress_bar("Reconstructing", loaded.num_patterns) as show:
        product = follow(
            loaded,
            network,
            recipe,
            start=given_start,
            probe=given_probe,
            solver=_solver(halves),
            progress=lambda done, _: show(done),
            pass_progress=show_passes(show),
            should_stop=lambda: bool(stopped),
        )
        save_product(product, output)
    say_what_came_out(
        product,
        output,
        provider=None if network is None else network.provider,
        is_probe_kept=recipe.solving.keep_probe_scale,
    )
    if plot is not None:
        _plot(product, plot)
    if not product.complete:
        raise typer.Exit(INTERRUPTED)
    if strict and product.metadata.get("believable") is False:
        raise typer.Exit(1)


def _open(
    scan: Path,
    model: Path | None,
    recipe: Recipe,
    choices: Said,
    *,
    check_proof: bool,
) -> tuple[Scan, Model | None, Recipe]:
    """Load scan and model at the same time; also return the recipe as it was tuned for the model."""
    if model is None:
        return load_asked(scan, *choices), None, recipe
    from concurrent.futures import ThreadPoolExecutor

    from ptychonyx.runtime.model.model_file import open_model_file
    from ptychonyx.runtime.model.session import Model

    tuned = recipe.network.tuned(open_model_file(model).digest)
    with ThreadPoolExecutor(1) as starter:
        starting = starter.submit(Model, model, provider=tuned.provider, check_proof=check_proof)
        loaded = load_asked(scan, *choices)
        return loaded, starting.result(), replace(recipe, network=tuned)


def _solver(halves: bool) -> Solver:
    """Return what makes the passes; what is not needed is not imported."""
    from ptychonyx import runtime

    return runtime.solve_halves if halves else runtime.solve


def reconstruct_folder(
    input_folder: Annotated[
        Path,
        typer.Option(
            "--input-directory",
            "-i",
            help="Folder with diffraction.h5, product.h5 and, if wanted, model.onnx and settings.ini.",
        ),
    ],
    output_folder: Annotated[
        Path, typer.Option("--output-directory", "-o", help="Folder that gets product.h5.")
    ],
    options: dict[str, Any],
    solving: dict[str, Any],
    choices: ScanChoices,
    event_file: Annotated[
        Path | None, typer.Option("--events", help="File for events: one JSON object a line.")
    ] = None,
    strict: Strict = False,
) -> None:
    """Reconstruct one folder in Ptychodus' standard layout, without Ptychodus.

    Without model.onnx the scan is solved by passes. Options win over those in settings.ini.

    **Example:** `ptychonyx reconstruct-folder -i input -o output --events events.ndjson`
    """
    from ptychonyx.runtime.formats.ptychodus_scan import PRODUCT
    from ptychonyx.runtime.reconstruction.folder import (
        check_event_file,
        has_model,
        open_events,
        recipe_of,
        turn_of,
    )
    from ptychonyx.runtime.reconstruction.folder import reconstruct_folder as run

    if event_file is not None:
        check_event_file(event_file, input_folder, output_folder)
    with stop_on_signal() as stopped, open_events(event_file) as events:
        recipe = recipe_of(input_folder).changed(options | solving)
        refuse_unused(
            options, solving, has_model=has_model(input_folder), refines=recipe.refine_passes
        )
        product = run(
            input_folder,
            output_folder,
            recipe=recipe,
            turn=turn_of(input_folder).changed(choices.turn),
            accept=choices.accept,
            events=events,
            should_stop=lambda: bool(stopped),
        )
    passes = int(product.metadata.get("passes", 0))
    say(
        f"Wrote {output_folder / PRODUCT}: {product.num_patterns_used} of "
        f"{len(product.corners_px)} patterns, {product.metadata['total_s']:.2f} s"
        f"{f', {count_passes(passes)}' if passes else ''}."
    )
    for line in (*needed(product), *doubts(product)):
        say(line)
    if not product.complete:
        raise typer.Exit(INTERRUPTED)
    if strict and product.metadata.get("believable") is False:
        raise typer.Exit(1)


def reconstruct_many(
    scans: Annotated[list[Path], typer.Argument(help="Scans, as for `reconstruct`.")],
    output_folder: Annotated[
        Path,
        typer.Option(
            "--output-directory", "-o", help="Gets a product for each scan, and a report."
        ),
    ],
    options: dict[str, Any],
    solving: dict[str, Any],
    choices: ScanChoices,
    reading: Reading,
    model: ModelPath = None,
    dask: Annotated[
        str, typer.Option(help="local, or the address of a Dask scheduler: tcp://host:8786.")
    ] = "local",
    workers: Annotated[
        int | None, typer.Option(help="Local workers; by default one for each core, on a GPU one.")
    ] = None,
    split_patterns: Annotated[
        int,
        typer.Option(
            help="Scans with more patterns are shared among workers, in parts of at most so many; "
            "passes over them are then parallel ones, which takes more of them. Not with "
            "`--refine`, `--budget` or the file of a `--solver`."
        ),
    ] = 20_000,
    quantity: Quantity = None,
    position_origin: Origin = None,
    pattern_axis: Axis = None,
    strict: Strict = False,
) -> None:
    """Reconstruct many scans on many processes or machines; finished ones are skipped.

    **Example:** `ptychonyx reconstruct-many scans/*.npz -o products --workers 4`

    **A scan for all workers:** `ptychonyx reconstruct-many large.h5 -o products --split-patterns 10000`
    """
    from ptychonyx.runtime.fleet.fleet import reconstruct_many as run
    from ptychonyx.runtime.reconstruction.recipe import Recipe

    recipe = Recipe().changed(options | solving)
    refuse_unused(options, solving, has_model=model is not None, refines=recipe.refine_passes)
    with stop_on_signal() as stopped, progress_bar("Reconstructing", len(scans)) as show:
        fleet = run(
            scans,
            model,
            output_folder,
            dask=dask,
            num_workers=workers,
            quantity=quantity,
            position_origin=position_origin,
            pattern_axis=pattern_axis,
            map_path=reading.map_path,
            keys=reading.keys,
            crop_px=reading.crop_px,
            bin=reading.bin,
            turn=choices.turn,
            accept=choices.accept,
            split_patterns=split_patterns,
            options=recipe.network,
            solving=recipe.solving,
            refine_passes=recipe.refine_passes,
            progress=lambda done, _: show(done),
            should_stop=lambda: bool(stopped),
        )
    for record in fleet.failed:
        complain(f"{record.scan}: {record.reason}")
    say(
        f"{fleet.num_done} of {len(fleet.records)} scans have their product ({fleet.num_skipped} "
        f"had it before), {len(fleet.failed)} failed: {output_folder / 'report.html'}"
    )
    doubted = [record for record in fleet.records if record.doubt]
    for record in doubted:
        say(f"{record.scan}: NOT BELIEVABLE: {record.doubt}")
    for record in fleet.records:
        if record.needed:
            say(f"{record.scan}: NEEDED: {record.needed}")
    if fleet.is_stopped:
        raise typer.Exit(INTERRUPTED)
    if fleet.failed or (strict and doubted):
        raise typer.Exit(1)


def _plot(product: Product, path: Path) -> None:
    from ptychonyx.runtime.plot import plot_object

    plot_object(
        product.object_,
        path,
        coverage=product.coverage,
        disagreement=product.disagreement,
        residuals=_residual_points(product),
        moves=_moves(product),
        brightness=_brightness(product),
        background=product.background,
        pass_residuals=product.pass_residuals,
        ring_correlation=product.ring_correlation,
        pixel_size_m=product.pixel_size_m,
        title=_title(product),
    )


def _title(product: Product) -> str:
    doubted = product.metadata.get("believable") is False
    return f"{product.name} — NOT BELIEVABLE" if doubted else product.name


def _moves(product: Product) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    given_px = product.given_corners_px
    if given_px is None:
        return None
    centers_px = given_px + product.window_px / 2 - product.object_corner_px
    return centers_px, product.corners_px - given_px


def _brightness(product: Product) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    if product.pattern_factors is None:
        return None
    centers_px = product.corners_px + product.window_px / 2 - product.object_corner_px
    return centers_px, product.pattern_factors


def _residual_points(
    product: Product,
) -> tuple[NDArray[np.float64], NDArray[np.float32]] | None:
    if product.pattern_residuals is None:
        return None
    centers_px = product.corners_px + product.window_px / 2 - product.object_corner_px
    return centers_px, product.pattern_residuals
