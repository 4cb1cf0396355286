"""Commands on model files: export, derive, verify, benchmark."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from .console.terminal import print_columns, progress_bar, say
from .options import words
from .options.reading import Reading
from .options.scan_choices import ScanChoices, take_plausible
from .options.shared import Axis, Origin, Provider, Quantity, check_files, load_asked, scan_files

Name = Annotated[str | None, typer.Option(help="Name in the manifest.")]


def export(
    run: Annotated[Path, typer.Argument(exists=True, help="Run folder.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .onnx file.")],
    name: Name = None,
    license: Annotated[str, typer.Option(help="License of the model.")] = "not stated",
) -> None:
    """Export a run to one model file, and prove that it computes the same.

    **Example:** `ptychonyx export run -o model.onnx`
    """
    with export_needed():
        from ptychonyx.export import export_run
        from ptychonyx.export.model_file import model_output
        from ptychonyx.training.run import files_of_run
    check_files(files_of_run(run), model_output(output))
    report = export_run(run, output, name=name, license=license)
    say(
        f"Wrote {report.path} ({report.num_bytes / 1e6:.1f} MB); differs from the native network by "
        f"{report.largest_difference:.1e} (allowed {report.tolerance:.0e})."
    )


def derive(
    model: Annotated[Path, typer.Argument(exists=True, help="A float32 model file.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .onnx file.")],
    precision: Annotated[words.DerivedPrecision, typer.Option(help="Of weights and features.")],
    calibration: Annotated[
        Path,
        typer.Option(
            exists=True,
            help="Scan to find ranges and measure the loss on: the training scan, or for a solver "
            "one of few photons or positions.",
        ),
    ],
    choices: ScanChoices,
    reading: Reading,
    quantity: Quantity = None,
    position_origin: Origin = None,
    pattern_axis: Axis = None,
    name: Name = None,
) -> None:
    """Derive a model of fewer bits, and measure what it loses.

    **Example:** `ptychonyx derive model.onnx -o int8.onnx --precision int8 --calibration scan.npz`
    """
    with export_needed():
        from ptychonyx.export import derive_model, derive_solver
        from ptychonyx.export.model_file import model_output
    check_files([model, *scan_files(calibration, None, reading)], model_output(output))
    from ptychonyx.runtime import SolverManifest, load_manifest

    is_solver = model.is_file() and isinstance(load_manifest(model), SolverManifest)
    run = derive_solver if is_solver else derive_model
    loaded = load_asked(calibration, quantity, position_origin, None, pattern_axis, reading)
    derived = run(
        model,
        output,
        precision=precision,
        calibration=take_plausible(loaded, choices).scan,
        name=name,
    )
    say(
        f"Wrote {derived.path} ({derived.num_bytes / 1e6:.1f} MB; float32: "
        f"{derived.parent_num_bytes / 1e6:.1f} MB); against the float32 object: phase Pearson "
        f"{derived.phase_pearson:.5f}, amplitude Pearson {derived.amplitude_pearson:.5f}, "
        f"complex error {derived.complex_nrmse:.4f}."
    )


@contextmanager
def export_needed() -> Iterator[None]:
    """Name the cure where a package of the export extra is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise RuntimeError(
            f'Export needs {error.name}, which is not installed: pip install "ptychonyx[export]"'
        ) from error


def verify(
    model: Annotated[Path, typer.Argument(help="Model file.")],
    provider: Provider = words.Provider.AUTO,
) -> None:
    """Prove on this machine that a model computes what its framework computed.

    It does not prove who made the file: for that, compare its sha256 (`ptychonyx inspect`) with the
    maker's.

    **Example:** `ptychonyx verify model.onnx`
    """
    from ptychonyx.runtime.model.kinds import open_model

    result = open_model(model, provider=provider.value, check_proof=False).verify()
    say(
        f"{model}: {'the same' if result.passed else 'NOT the same'} as the native network on "
        f"{result.provider}: difference {result.largest_difference:.1e}, allowed {result.tolerance:.0e}."
    )
    if not result.passed:
        raise typer.Exit(1)


def benchmark(
    model: Annotated[Path, typer.Argument(help="Model file.")],
    provider: Annotated[
        list[words.Provider] | None,
        typer.Option(help="Only this one; may be repeated.", show_default=False),
    ] = None,
    batch_size: Annotated[
        list[int] | None, typer.Option(help="Only this size; may be repeated.", show_default=False)
    ] = None,
    threads: Annotated[
        list[int] | None, typer.Option(help="Only so many; may be repeated.", show_default=False)
    ] = None,
    seconds: Annotated[float, typer.Option(help="Time for each combination.")] = 2.0,
) -> None:
    """Measure a model on this machine, and remember what was fastest for `--batch-size auto`.

    **Example:** `ptychonyx benchmark model.onnx`
    """
    from ptychonyx.runtime.model.binding import BATCH_SIZES
    from ptychonyx.runtime.model.model_file import open_model_file
    from ptychonyx.runtime.model.tuning import benchmark as run
    from ptychonyx.runtime.model.tuning import best, remember

    digest = open_model_file(model).digest
    with progress_bar("Measuring", 100) as show:
        measured = run(
            model,
            providers=None if provider is None else [each.value for each in provider],
            batches=batch_size or BATCH_SIZES,
            threads=threads,
            seconds_each=seconds,
            progress=lambda share: show(round(100 * share)),
        )
    path = remember(digest, measured)  # before anything is printed, which may fail
    print_columns(
        f"{model.name} on this machine",
        ("provider", "threads", "batch", "patterns/s", "% of peak", "p50 ms", "p99 ms"),
        [
            (
                each.setting.provider,
                str(each.setting.num_threads),
                str(each.setting.batch_size),
                f"{each.patterns_per_s:.0f}",
                "not known" if each.percent_of_peak is None else f"{each.percent_of_peak:.0f}",
                f"{each.p50_ms:.2f}",
                f"{each.p99_ms:.2f}",
            )
            for each in measured
        ],
    )
    winner = best(measured).setting
    say(
        f"Best: {winner.provider}, {winner.num_threads} threads, batch {winner.batch_size}; kept in "
        f"{path} for `ptychonyx reconstruct --batch-size auto`. 100 % are what a matrix product of "
        "2048×2048 reaches on the CPU with as many threads."
    )
