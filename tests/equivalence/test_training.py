"""Training goes the same way in both backends: steps, epochs, schedules, resuming."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from equivalence.cases import (
    BACKENDS,
    TOLERANCE,
    backend,
    config_of,
    network_of,
    network_with,
)

from ptychonyx.runtime.errors import TrainingInterruptedError
from ptychonyx.runtime.scan import Scan
from ptychonyx.training import TrainingConfig, Watcher, train
from ptychonyx.training.data.feed import Feed
from ptychonyx.training.data.samples import Samples
from ptychonyx.training.distributed.workers import Workers
from ptychonyx.training.network.weights import Weights, load_weights
from ptychonyx.training.physics.losses import Batch
from ptychonyx.training.run import open_run

pytestmark = [pytest.mark.tensorflow, pytest.mark.pytorch]

STEP_SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "poisson": ("cnn poisson", {}),
    # at 1e-3 the 13th and 17th steps cross kinks of ReLUs, where rounding becomes 1e-4
    "amplitude, C=4, trained probe": ("cnn C=4 amplitude, trained probe", {"learning_rate": 1e-4}),
    "AdamW": ("cnn poisson", {"optimizer": "adamw", "weight_decay": 0.1}),
    "clipped": ("cnn poisson", {"gradient_clip_norm": 0.01}),
    "trained probe, accumulated and clipped": (
        "cnn C=1, four merged, trained probe",
        {"accumulate_batches": 3, "gradient_clip_norm": 0.05},
    ),
    "accumulated": ("cnn amplitude", {"accumulate_batches": 3, "gradient_clip_norm": 0.05}),
}


def steps_pytorch(
    config: TrainingConfig, samples: Samples, network: Any, folder: Path
) -> list[float]:
    """Take the steps that Lightning's Trainer takes: mean gradient, clip, AdamW."""
    import torch
    from lightning.pytorch.callbacks import LambdaCallback

    losses: list[float] = []

    def record(trainer: Any, module: Any, *_: Any) -> None:
        losses.append(float(module.last_loss))

    module, train = backend("pytorch", "module"), backend("pytorch", "train")
    once = dataclasses.replace(config, epochs=1)
    with train.quiet():
        recording = LambdaCallback(on_train_batch_end=record)
        trainer = train.make_trainer(once, Workers(), [recording], folder=folder)
        trainer.fit(
            module.TrainingModule(network, config, samples.constants),
            twenty_batches(samples, partial(module.to_tensors, dtype=torch.float64)),
        )
    return losses


def steps_tensorflow(config: TrainingConfig, samples: Samples, network: Any) -> list[float]:
    import tensorflow as tf

    module, train = backend("tensorflow", "module"), backend("tensorflow", "train")
    trained = module.TrainingModule(network, config, samples.constants)
    step = train.make_step(trained, tf.distribute.get_strategy())
    batches = twenty_batches(samples, partial(module.to_tensors, dtype=tf.float64))
    return [
        step(parts, wants_stop=False, with_update=number % config.accumulate_batches == 0)[0]
        for number, parts in enumerate(batches, start=1)
    ]


def twenty_batches(samples: Samples, to_tensors: Callable[[Batch], Batch]) -> Feed:
    def order() -> Iterator[np.ndarray]:
        epochs = (samples.training_batches(batch_size=8, seed=0, epoch=n) for n in range(20))
        return itertools.islice(itertools.chain.from_iterable(epochs), 20)

    return Feed(samples, Workers(), to_tensors, order, num_batches=20)


@pytest.mark.parametrize(("case", "changes"), STEP_SETTINGS.values(), ids=STEP_SETTINGS)
def test_twenty_steps_agree_in_float64(
    case: str,
    changes: dict[str, Any],
    samples_of: Callable[[str], Samples],
    weights_of: Callable[[str, str], Weights],
    tmp_path: Path,
) -> None:
    config, weights = config_of(case, **changes), weights_of(case, "fresh")
    networks = {name: network_with(name, network_of(case), weights, "float64") for name in BACKENDS}
    losses = steps_tensorflow(config, samples_of(case), networks["tensorflow"])
    np.testing.assert_allclose(
        losses,
        steps_pytorch(config, samples_of(case), networks["pytorch"], tmp_path),
        rtol=TOLERANCE["losses of 20 steps, float64"],
    )


EPOCH_SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "accumulated and clipped by Lightning": {"accumulate_batches": 3, "gradient_clip_norm": 0.05},
    "C=4, trained probe": {"num_channels": 4, "trainable_probe": True, "trainable_gain": True},
    "ptychopinn": {"architecture": "ptychopinn"},
}


