"""The commands that train."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .cluster import find_or_launch, watched
from .console.terminal import say
from .options.reading import Reading
from .options.scan_choices import ScanChoices, take_plausible
from .options.shared import Axis, Origin, Quantity, check_files, load_asked, scan_files
from .options.training import (
    Backend,
    ConfigFile,
    InitFrom,
    LearningRate,
    Overwrite,
    RunFolder,
    Settings,
    with_settings,
)

if TYPE_CHECKING:
    from ptychonyx.training import TrainingResult


def train(
    scans: Annotated[list[Path], typer.Argument(exists=True, help="One or several scans.")],
    output: RunFolder,
    settings: dict[str, Any],
    cluster: dict[str, Any],
    choices: ScanChoices,
    reading: Reading,
    config: ConfigFile = None,
    probe: Annotated[
        Path | None, typer.Option(exists=True, help="File whose probe is used instead.")
    ] = None,
    init_from: InitFrom = None,
    overwrite: Overwrite = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also log to RUN/tensorboard.")
    ] = False,
    mlflow: Annotated[
        str | None, typer.Option(help="Also log to this MLflow tracking URI.")
    ] = None,
) -> None:
    """Train one model from scans; the same command resumes an interrupted run.

    **Example:** `ptychonyx train scan.npz --backend pytorch --epochs 50 -o run`

    **Example:** `ptychonyx train scan.npz -o run --set num_merged=4 --set schedule=cosine`
    """
    from ptychonyx.runtime import load_probe
    from ptychonyx.runtime.files import OutputFolder
    from ptychonyx.training import load_config
    from ptychonyx.training import train as run
    from ptychonyx.training.loggers import log_to_mlflow, log_to_tensorboard
    from ptychonyx.training.run import outputs_of_run

    read = [file for path in scans for file in scan_files(path, None, reading)]
    folder = OutputFolder(output, is_emptied=overwrite)
    check_files([*read, config, probe, init_from], folder, *outputs_of_run(output))
    chosen = load_config(config, settings)
    workers = find_or_launch(chosen.backend, cluster)
    said = (chosen.quantity, chosen.position_origin, None, chosen.pattern_axis, reading)
    loaded = [take_plausible(load_asked(path, *said), choices).scan for path in scans]
    with ExitStack() as stack:
        logs = []
        if mlflow is not None and workers.is_first:
            logs.append(stack.enter_context(log_to_mlflow(mlflow, output.name, chosen)))
        if tensorboard and workers.is_first:
            logs.append(stack.enter_context(log_to_tensorboard(output / "tensorboard")))
        result = run(
            loaded,
            chosen,
            output,
            probe=None if probe is None else load_probe(probe),
            init_from=init_from,
            overwrite=overwrite,
            watcher=stack.enter_context(watched(workers, logs)),
            workers=workers,
        )
    if workers.is_first:
        _say_result(result, output)


def train_solver(
    output: RunFolder,
    cluster: dict[str, Any],
    choices: ScanChoices,
    reading: Reading,
    scans: Annotated[
        list[Path] | None,
        typer.Argument(
            exists=True, help="Good scans, if some of what is learned from is measured."
        ),
    ] = None,
    backend: Backend = None,
    epochs: Annotated[int | None, typer.Option(help="Of 400 steps each.")] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Scans in a step, over all devices.")
    ] = None,
    num_processes: Annotated[
        int | None, typer.Option("--processes", help="Processes that simulate and solve scans.")
    ] = None,
    learning_rate: LearningRate = None,
    seed: Annotated[int | None, typer.Option(help="Weights and scans.")] = None,
    set_: Settings = None,
    config: ConfigFile = None,
    init_from: InitFrom = None,
    overwrite: Overwrite = False,
    quantity: Quantity = None,
    position_origin: Origin = None,
    pattern_axis: Axis = None,
) -> None:
    """Train a network that corrects passes, on simulated scans; the same command resumes it.

    One network serves every scan: it sees the object and its change, never patterns. Measured scans
    that are good teach it what such samples look like: it learns from parts of them, with fewer
    positions and photons.

    **Example:** `ptychonyx train-solver --backend pytorch --epochs 50 -o run`

    **Example:** `ptychonyx train-solver good.npz --init-from models/solver --epochs 3 -o run`
    """
    from ptychonyx.runtime.files import OutputFolder
    from ptychonyx.training.config.solver import load_solver_config
    from ptychonyx.training.run import outputs_of_run
    from ptychonyx.training.solver.train import train_solver as run

    folder = OutputFolder(output, is_emptied=overwrite)
    read = [file for path in scans or [] for file in scan_files(path, None, reading)]
    check_files([*read, config, init_from], folder, *outputs_of_run(output))
    flags = {
        "backend": backend,
        "epochs": epochs,
        "batch_size": batch_size,
        "num_processes": num_processes,
        "learning_rate": learning_rate,
        "seed": seed,
    }
    chosen = load_solver_config(config, with_settings(flags, set_ or []))
    workers = find_or_launch(chosen.backend, cluster)
    said = (quantity, position_origin, None, pattern_axis, reading)
    loaded = [take_plausible(load_asked(path, *said), choices).scan for path in scans or []]
    with watched(workers) as watcher:
        result = run(
            chosen,
            output,
            scans=loaded,
            init_from=init_from,
            overwrite=overwrite,
            watcher=watcher,
            workers=workers,
        )
    if workers.is_first:
        _say_result(result, output)


def _say_result(result: TrainingResult, output: Path) -> None:
    say(
        f"Trained with {result.backend}: best epoch {result.best_epoch} of {result.epochs}, "
        f"validation loss {result.best_validation_loss:.6g}. "
        f"Next: ptychonyx export {output} -o model.onnx"
    )
