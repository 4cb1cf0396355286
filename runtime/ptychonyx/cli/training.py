"""The command that trains."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from .options import Origin, Quantity, load_asked, scan_files
from .terminal import say, stop_on_signal


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

    from ptychonyx.runtime.errors import TrainingInterruptedError
    from ptychonyx.runtime.files import refuse_destroying_inputs
    from ptychonyx.runtime.formats import load_probe
    from ptychonyx.training import load_config
    from ptychonyx.training import train as run
    from ptychonyx.training.distributed.launch import launch
    from ptychonyx.training.distributed.slurm import REQUEUE, requeue
    from ptychonyx.training.distributed.workers import find_workers
    from ptychonyx.training.loggers import log_to_mlflow, log_to_tensorboard

    from .training_progress import show_training

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
    read = [file for path in scans for file in scan_files(path)]
    read += [path for path in (config, probe, init_from) if path is not None]
    refuse_destroying_inputs(read, emptied=[output] if overwrite else [])
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
    loaded = [load_asked(path, settings.quantity, settings.position_origin, None) for path in scans]
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
                requeue(os.environ, is_first=workers.is_first)
            raise
    if not workers.is_first:
        return
    say(
        f"Trained with {result.backend}: best epoch {result.best_epoch} of {result.epochs}, "
        f"validation loss {result.best_validation_loss:.6g}. "
        f"Next: ptychonyx export {output} -o model.onnx"
    )
