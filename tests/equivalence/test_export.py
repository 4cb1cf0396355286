"""Equal weights export to equal bits from both backends, and to what the native network computes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from equivalence.cases import BACKENDS, TOLERANCE
from numpy.typing import NDArray

from ptychonyx.export import ExportMismatchError, export_run
from ptychonyx.export.graph.assemble import with_manifest
from ptychonyx.export.proof import native_patches
from ptychonyx.export.proven import write_proven
from ptychonyx.runtime.model.manifest import Manifest
from ptychonyx.runtime.model.model_file import load_manifest
from ptychonyx.runtime.model.session import Model
from ptychonyx.runtime.simulation.scan import SimulationOptions, simulate_scan
from ptychonyx.training import TrainingConfig
from ptychonyx.training.config.config import architecture_of
from ptychonyx.training.network.backprojection import backprojection_constants
from ptychonyx.training.network.weights import Weights, draw_weights, save_weights
from ptychonyx.training.run import start_run

pytestmark = [pytest.mark.tensorflow, pytest.mark.pytorch]

CASES: dict[str, tuple[int, dict[str, Any]]] = {
    "cnn 64": (64, {}),
    "cnn 128": (128, {}),
    "cnn 64, C=4, softplus": (64, {"num_channels": 4, "amplitude_activation": "softplus"}),
    "cnn 64, whole window": (64, {"patch_px": 64}),
    "unet 64": (64, {"architecture": "unet"}),
    "unet 128, C=4": (128, {"architecture": "unet", "num_channels": 4}),
    "ptychopinn 64": (64, {"architecture": "ptychopinn"}),
    "ptychopinn 128, C=4, swish": (
        128,
        {"architecture": "ptychopinn", "num_channels": 4, "amplitude_activation": "swish"},
    ),
    "ptychopinn 64, no border, relu": (
        64,
        {"architecture": "ptychopinn", "probe_big": False, "amplitude_activation": "relu"},
    ),
    "ptychopinn 64, full window": (64, {"architecture": "ptychopinn", "pad_object": False}),
}

Export = Callable[[str, str], Path]


def config_of(case: str, name: str) -> TrainingConfig:
    standard: dict[str, Any] = {"architecture": "cnn", "filters": 0.25}
    return TrainingConfig(backend=name, **(standard | CASES[case][1]))


def simulated_probe(window_px: int) -> NDArray[np.complex64]:
    spec = SimulationOptions(num_patterns=1, window_px=window_px, num_modes=2)
    probe = simulate_scan(spec, np.random.default_rng(0)).probe
    assert probe is not None
    return probe


def drawn(case: str) -> Weights:
    architecture = architecture_of(config_of(case, "pytorch"), CASES[case][0])
    constants = None
    if architecture.is_backprojected:
        constants = backprojection_constants(simulated_probe(architecture.window_px), 0.05)
    weights = draw_weights(architecture, np.random.default_rng(5), constants)
    rng = np.random.default_rng(6)
    return {
        key: rng.normal(0, 0.05, array.shape).astype(np.float32) if key.endswith("bias") else array
        for key, array in weights.items()
    }


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Export:
    """Return the model file of the same drawn weights for a case and a backend."""
    done: dict[tuple[str, str], Path] = {}

    def export(case: str, name: str) -> Path:
        if (case, name) not in done:
            folder = tmp_path_factory.mktemp("exported")
            window_px = CASES[case][0]
            probe = simulated_probe(window_px)
            described = {
                "window_px": window_px,
                "input_scale": 0.05,
                "num_patterns": 1,
                "probe_source": "file",
                "probe_modes": 2,
                "photon_energy_eV": None,
                "pixel_size_m": None,
            }
            config = config_of(case, name)
            run = start_run(
                folder / "run", config, inputs=[described], probe=probe, overwrite=False
            )
            save_weights(drawn(case), run.weights_file)
            done[case, name] = folder / "model.onnx"
            export_run(run.path, done[case, name])
        return done[case, name]

    return export


@pytest.mark.parametrize("case", CASES)
def test_same_weights_give_the_same_bits(case: str, exported: Export) -> None:
    models = {name: Model(exported(case, name), provider="cpu") for name in BACKENDS}
    manifest = models["pytorch"].manifest
    num_channels, window_px, patch_px = (
        manifest.num_channels,
        manifest.window_px,
        manifest.patch_px,
    )
    rng = np.random.default_rng(0)
    for batch in (1, 7, 64):
        shape = (batch, num_channels, window_px, window_px)
        amplitude = rng.exponential(10, shape).astype(np.float32)
        first, second = (models[name].predict(amplitude, 0.05) for name in BACKENDS)
        assert first.shape == (batch, num_channels, patch_px, patch_px)
        assert np.array_equal(first, second)
        assert np.ptp(np.abs(first)) > 0  # a flat answer would prove nothing


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("case", CASES)
def test_exported_model_matches_the_native_network_at_other_batches(
    case: str, name: str, exported: Export
) -> None:
    model = Model(exported(case, name), provider="cpu")
    manifest = model.manifest
    shape = (5, manifest.num_channels, manifest.window_px, manifest.window_px)
    amplitude = np.random.default_rng(1).exponential(10, shape).astype(np.float32)
    native = native_patches(
        name,
        architecture_of(config_of(case, name), manifest.window_px),
        drawn(case),
        amplitude,
        scale=0.05,
        patch_px=manifest.patch_px,
    )
    difference = np.abs(model.predict(amplitude, 0.05) - native).max()
    assert difference <= TOLERANCE["native against native"]
    assert model.verify().passed


@pytest.mark.parametrize("name", BACKENDS)
def test_same_run_exports_to_the_same_bytes(name: str, tmp_path: Path, exported: Export) -> None:
    first = exported("cnn 64", name)
    again = tmp_path / first.name
    export_run(first.parent / "run", again)
    assert again.read_bytes() == first.read_bytes()


def test_a_differing_model_is_not_written(tmp_path: Path, exported: Export) -> None:
    path = exported("cnn 64", "pytorch")
    manifest = load_manifest(path)
    assert isinstance(manifest, Manifest)
    proof = manifest.verification
    altered = dataclasses.replace(proof, object_patches=proof.object_patches * np.float32(1.001))
    manifest = dataclasses.replace(manifest, verification=altered)
    model = with_manifest(onnx.load(path), manifest)
    with pytest.raises(ExportMismatchError, match=r"`object_patches` .* no model file was written"):
        write_proven(model, manifest, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", BACKENDS)
def test_the_manifest_says_how_groups_are_made_and_what_the_network_is(
    name: str, exported: Export
) -> None:
    manifest = Model(exported("ptychopinn 128, C=4, swish", name), provider="cpu").manifest
    assert (manifest.num_channels, manifest.max_distance_px) == (4, 32.0)
    options = manifest.architecture_options
    assert options["amplitude_activation"] == "swish"
    assert options["probe_big"] is True
    plain = Model(exported("cnn 64", name), provider="cpu").manifest
    assert "probe_big" not in plain.architecture_options
    assert dataclasses.asdict(plain)["architecture"] == "cnn"
