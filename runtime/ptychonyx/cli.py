"""The front door: the one file that knows all parts, and imports each only when it is needed."""

from __future__ import annotations

import logging
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ptychonyx.terminal import (
    INTERRUPTED,
    as_text,
    fail,
    print_columns,
    print_table,
    progress_bar,
    say,
    stop_on_signal,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ptychonyx.runtime.formats.object_file import ObjectFile
    from ptychonyx.runtime.product import Product
    from ptychonyx.runtime.scan import Scan

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Train ptychography networks, export them to ONNX, reconstruct anywhere.\n\n"
    "**Example:** `ptychonyx reconstruct scan.npz --model model.onnx -o product.h5`",
)

ScanPath = Annotated[Path, typer.Argument(help="Scan: NPZ, product.h5, or their folder.")]
Quantity = Annotated[
    str | None, typer.Option(help="What the patterns are: counts or amplitude.", show_default=False)
]
Origin = Annotated[
    str | None,
    typer.Option(help="What pixel positions point at: corner, centre or ptychodus."),
]
Patterns = Annotated[
    Path | None, typer.Option(help="diffraction.h5, if it is not beside the product.")
]
Plot = Annotated[Path | None, typer.Option(help="Also draw a picture (.png, .pdf, .svg).")]


@app.command()
def inspect(
    file: Annotated[Path, typer.Argument(help="A scan or a model file.")],
    quantity: Quantity = None,
    position_origin: Origin = None,
    patterns: Patterns = None,
    plot: Plot = None,
) -> None:
    """Say what a scan or a model is.

    **Example:** `ptychonyx inspect scan.npz --quantity counts --plot scan.png`
    """
    from ptychonyx.runtime.describe import describe_model, describe_scan

    if file.suffix == ".onnx":
        from ptychonyx.runtime.model import read_manifest

        print_table(file.name, describe_model(read_manifest(file)[0]))
        return
    scan = _load(file, quantity, position_origin, patterns)
    print_table(file.name, describe_scan(scan))
    if plot is not None:
        from ptychonyx.runtime.plot import plot_scan

        plot_scan(scan, plot)


