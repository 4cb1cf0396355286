"""The solver's network: both backends, their exported files and the NumPy oracle agree."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from equivalence.cases import BACKENDS, TOLERANCE, backend, compute

from ptychonyx.export import SolverFacts, export_solver
from ptychonyx.export.solver import native_change
from ptychonyx.runtime.model.manifest.solver_proof import difference
from ptychonyx.runtime.model.solver import SolverModel
from ptychonyx.training.network.solver import SolverArchitecture
from ptychonyx.training.network.weights import Weights, draw_weights

pytestmark = [pytest.mark.tensorflow, pytest.mark.pytorch]

ARCHITECTURES = {
    "usual": SolverArchitecture(),
    "small": SolverArchitecture(widths=(4, 6, 8), num_features=5),
    "one size": SolverArchitecture(widths=(4,), num_features=3),
}
SIZES_PX = ((32, 48), (80, 32), (64, 112))
FACTS = SolverFacts("2026-01-01T00:00:00+00:00", 1, 20, {}, {}, "00")

Export = Callable[[str, str, str], Path]


def weights_of(case: str, state: str) -> Weights:
    """Return fresh weights, or ones with biases and without small gains, as after a training."""
    architecture, rng = ARCHITECTURES[case], np.random.default_rng(3)
    weights = draw_weights(architecture, rng)
    if state == "fresh":
        return weights
    gains = {f"{conv.name}.weight": conv.gain for conv in architecture.convolutions()}
    return {
        key: rng.normal(0, 0.05, array.shape).astype(np.float32)
        if key.endswith("bias")
        else array / np.float32(gains[key])
        for key, array in weights.items()
    }


def features_of(case: str, size_px: tuple[int, int] = (32, 48)) -> np.ndarray:
    shape = (ARCHITECTURES[case].num_features, *size_px)
    return np.random.default_rng(4).normal(size=shape).astype(np.float32)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Export:
    """Return the model file of a case, a state of its weights and a backend."""
    done: dict[tuple[str, str, str], Path] = {}

    def export(case: str, state: str, name: str) -> Path:
        if (case, state, name) not in done:
            path = tmp_path_factory.mktemp("exported") / "solver.onnx"
            export_solver(name, ARCHITECTURES[case], weights_of(case, state), FACTS, path)
            done[case, state, name] = path
        return done[case, state, name]

    return export


@pytest.mark.parametrize("state", ["fresh", "drawn"])
@pytest.mark.parametrize("case", ARCHITECTURES)
def test_both_backends_compute_what_the_oracle_computes(case: str, state: str) -> None:
    architecture, weights, features = (
        ARCHITECTURES[case],
        weights_of(case, state),
        features_of(case),
    )
    expected = compute(architecture.layers, weights, features[None].astype(np.float64))[0]
    changes = [native_change(name, architecture, weights, features) for name in BACKENDS]
    for change in changes:
        assert change.shape == (2, 32, 48)
        assert difference(change, expected).max() <= TOLERANCE["native against native"]
    assert difference(*changes).max() <= TOLERANCE["native against native"]
    assert expected.std() > 0.05  # a change of nothing would prove nothing


@pytest.mark.parametrize("name", BACKENDS)
def test_weights_come_back_as_they_were_given(name: str) -> None:
    module, weights = backend(name, "solver"), weights_of("usual", "drawn")
    network = module.build_solver(ARCHITECTURES["usual"])
    module.set_weights(network, weights)
    again = module.get_weights(network)
    assert list(again) == list(weights)
    for key, array in weights.items():
        np.testing.assert_array_equal(again[key], array)
    with pytest.raises(ValueError, match=r"`first.weight` of the weights.*solver, widths"):
        module.set_weights(network, weights_of("small", "drawn"))


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float32", 1e-5), ("float64", TOLERANCE["gradient float64"])]
)
@pytest.mark.parametrize("case", ARCHITECTURES)
def test_gradients_agree(case: str, dtype: str, tolerance: float) -> None:
    first, second = (GRADIENTS[name](case, dtype) for name in BACKENDS)
    assert first.keys() == second.keys() == weights_of(case, "drawn").keys()
    for key, gradient in first.items():
        norm = np.linalg.norm(gradient)
        assert norm > 0, key
        assert np.linalg.norm(second[key] - gradient) <= tolerance * norm, key


def network_with(name: str, case: str, dtype: str) -> Any:
    module = backend(name, "solver")
    network = module.build_solver(ARCHITECTURES[case], dtype=dtype)
    module.set_weights(network, weights_of(case, "drawn"))
    return network


def gradients_tensorflow(case: str, dtype: str) -> dict[str, np.ndarray]:
    import tensorflow as tf

    layers, network = backend("tensorflow", "layers"), network_with("tensorflow", case, dtype)
    parameters = layers.named_parameters(network)
    with tf.GradientTape() as tape:
        change = network(tf.constant(features_of(case)[None], dtype))
        loss = tf.reduce_sum(tf.square(change))
    gradients = tape.gradient(loss, parameters)
    return {
        key: layers.to_neutral(tf.convert_to_tensor(value).numpy()).astype(np.float64)
        for key, value in gradients.items()
    }


def gradients_pytorch(case: str, dtype: str) -> dict[str, np.ndarray]:
    import torch

    network = network_with("pytorch", case, dtype)
    parameters = backend("pytorch", "layers").named_parameters(network)
    change = network(torch.from_numpy(features_of(case)[None].astype(dtype)))
    gradients = torch.autograd.grad(change.square().sum(), list(parameters.values()))
    return {
        key: gradient.contiguous().numpy().astype(np.float64)
        for key, gradient in zip(parameters, gradients, strict=True)
    }


GRADIENTS = {"tensorflow": gradients_tensorflow, "pytorch": gradients_pytorch}


@pytest.mark.parametrize("state", ["fresh", "drawn"])
@pytest.mark.parametrize("case", ARCHITECTURES)
def test_same_weights_give_the_same_bytes(case: str, state: str, exported: Export) -> None:
    first, second = (
        onnx.load(exported(case, state, name)).graph.SerializeToString(deterministic=True)
        for name in BACKENDS
    )
    assert first == second


@pytest.mark.parametrize("name", BACKENDS)
def test_exporting_twice_gives_the_same_file(name: str, tmp_path: Path, exported: Export) -> None:
    again = tmp_path / "solver.onnx"
    export_solver(name, ARCHITECTURES["small"], weights_of("small", "drawn"), FACTS, again)
    assert again.read_bytes() == exported("small", "drawn", name).read_bytes()


@pytest.mark.parametrize("size_px", SIZES_PX)
@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize("case", ["usual", "small"])
def test_exported_model_matches_the_native_network_at_other_sizes(
    case: str, name: str, size_px: tuple[int, int], exported: Export
) -> None:
    model = SolverModel(exported(case, "drawn", name), provider="cpu")
    features = features_of(case, size_px)
    native = native_change(name, ARCHITECTURES[case], weights_of(case, "drawn"), features)
    assert native.shape == (2, *size_px)
    assert difference(model.change(features), native).max() <= TOLERANCE["native against native"]
    assert model.verify().passed
