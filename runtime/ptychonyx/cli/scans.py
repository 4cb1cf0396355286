"""Commands on scans and objects: simulate, compare."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .console.terminal import as_text, print_table, say
from .options import words
from .options.reading import Reading
from .options.shared import Axis, Plot, Quantity, check_files, load_asked, scan_files

if TYPE_CHECKING:
    from ptychonyx.runtime.formats.placed_object import PlacedObject
    from ptychonyx.runtime.scan import Scan


def simulate(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="An .npz file, or a folder for Ptychodus files.")
    ],
    object_name: Annotated[words.Object, typer.Option("--object", help="Kind of specimen.")] = (
        "lines"
    ),
    probe: Annotated[words.SimulatedProbe, typer.Option(help="Kind of beam.")] = "focused",
    positions: Annotated[words.Positions, typer.Option(help="Kind of scan.")] = "raster",
    num_patterns: Annotated[int, typer.Option(help="Number of patterns.")] = 500,
    window_px: Annotated[int, typer.Option(help="Side N of the patterns.")] = 64,
    step_px: Annotated[float, typer.Option(help="Mean step of the scan.")] = 6.0,
    counts_per_pattern: Annotated[float, typer.Option(help="Mean counts of a pattern.")] = 4.4e5,
    num_modes: Annotated[int, typer.Option(help="Incoherent probe modes.")] = 3,
    one_material: Annotated[
        bool, typer.Option("--one-material", help="One thickness gives amplitude and phase.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    format: Annotated[
        words.ScanFormat | None,
        typer.Option(help="By default .npz is ptychopinn, a folder ptychodus.", show_default=False),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that are there already.")
    ] = False,
) -> None:
    """Simulate a scan with its truth.

    **Example:** `ptychonyx simulate -o scan.npz --object dead_leaves --seed 1`
    """
    import numpy as np

    from ptychonyx.runtime.formats import save_scan, scan_outputs
    from ptychonyx.runtime.simulation.scan import SimulationOptions
    from ptychonyx.runtime.simulation.scan import simulate_scan as run

    outputs = scan_outputs(output, format)
    check_files([], *outputs)
    existing = [each.path for each in outputs if each.path.exists()]
    if existing and not overwrite:
        raise ValueError(
            f"{existing[0]} exists already; give another name, or `--overwrite` to replace it."
        )
    spec = SimulationOptions(
        object_name=object_name,
        probe_name=probe,
        positions_name=positions,
        num_patterns=num_patterns,
        window_px=window_px,
        step_px=step_px,
        counts_per_pattern=counts_per_pattern,
        num_modes=num_modes,
        is_one_material=one_material,
    )
    scan = run(spec, np.random.default_rng(seed))
    save_scan(scan, output, format=format)
    say(f"Wrote {output}: {scan.num_patterns} patterns of {window_px}×{window_px}.")


def compare(
    a: Annotated[Path, typer.Argument(exists=True, help="Product, scan or NPZ with an object.")],
    b: Annotated[Path, typer.Argument(exists=True, help="The reference.")],
    reading: Reading,
    region: Annotated[
        str | None, typer.Option(help='"y0:y1,x0:x1" in pixels of the reference.')
    ] = None,
    scan: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            help="Their scan: how much of its patterns each object leaves unexplained.",
        ),
    ] = None,
    quantity: Quantity = None,
    pattern_axis: Axis = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    plot: Plot = None,
) -> None:
    """Compare two objects, ignoring what ptychography cannot know.

    **Example:** `ptychonyx compare product.h5 reference.npz --region 50:195,50:195`
    """
    import json

    from ptychonyx.runtime import compare_objects
    from ptychonyx.runtime.formats import load_object
    from ptychonyx.runtime.scaling import counts_per_pattern

    read = [*scan_files(a), *scan_files(b)]
    read += [] if scan is None else scan_files(scan, None, reading)
    check_files(read, plot=plot)
    first, second = load_object(a), load_object(b)
    residuals = (first.residual, second.residual)
    if scan is not None:
        loaded = load_asked(scan, quantity, pattern_axis=pattern_axis, reading=reading)
        counts = counts_per_pattern(loaded)
        residuals = (_residual(loaded, counts, a, first), _residual(loaded, counts, b, second))
    result = compare_objects(
        first.object_,
        second.object_,
        corner_a=first.corner_px,
        corner_b=second.corner_px,
        mask_a=None if first.coverage is None else first.coverage > 0,
        mask_b=None if second.coverage is None else second.coverage > 0,
        region=region,
        pixel_size_m=second.pixel_size_m or first.pixel_size_m,
    )
    if plot is not None:
        from ptychonyx.runtime.plot import plot_comparison

        plot_comparison(result, plot, names=(a.name, b.name))
    values = result.metrics()
    values |= dict(zip(("residual", "reference_residual"), residuals, strict=True))
    if json_:
        typer.echo(json.dumps(values))
    else:
        print_table(
            f"{a.name} against {b.name}", {key: as_text(value) for key, value in values.items()}
        )


def _residual(scan: Scan, counts: float, path: Path, placed: PlacedObject) -> float | None:
    """Return the share of the patterns that an object leaves unexplained; None without a probe.

    The probe is that of the object's own file.
    """
    from ptychonyx.runtime.errors import ScanError
    from ptychonyx.runtime.formats import load_probe
    from ptychonyx.runtime.residual import measure_residual

    try:
        probe = load_probe(path)
    except ScanError:
        return None
    return measure_residual(
        scan,
        placed.object_,
        object_corner_px=placed.corner_px,
        probe=probe,
        counts_per_pattern=counts,
        coverage=placed.coverage,
    ).total
