"""Where else a run's epochs go, besides history.csv: TensorBoard and MLflow, if asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from .config.config import TrainingConfig
from .run import EpochRow

EXPERIMENT = "ptychonyx"
"""MLflow's experiment that all runs belong to."""

Log = Callable[[EpochRow], None]


@contextmanager
def log_to_tensorboard(folder: Path) -> Iterator[Log]:
    """Write the numbers of each epoch as TensorBoard events.

    Parameters
    ----------
    folder : path
        For `tensorboard --logdir`.

    Raises
    ------
    RuntimeError
        If tensorboardX is not installed.
    """
    module = _module("tensorboardX", "TensorBoard")
    with ExitStack() as stack:
        writers: list[Any] = []

        def log(row: EpochRow) -> None:
            if not writers:  # only now: the run's own folder must be new when training starts
                writers.append(stack.enter_context(module.SummaryWriter(str(folder))))
            for name, value in _numbers(row).items():
                writers[0].add_scalar(name, value, row.epoch)
            writers[0].flush()

        yield log


@contextmanager
def log_to_mlflow(tracking_uri: str, name: str, config: TrainingConfig) -> Iterator[Log]:
    """Record the configuration and the numbers of each epoch as one MLflow run.

    Parameters
    ----------
    tracking_uri : str
        MLflow's server or database.
    name : str
        Name of the run.
    config : TrainingConfig

    Raises
    ------
    RuntimeError
        If MLflow is not installed.
    """
    client = _module("mlflow", "MLflow").MlflowClient(tracking_uri)
    known = client.get_experiment_by_name(EXPERIMENT)
    experiment = client.create_experiment(EXPERIMENT) if known is None else known.experiment_id
    run_id = client.create_run(experiment, run_name=name).info.run_id
    for key, value in dataclasses.asdict(config).items():
        client.log_param(run_id, key, value)
    status = "FAILED"

    def log(row: EpochRow) -> None:
        for key, value in _numbers(row).items():
            client.log_metric(run_id, key, value, step=row.epoch)

    try:
        yield log
        status = "FINISHED"
    finally:
        client.set_terminated(run_id, status)


def _numbers(row: EpochRow) -> dict[str, float]:
    names = ("training_loss", "validation_loss", "learning_rate", "samples_per_s")
    values = {name: getattr(row, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def _module(name: str, title: str) -> ModuleType:
    try:
        return import_module(name)
    except ImportError as error:
        raise RuntimeError(
            f'{title} was asked for, but {name} is not installed: pip install "ptychonyx[loggers]"'
        ) from error