@app.command()
def simulate(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="An .npz file, or a folder for Ptychodus files.")
    ],
    object_name: Annotated[
        str,
        typer.Option(
            "--object", help="lines, blurred_lines, dead_leaves, gaussian_random_field, natural."
        ),
    ] = "lines",
    probe: Annotated[str, typer.Option(help="focused or gaussian.")] = "focused",
    positions: Annotated[str, typer.Option(help="raster, spiral or random.")] = "raster",
    num_patterns: Annotated[int, typer.Option(help="Number of patterns.")] = 500,
    window_px: Annotated[int, typer.Option(help="Side N of the patterns.")] = 64,
    step_px: Annotated[float, typer.Option(help="Mean step of the scan.")] = 6.0,
    counts: Annotated[float, typer.Option(help="Mean counts of a pattern.")] = 4.4e5,
    num_modes: Annotated[int, typer.Option(help="Incoherent probe modes.")] = 3,
    one_material: Annotated[
        bool, typer.Option("--one-material", help="One thickness gives amplitude and phase.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
) -> None:
    """Simulate a scan with its truth.

    **Example:** `ptychonyx simulate -o scan.npz --object dead_leaves --seed 1`
    """
    import numpy as np

    from ptychonyx.runtime.formats import write_ptychodus, write_ptychopinn_npz
    from ptychonyx.training.simulate import SimulationSpec
    from ptychonyx.training.simulate import simulate as run

    spec = SimulationSpec(
        object_name=object_name,
        probe_name=probe,
        positions_name=positions,
        num_patterns=num_patterns,
        window_px=window_px,
        step_px=step_px,
        counts_per_pattern=counts,
        num_modes=num_modes,
        is_one_material=one_material,
    )
    scan = run(spec, np.random.default_rng(seed))
    if output.suffix == ".npz":
        _need_folder(output)
        write_ptychopinn_npz(scan, output)
    elif output.suffix:
        raise ValueError(f"The output is {output}; give a name ending in .npz, or a folder.")
    else:
        write_ptychodus(scan, output)
    say(f"Wrote {output}: {scan.num_patterns} patterns of {window_px}×{window_px}.")


@app.command()
def train(
    scans: Annotated[list[Path], typer.Argument(help="One or several scans.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Run folder.")],
    backend: Annotated[str | None, typer.Option(help="tensorflow or pytorch.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML with training settings.")] = None,
    probe: Annotated[Path | None, typer.Option(help="File whose probe is used instead.")] = None,
    init_from: Annotated[
        Path | None, typer.Option(help="Run or weights, of either backend, to start from.")
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Delete a run that is already there.")] = False,
    epochs: Annotated[int | None, typer.Option(help="Passes over the patterns.")] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Samples in a step, over all devices.")
    ] = None,
    filters: Annotated[float | None, typer.Option(help="F, factor on the widths.")] = None,
    loss: Annotated[str | None, typer.Option(help="poisson or amplitude.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="First rate of Adam.")] = None,
    seed: Annotated[int | None, typer.Option(help="Weights and batch order.")] = None,
    quantity: Quantity = None,
    position_origin: Origin = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also log to RUN/tensorboard.")
    ] = False,
    mlflow: Annotated[
        str | None, typer.Option(help="Also log to this MLflow tracking URI.")
    ] = None,
    devices: Annotated[int, typer.Option(help="GPUs of a node, or processes on CPUs.")] = 1,
    num_nodes: Annotated[int, typer.Option(help="Nodes; srun must start the processes.")] = 1,
    strategy: Annotated[
        str, typer.Option(help="auto; ddp, fsdp (PyTorch); mirrored, multi_worker_mirrored.")
    ] = "auto",
) -> None:
    """Train one model from scans; the same command resumes an interrupted run.

    **Example:** `ptychonyx train scan.npz --backend pytorch --epochs 50 -o run`
    """
    import os

    from ptychonyx.runtime.formats import load_probe
    from ptychonyx.training.config import load_config
    from ptychonyx.training.launch import launch
    from ptychonyx.training.loggers import log_to_mlflow, log_to_tensorboard
    from ptychonyx.training.progress import show_training
    from ptychonyx.training.train import TrainingInterruptedError
    from ptychonyx.training.train import train as run
    from ptychonyx.training.workers import REQUEUE, find_workers, requeue

    overrides = {
        "backend": backend,
        "epochs": epochs,
        "batch_size": batch_size,
        "filters": filters,
        "loss": loss,
        "learning_rate": learning_rate,
        "seed": seed,
        "quantity": quantity,
        "position_origin": position_origin,
    }
    settings = load_config(config, overrides)
    workers = find_workers(
        settings.backend,
        devices=devices,
        num_nodes=num_nodes,
        strategy=strategy,
        environment=os.environ,
    )
    if workers is None:
        command = [sys.executable, "-P", "-m", "ptychonyx.cli", *sys.argv[1:]]
        raise typer.Exit(launch(command, devices, os.environ))
    loaded = [_load(path, settings.quantity, settings.position_origin, None) for path in scans]
    given = load_probe(probe) if probe is not None else None
    with ExitStack() as stack:
        logs = []
        if mlflow is not None and workers.is_first:
            logs.append(stack.enter_context(log_to_mlflow(mlflow, output.name, settings)))
        if tensorboard and workers.is_first:
            logs.append(stack.enter_context(log_to_tensorboard(output / "tensorboard")))
        stopped = stack.enter_context(stop_on_signal(*REQUEUE))
        watcher = stack.enter_context(show_training(stopped, workers, logs))
        try:
            result = run(
                loaded,
                settings,
                output,
                probe=given,
                init_from=init_from,
                overwrite=overwrite,
                watcher=watcher,
                workers=workers,
            )
        except TrainingInterruptedError:
            if set(stopped) & set(REQUEUE):
                requeue(workers, os.environ)
            raise
    if not workers.is_first:
        return
    say(
        f"Trained with {result.backend}: best epoch {result.best_epoch} of {result.epochs}, "
        f"validation loss {result.best_validation_loss:.6g}. "
        f"Next: ptychonyx export {output} -o model.onnx"
    )


@app.command()
def export(
    run: Annotated[
        Path, typer.Argument(help="Run folder; or a float32 model, to lower precision.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .onnx file.")],
    precision: Annotated[str, typer.Option(help="float32, float16, bfloat16 or int8.")] = "float32",
    calibration: Annotated[
        Path | None,
        typer.Option(help="Scan to find ranges and measure the loss on: the training scan."),
    ] = None,
    quantity: Quantity = None,
    position_origin: Origin = None,
    name: Annotated[str | None, typer.Option(help="Name in the manifest.")] = None,
    licence: Annotated[str, typer.Option(help="Licence of the model.")] = "not stated",
) -> None:
    """Export a run to one model file, and prove that it computes the same.

    **Example:** `ptychonyx export run -o model.onnx`

    **Example:** `ptychonyx export run -o int8.onnx --precision int8 --calibration scan.npz`
    """
    try:
        from ptychonyx.export import export_precision, export_run
    except ModuleNotFoundError as error:
        raise RuntimeError(
            f'Export needs {error.name}, which is not installed: pip install "ptychonyx[export]"'
        ) from error
    if precision != "float32":
        if calibration is None:
            raise ValueError(
                f"`--precision {precision}` is measured on a scan; give the one that the model was "
                "trained on with `--calibration`."
            )
        derived = export_precision(
            run,
            output,
            precision=precision,
            calibration=_load(calibration, quantity, position_origin, None),
            name=name,
            licence=licence,
        )
        say(
            f"Wrote {derived.path} ({derived.num_bytes / 1e6:.1f} MB; float32: "
            f"{derived.parent_num_bytes / 1e6:.1f} MB); against the float32 object: phase Pearson "
            f"{derived.phase_pearson:.5f}, amplitude Pearson {derived.amplitude_pearson:.5f}, "
            f"complex error {derived.complex_nrmse:.4f}."
        )
        return
    report = export_run(run, output, name=name, licence=licence)
    say(
        f"Wrote {report.path} ({report.num_bytes / 1e6:.1f} MB); differs from the native network by "
        f"{report.largest_difference:.1e} (allowed {report.tolerance:.0e})."
    )


@app.command()
def verify(
    model: Annotated[Path, typer.Argument(help="Model file.")],
    provider: Annotated[str, typer.Option(help="auto, cpu, cuda, tensorrt, openvino.")] = "auto",
) -> None:
    """Prove on this machine that a model computes what its framework computed.

    **Example:** `ptychonyx verify model.onnx`
    """
    from ptychonyx.runtime.model import Model

    result = Model(model, provider=provider).verify()
    say(
        f"{model}: {'the same' if result.passed else 'NOT the same'} as the native network on "
        f"{result.provider}: difference {result.largest_difference:.1e}, allowed {result.tolerance:.0e}."
    )
    if not result.passed:
        raise typer.Exit(1)


@app.command()
def benchmark(
    model: Annotated[Path, typer.Argument(help="Model file.")],
    provider: Annotated[
        list[str] | None, typer.Option(help="Only this one; may be repeated.", show_default=False)
    ] = None,
    batch: Annotated[
        list[int] | None, typer.Option(help="Only this size; may be repeated.", show_default=False)
    ] = None,
    threads: Annotated[
        list[int] | None, typer.Option(help="Only so many; may be repeated.", show_default=False)
    ] = None,
    seconds: Annotated[float, typer.Option(help="Time for each combination.")] = 2.0,
) -> None:
    """Measure a model on this machine, and remember what was fastest for `--batch auto`.

    **Example:** `ptychonyx benchmark model.onnx`
    """
    from ptychonyx.runtime.model import read_manifest
    from ptychonyx.runtime.tuning import BATCHES, best, remember
    from ptychonyx.runtime.tuning import benchmark as run

    digest = read_manifest(model)[1]
    with progress_bar("Measuring", 100) as show:
        measured = run(
            model,
            providers=provider,
            batches=batch or BATCHES,
            threads=threads,
            seconds_each=seconds,
            progress=lambda share: show(round(100 * share)),
        )
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
    path = remember(digest, measured)
    say(
        f"Best: {winner.provider}, {winner.num_threads} threads, batch {winner.batch_size}; kept in "
        f"{path} for `ptychonyx reconstruct --batch auto`. 100 % are what a matrix product of "
        "2048×2048 reaches on the CPU with as many threads."
    )


@app.command()
def reconstruct(
    scan: ScanPath,
    model: Annotated[Path, typer.Option("--model", "-m", help="Model file.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Product: .h5 or .npz.")],
    provider: Annotated[str, typer.Option(help="auto, cpu, cuda, tensorrt, openvino.")] = "auto",
    batch: Annotated[
        str,
        typer.Option(help="Patterns in one call of the network; auto: what benchmark found best."),
    ] = "64",
    scale: Annotated[str, typer.Option(help="Input scale: scan, trained, or a number.")] = "scan",
    residual_patterns: Annotated[
        int, typer.Option(help="Patterns on which the object is tested against the data; 0: none.")
    ] = 256,
    quantity: Quantity = None,
    position_origin: Origin = None,
    patterns: Patterns = None,
    plot: Plot = None,
) -> None:
    """Reconstruct a scan into a product that Ptychodus opens.

    **Example:** `ptychonyx reconstruct scan.npz --model model.onnx -o product.h5 --plot out.png`
    """
    from concurrent.futures import ThreadPoolExecutor

    from ptychonyx.runtime.model import Model
    from ptychonyx.runtime.pipeline import PREDICTIONS_AT_ONCE
    from ptychonyx.runtime.product import check_product_path, write_product
    from ptychonyx.runtime.reconstruct import reconstruct as run

    check_product_path(output)
    batch_size, provider = _batch_setting(batch, model, provider)
    with ThreadPoolExecutor(1) as starter:
        starting = starter.submit(
            Model, model, provider=provider, predictions_at_once=PREDICTIONS_AT_ONCE
        )
        loaded = _load(scan, quantity, position_origin, patterns)
        network = starting.result()
    with stop_on_signal() as stopped, progress_bar("Reconstructing", loaded.num_patterns) as show:
        product = run(
            loaded,
            network,
            batch_size=batch_size,
            scale=_scale(scale),
            residual_patterns=residual_patterns,
            progress=lambda done, _: show(done),
            should_stop=lambda: bool(stopped),
        )
        write_product(product, output)
    if plot is not None:
        from ptychonyx.runtime.plot import plot_object

        plot_object(
            product.object_,
            plot,
            coverage=product.coverage,
            disagreement=product.disagreement,
            residuals=_residual_points(product),
            pixel_size_m=product.pixel_size_m,
            title=product.name,
        )
    assert product.coverage is not None
    share = 100 * float((product.coverage > 0).mean())
    say(
        f"Wrote {output}: {product.num_patterns_used} of {loaded.num_patterns} patterns, "
        f"{share:.0f} % of {product.object_.shape[0]}×{product.object_.shape[1]} covered, on "
        f"{network.provider}, {product.metadata['total_s']:.2f} s."
    )
    if "residual" in product.metadata:
        say(
            f"It leaves {100 * float(product.metadata['residual']):.2f} % of the measured amplitude "
            f"unexplained ({product.metadata['residual_patterns']} patterns looked at)."
        )
    if product.metadata["probe_source"] == "estimated":
        say("Note: neither scan nor model has a probe; the stored one is an estimate.")
    if not product.complete:
        raise typer.Exit(INTERRUPTED)


@app.command()
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
    event_file: Annotated[
        Path | None, typer.Option(help="File for events: one JSON object a line.")
    ] = None,
) -> None:
    """Reconstruct one folder in Ptychodus' standard layout, without Ptychodus.

    **Example:** `ptychonyx reconstruct-folder -i input -o output --event-file events.ndjson`
    """
    from ptychonyx.runtime.reconstruct_folder import open_events
    from ptychonyx.runtime.reconstruct_folder import reconstruct_folder as run

    with stop_on_signal() as stopped, open_events(event_file) as events:
        product = run(input_folder, output_folder, events=events, should_stop=lambda: bool(stopped))
    say(
        f"Wrote {output_folder / 'product.h5'}: {product.num_patterns_used} of "
        f"{len(product.corners_px)} patterns, {product.metadata['total_s']:.2f} s."
    )
    if not product.complete:
        raise typer.Exit(INTERRUPTED)


@app.command()
def reconstruct_many(
    scans: Annotated[list[Path], typer.Argument(help="Scans, as for `reconstruct`.")],
    model: Annotated[Path, typer.Option("--model", "-m", help="Model file.")],
    output_folder: Annotated[
        Path,
        typer.Option(
            "--output-directory", "-o", help="Gets a product for each scan, and a report."
        ),
    ],
    dask: Annotated[
        str, typer.Option(help="local, or the address of a Dask scheduler: tcp://host:8786.")
    ] = "local",
    workers: Annotated[
        int | None, typer.Option(help="Local workers; by default one for each core, on a GPU one.")
    ] = None,
    split_patterns: Annotated[
        int, typer.Option(help="Scans with more patterns are split among workers.")
    ] = 20_000,
    provider: Annotated[str, typer.Option(help="auto, cpu, cuda, tensorrt, openvino.")] = "auto",
    batch: Annotated[int, typer.Option(help="Patterns in one call of the network.")] = 64,
    scale: Annotated[str, typer.Option(help="Input scale: scan, trained, or a number.")] = "scan",
    residual_patterns: Annotated[
        int, typer.Option(help="Patterns on which each object is tested; 0: none.")
    ] = 256,
    quantity: Quantity = None,
    position_origin: Origin = None,
) -> None:
    """Reconstruct many scans on many processes or machines; finished ones are skipped.

    **Example:** `ptychonyx reconstruct-many scans/*.npz --model model.onnx -o products --workers 4`
    """
    from ptychonyx.runtime.fleet import reconstruct_many as run
    from ptychonyx.runtime.fleet_tasks import FleetOptions

    options = FleetOptions(
        quantity=quantity,
        position_origin=position_origin,
        scale=_scale(scale),
        batch_size=batch,
        residual_patterns=residual_patterns,
        provider=provider,
        split_patterns=split_patterns,
    )
    with stop_on_signal() as stopped, progress_bar("Reconstructing", len(scans)) as show:
        fleet = run(
            scans,
            model,
            output_folder,
            dask=dask,
            num_workers=workers,
            options=options,
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


@app.command()
def compare(
    a: Annotated[Path, typer.Argument(help="Product, scan or NPZ with an object.")],
    b: Annotated[Path, typer.Argument(help="The reference.")],
    region: Annotated[
        str | None, typer.Option(help='"y0:y1,x0:x1" in pixels of the reference.')
    ] = None,
    scan: Annotated[
        Path | None,
        typer.Option(help="Their scan: how much of its patterns each object leaves unexplained."),
    ] = None,
    quantity: Quantity = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    plot: Plot = None,
) -> None:
    """Compare two objects, ignoring what ptychography cannot know.

    **Example:** `ptychonyx compare product.h5 reference.npz --region 50:195,50:195`
    """
    import dataclasses
    import json

    from ptychonyx.runtime.align import align
    from ptychonyx.runtime.compare import measure
    from ptychonyx.runtime.formats import load_object

    first, second = load_object(a), load_object(b)
    residuals = (first.residual, second.residual)
    if scan is not None:
        loaded = _load(scan, quantity, None, None)
        residuals = (_residual(loaded, a, first), _residual(loaded, b, second))
    aligned = align(
        first.object_,
        second.object_,
        corner_a=first.corner_px,
        corner_b=second.corner_px,
        mask_a=None if first.coverage is None else first.coverage > 0,
        mask_b=None if second.coverage is None else second.coverage > 0,
        region=region,
    )
    result = measure(aligned, pixel_size_m=second.pixel_size_m or first.pixel_size_m)
    values = dataclasses.asdict(result)
    values |= dict(zip(("residual", "reference_residual"), residuals, strict=True))
    if json_:
        typer.echo(json.dumps(values))
    else:
        print_table(
            f"{a.name} against {b.name}", {key: as_text(value) for key, value in values.items()}
        )
    if plot is not None:
        from ptychonyx.runtime.plot import plot_comparison

        plot_comparison(aligned, result, plot, names=(a.name, b.name))


def main() -> None:
    """Run the command line: exit code 0 success, 1 failure, 2 wrong use, 130 interrupted."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("ptychonyx").setLevel(logging.INFO)
    try:
        app(standalone_mode=True)
    except (ValueError, ImportError) as error:
        fail(error, 2)
    except KeyboardInterrupt:
        fail("Interrupted.", INTERRUPTED)
    except (RuntimeError, OSError, MemoryError) as error:
        interrupted = type(error).__name__ == "TrainingInterruptedError"
        fail(error, INTERRUPTED if interrupted else 1)


def _load(
    path: Path, quantity: str | None, position_origin: str | None, patterns: Path | None
) -> Scan:
    from ptychonyx.runtime.errors import QuantityError
    from ptychonyx.runtime.formats import load_scan

    try:
        return load_scan(
            path, quantity=quantity, position_origin=position_origin, patterns_path=patterns
        )
    except QuantityError as error:
        command = sys.argv[1] if len(sys.argv) > 1 else "COMMAND"
        raise QuantityError(str(error).replace("COMMAND", command)) from None


def _residual_points(
    product: Product,
) -> tuple[NDArray[np.float64], NDArray[np.float32]] | None:
    if product.pattern_residuals is None:
        return None
    centres_px = product.corners_px + product.window_px / 2 - product.object_corner_px
    return centres_px, product.pattern_residuals


def _residual(scan: Scan, path: Path, of: ObjectFile) -> float | None:
    """Return what an object with the probe of its own file leaves unexplained, if it has one."""
    from ptychonyx.runtime.errors import ScanError
    from ptychonyx.runtime.formats import load_probe
    from ptychonyx.runtime.residual import measure_residual
    from ptychonyx.runtime.scaling import mean_counts

    try:
        probe = load_probe(path)
    except ScanError:
        return None
    return measure_residual(
        scan,
        of.object_,
        object_corner_px=of.corner_px,
        probe=probe,
        mean_counts=mean_counts(scan),
        coverage=of.coverage,
    ).total


def _batch_setting(text: str, model: Path, provider: str) -> tuple[int, str]:
    """Return batch size and provider for what was typed."""
    if text != "auto":
        try:
            return int(text), provider
        except ValueError:
            raise ValueError(f"`--batch` is {text!r}, expected auto or a number.") from None
    from ptychonyx.runtime.model import read_manifest
    from ptychonyx.runtime.tuning import recall

    found = recall(read_manifest(model)[1], provider)
    if found is None:
        raise ValueError(
            f"`--batch auto` needs to know this machine; measure it once with "
            f"`ptychonyx benchmark {model}`, or give a number."
        )
    return found.batch_size, found.provider


def _scale(text: str) -> float | str | None:
    if text in ("scan", "trained"):
        return None if text == "scan" else text
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"`--scale` is {text!r}, expected scan, trained or a number.") from None


def _need_folder(path: Path) -> None:
    if not path.parent.is_dir():
        raise ValueError(f"There is no folder {path.parent} for {path.name}; make it first.")


if __name__ == "__main__":
    main()
