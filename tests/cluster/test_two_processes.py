"""Two processes train what one process with the same batches trains, in both backends."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cluster.conftest import COMMAND, Start, finish
from cluster.train_and_tell import SGD, Losses

from ptychonyx.runtime.errors import TrainingInterruptedError
from ptychonyx.runtime.formats import load_scan, save_scan
from ptychonyx.runtime.scan import Scan
from ptychonyx.runtime.simulation.scan import SimulationOptions, simulate_scan
from ptychonyx.training import TrainingConfig, Watcher, train
from ptychonyx.training.distributed.workers import Workers
from ptychonyx.training.network.weights import load_weights
from ptychonyx.training.run import open_run

pytestmark = pytest.mark.integration

BACKENDS = [
    pytest.param(name, marks=getattr(pytest.mark, name)) for name in ("tensorflow", "pytorch")
]
TELL = [sys.executable, str(Path(__file__).with_name("train_and_tell.py"))]
SAME_LOSS = 1e-4
"""Relative: the sums of two halves of a batch are rounded in another order, 20 times over."""
SAME_WEIGHTS = 1e-5
"""Absolute, of weights of about 0.1, after 20 steps that move them by 1e-3 and more."""


@pytest.mark.parametrize("name", BACKENDS)
def test_two_processes_train_as_one(
    name: str, small_scan: Scan, tmp_path: Path, start: Start
) -> None:
    scan = tmp_path / "scan.npz"
    save_scan(small_scan, scan)
    options = ("--backend", name, "--quantity", "counts", "--filters", 0.25, "--batch-size", 8)
    training = start(
        [*COMMAND, "train", scan, *options, "--epochs", 1, "--devices", 2, "-o", tmp_path / "two"]
    )
    config = TrainingConfig(backend=name, quantity="counts", filters=0.25, batch_size=8, epochs=1)
    train([small_scan], config, tmp_path / "one")
    assert f"Trained with {name}" in finish(training, within_s=100)
    one, two = (open_run(tmp_path / folder) for folder in ("one", "two"))
    assert files_of(one.path) == files_of(two.path)
    for row, other in zip(one.history(), two.history(), strict=True):
        assert row["num_samples"] == other["num_samples"]
        for column in ("training_loss", "validation_loss"):
            if row[column]:
                assert float(row[column]) == pytest.approx(float(other[column]), rel=SAME_LOSS)


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


STEPS: dict[str, dict[str, Any]] = {
    # The standard settings, on one scan. Adam's first steps are as large for a gradient that is mere
    # rounding as for any other: with a trained probe, or doses that differ thirtyfold, two runs that
    # round in another order drift apart by 2e-4 to 3e-4 within 20 steps.
    "Adam": {"learning_rate": 1e-3},
    # Twenty plain steps, on one scan.
    "plain": {"learning_rate": 0.01},
    # Two scans, groups, several losses, a trained probe: all that is averaged over a batch.
    "plain, accumulated": {
        "learning_rate": 0.01,
        "num_merged": 4,
        "max_distance_px": 20.0,
        "loss": {"poisson": 1.0, "amplitude": 0.5, "total_variation": 0.1},
        "accumulate_batches": 3,
        "gradient_clip_norm": 1.0,
        "trainable_probe": True,
        "trainable_gain": True,
    },
}


@pytest.fixture(scope="module")
def scan_files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two scans; the first makes 20 batches of 16, the last one of 13, both make 29, the last one of 16."""
    folder = tmp_path_factory.mktemp("scans")
    bad_pixels = np.zeros((32, 32), dtype=np.bool_)
    bad_pixels[3, 5] = bad_pixels[20, 17] = True
    first = SimulationOptions(num_patterns=317, window_px=32, step_px=3, counts_per_pattern=1e5)
    second = SimulationOptions(
        num_patterns=147, window_px=32, step_px=3, counts_per_pattern=3e3, num_modes=1
    )
    scans = [
        dataclasses.replace(simulate_scan(first, np.random.default_rng(0)), bad_pixels=bad_pixels),
        simulate_scan(second, np.random.default_rng(1)),
    ]
    paths = [str(folder / name) for name in ("first.npz", "second.npz")]
    for scan, path in zip(scans, paths, strict=True):
        save_scan(scan, path)
    return paths


@pytest.mark.slow
@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("case", STEPS)
def test_twenty_steps_of_two_processes_are_those_of_one(
    case: str,
    name: str,
    scan_files: list[str],
    tmp_path: Path,
    start: Start,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    is_plain = case.startswith("plain")
    values: dict[str, Any] = {"backend": name, "filters": 0.25, "batch_size": 16, "epochs": 1}
    values |= {"architecture": "cnn"}
    values |= {"validation_fraction": 0, "schedule": "constant", **STEPS[case]}
    paths = scan_files if case == "plain, accumulated" else scan_files[:1]
    settings = {"is_sgd": is_plain, "scans": paths, "config": values, "devices": 2}
    settings |= {"output": str(tmp_path / "two")}
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    training = start([*TELL, tmp_path / "settings.json"])
    if is_plain:
        SGD[name](monkeypatch.setattr)
    losses = Losses()
    scans = [load_scan(path, quantity="counts") for path in paths]
    train(scans, TrainingConfig(**values), tmp_path / "one", watcher=Watcher(on_batch=losses.add))
    finish(training, within_s=110)
    told = [json.loads((tmp_path / f"two-{rank}.json").read_text()) for rank in (0, 1)]
    assert len(losses.found) >= 20
    np.testing.assert_allclose(told[0][:20], losses.found[:20], rtol=SAME_LOSS)
    assert told[0] == told[1]  # all processes know the loss of the whole batch
    one, two = (load_weights(tmp_path / folder) for folder in ("one", "two"))
    if is_plain:
        for key, weights in one.items():
            np.testing.assert_allclose(two[key], weights, rtol=0, atol=SAME_WEIGHTS)


@pytest.mark.pytorch
def test_fsdp_without_a_gpu_and_clipping_with_it_are_refused(
    small_scan: Scan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    workers = Workers(strategy="fsdp")
    for clip_norm, message in (
        (None, "requires a GPU accelerator"),
        (1.0, "no process sees the whole gradient; use ddp"),
    ):
        config = TrainingConfig(
            backend="pytorch", filters=0.25, epochs=1, gradient_clip_norm=clip_norm
        )
        with pytest.raises(ValueError, match=message):
            train([small_scan], config, tmp_path / message[:10], workers=workers)


@pytest.mark.pytorch
def test_a_stopped_run_is_no_lost_worker_whatever_its_folder_is_called() -> None:
    from ptychonyx.training.pytorch.strategy import is_lost_worker

    assert is_lost_worker(RuntimeError("Connection closed by peer"))
    assert not is_lost_worker(TrainingInterruptedError("connectome/run keeps 3 whole epochs."))
