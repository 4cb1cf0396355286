"""A run of a solver's training: what it leaves, how it resumes, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ptychonyx.runtime import SimulationOptions, simulate_scan
from ptychonyx.runtime.errors import TrainingInterruptedError
from ptychonyx.training import Watcher
from ptychonyx.training.config.solver import SolverConfig, load_solver_config
from ptychonyx.training.network.weights import load_weights, save_weights
from ptychonyx.training.run import EpochRow, open_run
from ptychonyx.training.solver.train import train_solver

pytest.importorskip("torch")
pytest.importorskip("lightning")


def small(**changes: Any) -> SolverConfig:
    values: dict[str, Any] = {
        "backend": "pytorch",
        "widths": (4, 6),
        "epochs": 2,
        "steps_per_epoch": 4,
        "batch_size": 1,
        "num_groups": 2,
        "validation_scans": 1,
        "validation_passes": 2,
    }
    return SolverConfig(**values | changes)


def test_a_run_is_left_that_describes_itself(tmp_path: Path) -> None:
    rows: list[EpochRow] = []
    result = train_solver(small(), tmp_path / "run", watcher=Watcher(on_epoch=rows.append))
    assert (result.backend, result.epochs) == ("pytorch", 2)
    assert [row.epoch for row in rows] == [0, 1, 2]
    assert rows[1].num_samples == 4
    run = open_run(tmp_path / "run")
    assert run.config == small()
    assert "finished" in run.provenance()
    assert len(run.history()) == 3
    assert not run.probe_file.exists()
    best = min(rows, key=lambda row: row.deciding_loss)
    assert result.best_epoch == best.epoch
    assert result.best_validation_loss == pytest.approx(best.deciding_loss)


def test_a_run_that_was_stopped_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    train_solver(small(), tmp_path / "whole")
    seen: list[float] = []
    watcher = Watcher(
        on_batch=lambda samples, loss: seen.append(loss), should_stop=lambda: len(seen) == 5
    )
    with pytest.raises(TrainingInterruptedError, match="keeps 1 whole epochs"):
        train_solver(small(), tmp_path / "stopped", watcher=watcher)
    train_solver(small(), tmp_path / "stopped")
    files = ["weights.safetensors", "checkpoints/epoch-00002.safetensors"]
    for file in files:
        assert (tmp_path / "stopped" / file).read_bytes() == (
            tmp_path / "whole" / file
        ).read_bytes()


def test_weights_of_another_network_are_no_start(tmp_path: Path) -> None:
    other = {"first.weight": np.zeros((3, 3, 3, 3), np.float32)}
    save_weights(other, tmp_path / "weights.safetensors")
    with pytest.raises(ValueError, match="solver, widths"):
        train_solver(small(), tmp_path / "run", init_from=tmp_path)
    assert not (tmp_path / "run").exists()


def test_a_start_is_gone_on_from(tmp_path: Path) -> None:
    train_solver(small(), tmp_path / "first")
    config = small(seed=1, learning_rate=1e-12, min_learning_rate=1e-12)
    train_solver(config, tmp_path / "second", init_from=tmp_path / "first")
    mine, its = (load_weights(tmp_path / name) for name in ("first", "second"))
    for name in mine:
        np.testing.assert_allclose(its[name], mine[name], atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backend": "jax"}, "expected exactly"),
        ({"epochs": 0}, "`epochs` is 0, expected at least 1"),
        ({"num_groups": 1}, "`num_groups` is 1, expected at least 2"),
        ({"learning_rate": 0.0}, "`learning_rate` is 0.0, expected a positive number"),
        ({"schedule": "plateau"}, "cosine, constant, exponential"),
        ({"warmup_epochs": 2}, "`warmup_epochs` is 2, expected below `epochs`"),
        ({"seed": -1}, "`seed` is -1"),
    ],
)
def test_settings_out_of_range_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small(**changes)


def test_a_configuration_survives_its_file(tmp_path: Path) -> None:
    small().save(tmp_path / "config.yaml")
    assert load_solver_config(tmp_path / "config.yaml") == small()
    with pytest.raises(ValueError, match="Unknown training setting `filters`"):
        load_solver_config(overrides={"filters": 2})
    with pytest.raises(ValueError, match="expected int"):
        load_solver_config(overrides={"widths": ["wide"]})


def test_measured_scans_are_learned_from_and_noted(tmp_path: Path) -> None:
    options = SimulationOptions(num_patterns=64, window_px=32, step_px=4, num_modes=1)
    scan = simulate_scan(options, np.random.default_rng(0))
    losses: list[float] = []
    watcher = Watcher(on_batch=lambda _, loss: losses.append(loss))
    train_solver(small(epochs=1), tmp_path / "own", scans=[scan], watcher=watcher)
    [noted] = open_run(tmp_path / "own").provenance()["inputs"]
    assert (noted["name"], noted["num_patterns"]) == (scan.name, 64)
    own, losses[:] = [*losses], []
    train_solver(small(epochs=1), tmp_path / "drawn", watcher=watcher)
    assert len(own) == len(losses) > 0
    assert own != losses