@pytest.mark.parametrize("changes", EPOCH_SETTINGS.values(), ids=EPOCH_SETTINGS)
def test_an_epoch_agrees_and_a_run_continues_in_the_other(
    changes: dict[str, Any], small_scan: Scan, tmp_path: Path
) -> None:
    common = {"filters": 0.25, "epochs": 1, "batch_size": 8, "validation_fraction": 0.2} | changes
    results, rows, weights = {}, {}, {}
    for name in BACKENDS:
        config = TrainingConfig(backend=name, **common)
        results[name] = train([small_scan], config, tmp_path / name)
        rows[name] = open_run(tmp_path / name).history()
        weights[name] = load_weights(tmp_path / name)
        assert results[name].backend == name
    for column in ("training_loss", "validation_loss"):
        one, other = (float(rows[name][1][column]) for name in BACKENDS)
        assert one == pytest.approx(other, rel=TOLERANCE["loss after an epoch, float32"])
    if "trainable_probe" in changes:
        return  # the probe does not go along with the weights
    for source, target in (BACKENDS, BACKENDS[::-1]):
        folder = tmp_path / f"{source}-{target}"
        config = TrainingConfig(backend=target, **common)
        train([small_scan], config, folder, init_from=tmp_path / source)
        assert float(open_run(folder).history()[0]["validation_loss"]) == pytest.approx(
            results[source].best_validation_loss, rel=TOLERANCE["continued run"]
        )


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("num_channels", [1, 4])
def test_interrupted_run_ends_as_the_uninterrupted_one(
    name: str, num_channels: int, small_scan: Scan, tmp_path: Path
) -> None:
    config = TrainingConfig(
        backend=name,
        filters=0.25,
        epochs=3,
        batch_size=8,
        num_channels=num_channels,
        trainable_probe=True,
        schedule="cosine",
        validation_fraction=0.2,
    )
    train([small_scan], config, tmp_path / "whole")
    batches_seen = [0]

    def should_stop() -> bool:
        batches_seen[0] += 1
        return batches_seen[0] == 6  # in the second epoch

    with pytest.raises(TrainingInterruptedError, match="keeps 1 whole epoch"):
        train([small_scan], config, tmp_path / "cut", watcher=Watcher(should_stop=should_stop))
    train([small_scan], config, tmp_path / "cut")
    whole, cut = load_weights(tmp_path / "whole"), load_weights(tmp_path / "cut")
    for key in whole:
        np.testing.assert_array_equal(whole[key], cut[key])
    np.testing.assert_array_equal(
        open_run(tmp_path / "whole").probe(), open_run(tmp_path / "cut").probe()
    )


def rate_in_checkpoint(name: str, folder: Path) -> float:
    """Return the learning rate that the optimiser itself had, from its native checkpoint."""
    (checkpoint,) = open_run(folder).checkpoints.glob("epoch-*")
    if name == "pytorch":
        import torch

        state = torch.load(checkpoint, weights_only=True)
        return float(state["optimizer_states"][0]["param_groups"][0]["lr"])
    import h5py

    with h5py.File(checkpoint) as file:
        return float(file["optimizer/vars/1"][()])


SCHEDULES = {
    "constant": [4e-3, 4e-3, 4e-3, 4e-3],
    "exponential": [4e-3, 2e-3, 1e-3, 5e-4],
    "cosine": [4e-3, 3.125e-3, 1.375e-3, 5e-4],
    "plateau": [4e-3, 4e-3, 4e-3, 4e-3],
}


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize(
    "schedule",
    [
        # the policy decides about all of them alike; one that falls in each step is enough by default
        pytest.param(name, marks=() if name == "cosine" else pytest.mark.slow)
        for name in SCHEDULES
    ],
)
def test_a_schedule_moves_the_rate_of_the_optimiser(
    schedule: str, name: str, small_scan: Scan, tmp_path: Path
) -> None:
    config = TrainingConfig(
        backend=name,
        filters=0.25,
        epochs=4,
        schedule=schedule,
        learning_rate=4e-3,
        min_learning_rate=5e-4,
        batch_size=32,
    )
    used: list[float] = []
    rows: list[float] = []

    def on_epoch(row: Any) -> None:
        if row.epoch:
            rows.append(row.learning_rate)
            used.append(rate_in_checkpoint(name, tmp_path / "run"))

    train([small_scan], config, tmp_path / "run", watcher=Watcher(on_epoch=on_epoch))
    np.testing.assert_allclose(used, SCHEDULES[schedule], rtol=1e-6)
    np.testing.assert_allclose(rows, used, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", BACKENDS)
def test_bfloat16_trains_to_nearly_the_same_loss(
    name: str, small_scan: Scan, tmp_path: Path
) -> None:
    losses = {}
    for precision in ("float32", "bfloat16"):
        config = TrainingConfig(
            backend=name, filters=0.25, epochs=3, batch_size=8, precision=precision
        )
        losses[precision] = train([small_scan], config, tmp_path / precision).best_validation_loss
    assert losses["bfloat16"] != losses["float32"]  # it is really computed otherwise
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.05)


@pytest.mark.parametrize("name", BACKENDS)
def test_without_validation_the_training_loss_decides(
    name: str, small_scan: Scan, tmp_path: Path
) -> None:
    config = TrainingConfig(backend=name, filters=0.25, epochs=2, validation_fraction=0)
    result = train([small_scan], config, tmp_path / "run")
    rows = open_run(tmp_path / "run").history()
    assert [row["validation_loss"] for row in rows] == ["", "", ""]
    assert result.best_validation_loss == min(float(row["training_loss"]) for row in rows[1:])


@pytest.mark.parametrize("name", BACKENDS)
def test_trained_probe_reaches_the_run_folder(name: str, small_scan: Scan, tmp_path: Path) -> None:
    probes = {}
    for trainable in (False, True):
        config = TrainingConfig(
            backend=name,
            filters=0.25,
            epochs=3,
            validation_fraction=0,
            trainable_probe=trainable,
            trainable_gain=trainable,
        )
        train([small_scan], config, tmp_path / str(trainable))
        probes[trainable] = open_run(tmp_path / str(trainable)).probe()
    assert probes[True].shape == probes[False].shape
    for before, after in zip(probes[False], probes[True], strict=True):  # every mode
        assert np.linalg.norm(after - before) > 1e-3 * np.linalg.norm(before)
