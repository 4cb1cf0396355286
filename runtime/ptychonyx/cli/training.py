"""The command that trains."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from . import words
from .console.terminal import say, stop_on_signal
from .options import Axis, Origin, Quantity, check_files, load_asked, scan_files
from .reading_options import Reading
from .scan_choices import ScanChoices, take_plausible

if TYPE_CHECKING:
    from ptychonyx.training import TrainingResult


def training_settings(
    backend: Annotated[words.Backend | None, typer.Option(help="Framework that trains.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the patterns.")] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Samples in a step, over all devices.")
    ] = None,
    filters: Annotated[float | None, typer.Option(help="F, factor on the widths.")] = None,
    loss: Annotated[words.Loss | None, typer.Option(help="What is made small.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="First rate of Adam.")] = None,
    seed: Annotated[int | None, typer.Option(help="Weights and batch order.")] = None,
    quantity: Quantity = None,
    position_origin: Origin = None,
    pattern_axis: Axis = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Any other setting; may be repeated."),
    ] = None,
) -> dict[str, Any]:
    """Return the settings that were given, which win over those of a configuration file."""
    flags = {
        "backend": backend,
        "epochs": epochs,
        "batch_size": batch_size,
        "filters": filters,
        "loss": loss,
        "learning_rate": learning_rate,
        "seed": seed,
        "quantity": quantity,
        "position_origin": position_origin,
        "pattern_axis": pattern_axis,
    }
    return _with_settings(flags, set_ or [])


def cluster_options(
    devices: Annotated[int, typer.Option(help="GPUs of a node, or processes on CPUs.")] = 1,
    num_nodes: Annotated[int, typer.Option(help="Nodes; srun must start the processes.")] = 1,
    strategy: Annotated[
        words.Strategy, typer.Option(help="How devices share the work; ddp, fsdp: PyTorch.")
    ] = "auto",
) -> dict[str, Any]:
    """Return which devices train the model, and how they share the work."""
    return {"devices": devices, "num_nodes": num_nodes, "strategy": strategy}


def train(
    scans: Annotated[list[Path], typer.Argument(exists=True, help="One or several scans.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Run folder.")],
    settings: dict[str, Any],
    cluster: dict[str, Any],
    choices: ScanChoices,
    reading: Reading,
    config: Annotated[
        Path | None, typer.Option(exists=True, help="YAML with training settings.")
    ] = None,
    probe: Annotated[
        Path | None, typer.Option(exists=True, help="File whose probe is used instead.")
    ] = None,
    init_from: Annotated[
        Path | None,
        typer.Option(exists=True, help="Run or weights, of either backend, to start from."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Delete a run that is already there.")
    ] = False,
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
    from ptychonyx.runtime.errors import TrainingInterruptedError
    from ptychonyx.runtime.files import OutputFolder
    from ptychonyx.training import load_config
    from ptychonyx.training import train as run
    from ptychonyx.training.distributed.launch import launch
    from ptychonyx.training.distributed.slurm import REQUEUE, requeue
    from ptychonyx.training.distributed.workers import find_workers
    from ptychonyx.training.loggers import log_to_mlflow, log_to_tensorboard
    from ptychonyx.training.run import outputs_of_run

    from .training_progress import show_training

    read = [file for path in scans for file in scan_files(path, None, reading)]
    folder = OutputFolder(output, is_emptied=overwrite)
    check_files([*read, config, probe, init_from], folder, *outputs_of_run(output))
    chosen = load_config(config, settings)
    workers = find_workers(chosen.backend, environment=os.environ, **cluster)
    if workers is None:
        command = [sys.executable, "-P", "-m", "ptychonyx.cli", *sys.argv[1:]]
        raise typer.Exit(launch(command, cluster["devices"], os.environ))
    said = (chosen.quantity, chosen.position_origin, None, chosen.pattern_axis, reading)
    loaded = [take_plausible(load_asked(path, *said), choices).scan for path in scans]
    with ExitStack() as stack:
        logs = []
        if mlflow is not None and workers.is_first:
            logs.append(stack.enter_context(log_to_mlflow(mlflow, output.name, chosen)))
        if tensorboard and workers.is_first:
            logs.append(stack.enter_context(log_to_tensorboard(output / "tensorboard")))
        stopped = stack.enter_context(stop_on_signal(*REQUEUE))
        watcher = stack.enter_context(show_training(stopped, workers, logs))
        try:
            result = run(
                loaded,
                chosen,
                output,
                probe=None if probe is None else load_probe(probe),
                init_from=init_from,
                overwrite=overwrite,
                watcher=watcher,
                workers=workers,
            )
        except TrainingInterruptedError:
            if set(stopped) & set(REQUEUE):
                requeue(os.environ, is_first=workers.is_first)
            raise
    if workers.is_first:
        _say_result(result, output)


def train_solver(
    output: Annotated[Path, typer.Option("--output", "-o", help="Run folder.")],
    scans: Annotated[
        list[Path] | None,
        typer.Argument(
            exists=True, help="Good scans, if some of what is learned from is measured."
        ),
    ] = None,
    backend: Annotated[words.Backend | None, typer.Option(help="Framework that trains.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Of 400 steps each.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Scans in a step.")] = None,
    num_processes: Annotated[
        int | None, typer.Option("--processes", help="Processes that simulate and solve scans.")
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(help="First rate of Adam.")] = None,
    seed: Annotated[int | None, typer.Option(help="Weights and scans.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Any other setting; may be repeated."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(exists=True, help="YAML with these settings.")
    ] = None,
    init_from: Annotated[
        Path | None,
        typer.Option(exists=True, help="Run or weights, of either backend, to start from."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Delete a run that is already there.")
    ] = False,
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
    from ptychonyx.training.distributed.workers import Workers
    from ptychonyx.training.run import outputs_of_run
    from ptychonyx.training.solver.train import train_solver as run

    from .training_progress import show_training

    folder = OutputFolder(output, is_emptied=overwrite)
    read = [file for path in scans or [] for file in scan_files(path)]
    check_files([*read, config, init_from], folder, *outputs_of_run(output))
    flags = {
        "backend": backend,
        "epochs": epochs,
        "batch_size": batch_size,
        "num_processes": num_processes,
        "learning_rate": learning_rate,
        "seed": seed,
    }
    chosen = load_solver_config(config, _with_settings(flags, set_ or []))
    choices = (quantity, position_origin, None, pattern_axis)
    loaded = [load_asked(path, *choices) for path in scans or []]
    with stop_on_signal() as stopped, show_training(stopped, Workers()) as watcher:
        result = run(
            chosen,
            output,
            scans=loaded,
            init_from=init_from,
            overwrite=overwrite,
            watcher=watcher,
        )
    _say_result(result, output)


def _say_result(result: TrainingResult, output: Path) -> None:
    say(
        f"Trained with {result.backend}: best epoch {result.best_epoch} of {result.epochs}, "
        f"validation loss {result.best_validation_loss:.6g}. "
        f"Next: ptychonyx export {output} -o model.onnx"
    )


def _with_settings(flags: dict[str, Any], settings: list[str]) -> dict[str, Any]:
    """Return the values of options together with those of `--set name=value`."""
    import yaml

    values = dict(flags)
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise ValueError(f"`--set` is {setting!r}, expected NAME=VALUE, as in num_merged=4.")
        if values.get(name) is not None:
            raise ValueError(f"`{name}` is given twice; give it once.")
        try:
            values[name] = yaml.safe_load(text)
        except yaml.YAMLError:
            raise ValueError(f"`--set` is {setting!r}, whose value is no YAML.") from None
    return values
