"""Both frameworks compute the same: losses, gradients, steps, exports.

Tolerances, with their reasons, are in one table; a test that exceeds one is a finding.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from ptychonyx.runtime.scan import Scan
from ptychonyx.training import physics
from ptychonyx.training.architecture import Architecture
from ptychonyx.training.config import TrainingConfig
from ptychonyx.training.samples import Samples, prepare_samples
from ptychonyx.training.simulate import SimulationSpec, simulate
from ptychonyx.training.train import train
from ptychonyx.training.weights import Weights, draw_weights, load_weights

pytestmark = [pytest.mark.tensorflow, pytest.mark.pytorch]

BACKENDS = ("tensorflow", "pytorch")
TOLERANCE = {
    "native against native": 1e-5,  # sums in another order, through the phase head
    "loss against oracle": 1e-5,
    "gradient float32": 1e-3,  # of the parameter's own norm; a prototype had 3e-4
    "gradient float32, of the global norm": 1e-6,  # for gradients that are zero in theory
    "gradient float64": 1e-7,
    "losses of 20 steps, float64": 1e-6,
    "loss after an epoch, float32": 1e-2,  # rounding grows from step to step
    "continued run": 1e-5,
}


def backend(name: str, part: str) -> Any:
    return import_module(f"ptychonyx.training.{name}.{part}")


def network_with(name: str, architecture: Architecture, weights: Weights, dtype: str) -> Any:
    module = backend(name, "network")
    network = module.build_network(architecture, dtype=dtype)
    module.set_weights(network, weights)
    return network


@pytest.fixture(scope="module")
def samples(small_scan: Scan) -> Samples:
    bad_pixels = np.zeros((32, 32), dtype=np.bool_)
    bad_pixels[3, 5] = bad_pixels[20, 17] = True
    second = simulate(
        SimulationSpec(num_patterns=12, window_px=32, num_modes=1, counts_per_pattern=3e3),
        np.random.default_rng(1),
    )
    scans = [dataclasses.replace(small_scan, bad_pixels=bad_pixels), second]
    return prepare_samples(scans, validation_fraction=0.2)


@pytest.fixture(scope="module")
def architecture() -> Architecture:
    return Architecture(window_px=32, filters=0.25)


@pytest.fixture(scope="module", params=["fresh", "trained"])
def weights(
    request: pytest.FixtureRequest,
    architecture: Architecture,
    small_scan: Scan,
    tmp_path_factory: pytest.TempPathFactory,
) -> Weights:
    if request.param == "fresh":
        return draw_weights(architecture, np.random.default_rng(3))
    folder = tmp_path_factory.mktemp("trained") / "run"
    train([small_scan], TrainingConfig(backend="pytorch", filters=0.25, epochs=4), folder)
    return load_weights(folder)


INDEXES = np.array([0, 5, 45, 11, 50, 2, 7, 31])
"""Samples of both scans, mixed."""


def oracle_loss(name: str, samples: Samples, patches: np.ndarray) -> float:
    scan, constants = samples.scan[INDEXES], samples.constants
    return physics.loss(
        name,
        physics.predict_rate(patches, constants.probe.astype(np.complex128)[scan]),
        samples.amplitude[INDEXES].astype(np.float64) ** 2,
        good_pixels=constants.good_pixels.astype(np.float64)[scan],
        mean_count=constants.mean_count.astype(np.float64)[scan],
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", physics.PIXEL_LOSSES)
def test_losses_and_gradients_agree(
    loss: str, dtype: str, samples: Samples, architecture: Architecture, weights: Weights
) -> None:
    values, gradients = {}, {}
    for name in BACKENDS:
        network = network_with(name, architecture, weights, dtype)
        values[name], gradients[name] = backend(name, "train").loss_and_gradients(
            loss, network, samples, INDEXES
        )
    patches = []
    for index in INDEXES:
        module = backend("pytorch", "network")
        network = network_with("pytorch", architecture, weights, "float32")
        scale = float(samples.constants.scale[samples.scan[index]])
        patches.append(module.predict(network, samples.amplitude[[index]], scale)[0])
    expected = oracle_loss(loss, samples, np.array(patches).astype(np.complex128))
    for name in BACKENDS:
        assert values[name] == pytest.approx(expected, rel=TOLERANCE["loss against oracle"])
    global_norm = np.sqrt(sum(np.sum(array**2) for array in gradients["pytorch"].values()))
    for key, reference in gradients["pytorch"].items():
        difference = np.linalg.norm(gradients["tensorflow"][key] - reference)
        allowed = TOLERANCE[f"gradient {dtype}"] * np.linalg.norm(reference)
        if dtype == "float32":
            allowed = max(allowed, TOLERANCE["gradient float32, of the global norm"] * global_norm)
        assert difference <= allowed, key


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("loss", physics.PIXEL_LOSSES)
def test_gradient_is_the_slope_of_the_oracle(
    name: str, loss: str, samples: Samples, architecture: Architecture
) -> None:
    weights = draw_weights(architecture, np.random.default_rng(3))
    network = network_with(name, architecture, weights, "float64")
    _, gradients = backend(name, "train").loss_and_gradients(loss, network, samples, INDEXES)
    key = "amplitude.head.bias"
    step = 1e-3
    ends = []
    for sign in (1, -1):
        moved = dict(weights) | {key: (weights[key] + sign * step).astype(np.float32)}
        value, _ = backend(name, "train").loss_and_gradients(
            loss, network_with(name, architecture, moved, "float64"), samples, INDEXES
        )
        ends.append(value)
    assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(gradients[key][0], rel=1e-4)


def steps_pytorch(samples: Samples, architecture: Architecture, weights: Weights) -> list[float]:
    import torch

    module = backend("pytorch", "train")
    network = network_with("pytorch", architecture, weights, "float64")
    constants = module.Constants(samples.constants, torch.float64)
    optimizer = module.make_optimizer(network, 1e-3)
    losses = []
    for indexes in first_batches(samples):
        optimizer.zero_grad()
        amplitude = torch.from_numpy(samples.amplitude[indexes]).double()
        scan = torch.from_numpy(samples.scan[indexes])
        value = module.batch_loss("poisson", network, constants, amplitude, scan)
        value.backward()
        optimizer.step()
        losses.append(float(value.detach()))
    return losses


def steps_tensorflow(samples: Samples, architecture: Architecture, weights: Weights) -> list[float]:
    import tensorflow as tf

    module = backend("tensorflow", "train")
    network = network_with("tensorflow", architecture, weights, "float64")
    constants = module.Constants(samples.constants, tf.float64)
    optimizer = module.make_optimizer(network, 1e-3)
    step = module.make_step(TrainingConfig(), network, constants, optimizer)
    return [
        float(
            step(
                tf.cast(samples.amplitude[indexes], tf.float64), tf.constant(samples.scan[indexes])
            )
        )
        for indexes in first_batches(samples)
    ]


def first_batches(samples: Samples) -> list[np.ndarray]:
    found: list[np.ndarray] = []
    for epoch in range(20):
        found += samples.training_batches(batch_size=8, seed=0, epoch=epoch)
    return found[:20]


def test_twenty_steps_agree_in_float64(samples: Samples, architecture: Architecture) -> None:
    weights = draw_weights(architecture, np.random.default_rng(3))
    np.testing.assert_allclose(
        steps_tensorflow(samples, architecture, weights),
        steps_pytorch(samples, architecture, weights),
        rtol=TOLERANCE["losses of 20 steps, float64"],
    )


def test_an_epoch_agrees_and_a_run_continues_in_the_other(small_scan: Scan, tmp_path: Path) -> None:
    results, rows = {}, {}
    for name in BACKENDS:
        config = TrainingConfig(backend=name, filters=0.25, epochs=1, batch_size=8)
        results[name] = train([small_scan], config, tmp_path / name)
        rows[name] = history(tmp_path / name)
        assert results[name].backend == name
    for column in ("training_loss", "validation_loss"):
        one, other = (float(rows[name][1][column]) for name in BACKENDS)
        assert one == pytest.approx(other, rel=TOLERANCE["loss after an epoch, float32"])
    for source, target in (BACKENDS, BACKENDS[::-1]):
        folder = tmp_path / f"{source}-{target}"
        config = TrainingConfig(backend=target, filters=0.25, epochs=1, batch_size=8)
        train([small_scan], config, folder, init_from=tmp_path / source)
        assert float(history(folder)[0]["validation_loss"]) == pytest.approx(
            results[source].best_validation_loss, rel=TOLERANCE["continued run"]
        )


def history(folder: Path) -> list[dict[str, str]]:
    from ptychonyx.training.run import open_run

    return open_run(folder).history()


@pytest.mark.parametrize("name", BACKENDS)
def test_interrupted_run_ends_as_the_uninterrupted_one(
    name: str, small_scan: Scan, tmp_path: Path
) -> None:
    from ptychonyx.training.train import TrainingInterruptedError, Watcher

    config = TrainingConfig(backend=name, filters=0.25, epochs=3, batch_size=8)
    train([small_scan], config, tmp_path / "whole")
    batches_seen = [0]

    def should_stop() -> bool:
        batches_seen[0] += 1
        return batches_seen[0] == 7  # in the second epoch

    with pytest.raises(TrainingInterruptedError, match="keeps 1 whole epoch"):
        train([small_scan], config, tmp_path / "cut", watcher=Watcher(should_stop=should_stop))
    train([small_scan], config, tmp_path / "cut")
    whole, cut = load_weights(tmp_path / "whole"), load_weights(tmp_path / "cut")
    for key in whole:
        np.testing.assert_array_equal(whole[key], cut[key])


@pytest.mark.parametrize("window_px", [64, 128])
def test_same_weights_give_the_same_bits(
    window_px: int, tmp_path: Path, exported: Callable[[str, int], Path]
) -> None:
    from ptychonyx.runtime.model import Model

    models = {name: Model(exported(name, window_px), provider="cpu") for name in BACKENDS}
    rng = np.random.default_rng(0)
    for batch in (1, 7, 64):
        amplitude = rng.exponential(10, (batch, 1, window_px, window_px)).astype(np.float32)
        first, second = (models[name].predict(amplitude, 0.05) for name in BACKENDS)
        assert first.shape == (batch, 1, window_px // 2, window_px // 2)
        assert np.array_equal(first, second)
        assert np.ptp(np.abs(first)) > 0  # a flat answer would prove nothing


@pytest.mark.parametrize("name", BACKENDS)
def test_exported_model_matches_the_native_network_at_other_batches(
    name: str, exported: Callable[[str, int], Path]
) -> None:
    from ptychonyx.export.verify import native_patches
    from ptychonyx.runtime.model import Model

    model = Model(exported(name, 64), provider="cpu")
    amplitude = np.random.default_rng(1).exponential(10, (5, 1, 64, 64)).astype(np.float32)
    native = native_patches(
        name,
        Architecture(window_px=64, filters=0.25),
        drawn(64),
        amplitude,
        scale=0.05,
        patch_px=32,
    )
    difference = np.abs(model.predict(amplitude, 0.05) - native).max()
    assert difference <= TOLERANCE["native against native"]
    assert model.verify().passed


@pytest.mark.parametrize("name", BACKENDS)
def test_same_run_exports_to_the_same_bytes(
    name: str, tmp_path: Path, exported: Callable[[str, int], Path]
) -> None:
    from ptychonyx.export import export_run

    first = exported(name, 64)
    again = tmp_path / first.name
    export_run(first.parent / "run", again)
    assert again.read_bytes() == first.read_bytes()


def drawn(window_px: int) -> Weights:
    weights = draw_weights(
        Architecture(window_px=window_px, filters=0.25), np.random.default_rng(5)
    )
    rng = np.random.default_rng(6)
    return {
        key: rng.normal(0, 0.05, array.shape).astype(np.float32) if key.endswith("bias") else array
        for key, array in weights.items()
    }


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, int], Path]:
    """Return the model file of the same drawn weights for a backend and a window."""
    from ptychonyx.export import export_run
    from ptychonyx.training.run import start_run
    from ptychonyx.training.weights import save_weights

    done: dict[tuple[str, int], Path] = {}

    def export(name: str, window_px: int) -> Path:
        if (name, window_px) not in done:
            folder = tmp_path_factory.mktemp(f"{name}{window_px}")
            spec = SimulationSpec(num_patterns=1, window_px=window_px, num_modes=2)
            probe = simulate(spec, np.random.default_rng(0)).probe
            assert probe is not None
            described = {
                "window_px": window_px,
                "input_scale": 0.05,
                "num_patterns": 1,
                "probe_source": "file",
                "probe_modes": 2,
                "photon_energy_eV": None,
                "pixel_size_m": None,
            }
            config = TrainingConfig(backend=name, filters=0.25)
            run = start_run(
                folder / "run", config, inputs=[described], probe=probe, overwrite=False
            )
            save_weights(drawn(window_px), run.path / "weights.safetensors")
            done[name, window_px] = folder / "model.onnx"
            export_run(run.path, done[name, window_px])
        return done[name, window_px]

    assert onnxruntime.get_available_providers()
    return export


def test_a_differing_model_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exported: Callable[[str, int], Path]
) -> None:
    from ptychonyx.export import export_run, model_file
    from ptychonyx.runtime.errors import ExportMismatchError

    native = model_file.native_patches
    monkeypatch.setattr(
        model_file, "native_patches", lambda *args, **options: native(*args, **options) * 1.001
    )
    folder = exported("pytorch", 64).parent / "run"
    with pytest.raises(ExportMismatchError, match="no model file was written"):
        export_run(folder, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []
