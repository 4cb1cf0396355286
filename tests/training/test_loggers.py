"""TensorBoard and MLflow get what history.csv gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from ptychonyx.training.config.config import TrainingConfig
from ptychonyx.training.loggers import log_to_mlflow, log_to_tensorboard
from ptychonyx.training.run import EpochRow

ROWS = [EpochRow(0, None, 2.0, 1e-3, 0.0, 0), EpochRow(1, 1.5, 1.25, 1e-3, 2.0, 100)]


def test_tensorboard_has_every_epoch(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event

    with log_to_tensorboard(tmp_path) as log:
        for row in ROWS:
            log(row)
    data = next(tmp_path.iterdir()).read_bytes()
    found, place = [], 0
    while place < len(data):  # length (8 bytes), its checksum (4), the event, its checksum (4)
        length = int.from_bytes(data[place : place + 8], "little")
        event = Event.FromString(data[place + 12 : place + 12 + length])
        found += [(event.step, value.tag, value.simple_value) for value in event.summary.value]
        place += 16 + length
    assert (0, "validation_loss", 2.0) in found
    assert (1, "training_loss", 1.5) in found
    assert (1, "samples_per_s", 50.0) in found
    assert not [each for each in found if each[:2] == (0, "training_loss")]


def test_mlflow_has_the_configuration_and_every_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    uri = tmp_path.as_uri()
    with log_to_mlflow(uri, "star", TrainingConfig(filters=0.5)) as log:
        for row in ROWS:
            log(row)
    client = mlflow.MlflowClient(uri)
    experiment = client.get_experiment_by_name("ptychonyx").experiment_id
    (run,) = client.search_runs([experiment])
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "star"
    assert run.data.params["filters"] == "0.5"
    history = client.get_metric_history(run.info.run_id, "validation_loss")
    assert [(point.step, point.value) for point in history] == [(0, 2.0), (1, 1.25)]
    with pytest.raises(ZeroDivisionError), log_to_mlflow(uri, "bad", TrainingConfig()):
        raise ZeroDivisionError
    assert {run.info.status for run in client.search_runs([experiment])} == {"FINISHED", "FAILED"}


@pytest.mark.parametrize("name", ["tensorboardX", "mlflow"])
def test_what_is_missing_is_named_with_its_cure(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(module: str) -> object:
        raise ImportError(module)

    monkeypatch.setattr("ptychonyx.training.loggers.import_module", missing)
    opened = {
        "tensorboardX": lambda: log_to_tensorboard(tmp_path),
        "mlflow": lambda: log_to_mlflow("http://127.0.0.1:1", "x", TrainingConfig()),
    }[name]
    with pytest.raises(RuntimeError, match=rf"{name} is not installed.*\[loggers\]"), opened():
        pass
