"""Losses and gradients of both backends against each other and the NumPy oracle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from equivalence.cases import (
    BACKENDS,
    SETTINGS,
    TOLERANCE,
    backend,
    config_of,
    loss_and_gradients,
    network_of,
    network_with,
    oracle_loss,
    probe_parts,
    some_groups,
)

from ptychonyx.training import TrainingConfig
from ptychonyx.training.data.feed import BatchPart, part_of
from ptychonyx.training.data.samples import Samples
from ptychonyx.training.network.weights import Weights

pytestmark = [pytest.mark.tensorflow, pytest.mark.pytorch]

STEPS = (1e-6, 1e-7)
"""Of a central difference: the longer may cross a kink of a ReLU or maximum, the shorter rounds."""
PROBE = {"real", "imaginary", "log_gain"}
SHARED: dict[str, Any] = {"rtol": 1e-9, "atol": 1e-12}
"""Float64: only the order of sums differs."""


def of_some_groups(
    name: str, case: str, weights: Weights, samples: Samples, dtype: str
) -> tuple[float, dict[str, np.ndarray]]:
    network = network_with(name, network_of(case), weights, dtype)
    return loss_and_gradients(name, config_of(case), network, samples, some_groups(samples))


@pytest.mark.parametrize("state", ["fresh", "trained"])
@pytest.mark.parametrize("case", SETTINGS)
def test_both_backends_agree_in_float32(
    case: str,
    state: str,
    samples_of: Callable[[str], Samples],
    weights_of: Callable[[str, str], Weights],
) -> None:
    samples, weights = samples_of(case), weights_of(case, state)
    expected = oracle_loss(config_of(case), weights, samples, some_groups(samples))
    (loss, gradients), (other_loss, others) = (
        of_some_groups(name, case, weights, samples, "float32") for name in BACKENDS
    )
    for value in (loss, other_loss):
        assert value == pytest.approx(expected, rel=TOLERANCE["loss against oracle"])
    assert set(gradients) == set(others)
    global_norm = np.sqrt(sum(np.sum(gradient**2) for gradient in gradients.values()))
    for key, gradient in gradients.items():
        allowed = max(
            TOLERANCE["gradient float32"] * np.linalg.norm(gradient),
            TOLERANCE["gradient float32, of the global norm"] * global_norm,
        )
        assert np.linalg.norm(others[key] - gradient) <= allowed, key


@pytest.mark.parametrize("case", SETTINGS)
def test_both_backends_agree_in_float64_and_with_the_slope_of_the_oracle(
    case: str,
    samples_of: Callable[[str], Samples],
    weights_of: Callable[[str, str], Weights],
) -> None:
    samples, weights = samples_of(case), weights_of(case, "drawn")
    groups, config = some_groups(samples), config_of(case)
    (loss, gradients), (other_loss, others) = (
        of_some_groups(name, case, weights, samples, "float64") for name in BACKENDS
    )
    expected = oracle_loss(config, weights, samples, groups)
    for value in (loss, other_loss):
        assert value == pytest.approx(expected, rel=TOLERANCE["loss against oracle, float64"])
    trained_probe = {key.removeprefix("probe.") for key in gradients if key.startswith("probe.")}
    assert trained_probe <= PROBE
    assert bool(trained_probe) == config.trainable_probe
    for key, gradient in gradients.items():
        norm = np.linalg.norm(gradient)
        assert np.linalg.norm(others[key] - gradient) <= TOLERANCE["gradient float64"] * norm, key
    for key in chosen(gradients):
        slopes = [
            oracle_slope(key, gradients[key], step, config, weights, samples, groups)
            for step in STEPS
        ]
        expected_slope = np.linalg.norm(gradients[key])
        nearest = min(slopes, key=lambda slope: abs(slope - expected_slope))
        assert nearest == pytest.approx(expected_slope, rel=TOLERANCE["slope of the oracle"]), key


@pytest.mark.parametrize("case", SETTINGS)
def test_every_registered_parameter_is_trained(
    case: str,
    samples_of: Callable[[str], Samples],
    weights_of: Callable[[str, str], Weights],
) -> None:
    """Or DDP would wait for the gradient of one that takes no part."""
    module, config = backend("pytorch", "module"), config_of(case)
    network = network_with("pytorch", network_of(case), weights_of(case, "fresh"), "float32")
    samples = samples_of(case)
    trained = module.TrainingModule(network, config, samples.constants)
    batch = module.to_tensors(samples.batch(some_groups(samples)))
    trained.training_step((BatchPart(batch, 1.0, 8),), 0).backward()
    registered = [value for value in trained.parameters() if value.requires_grad]
    assert all(value.grad is not None for value in registered)
    optimizer = trained.configure_optimizers()
    stepped = [value for group in optimizer.param_groups for value in group["params"]]
    assert {id(value) for value in stepped} == {id(value) for value in registered}


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize(("num_groups", "num_parts"), [(8, 2), (7, 3), (1, 2)])
def test_parts_of_a_batch_sum_to_the_whole(
    num_groups: int,
    num_parts: int,
    name: str,
    samples_of: Callable[[str], Samples],
    weights_of: Callable[[str, str], Weights],
) -> None:
    case = "cnn C=1, four merged, trained probe"
    samples, groups = samples_of(case), some_groups(samples_of(case))[:num_groups]
    network = network_with(name, network_of(case), weights_of(case, "drawn"), "float64")
    config = config_of(case)
    loss, gradients = loss_and_gradients(name, config, network, samples, groups)
    parts = [part_of(groups, index, num_parts) for index in range(num_parts)]
    assert sum(part.share for part in parts) == pytest.approx(1)
    found = [loss_and_gradients(name, config, network, samples, part.groups) for part in parts]
    shares = [part.share for part in parts]
    total = sum(share * value for share, (value, _) in zip(shares, found, strict=True))
    assert total == pytest.approx(loss, rel=1e-12)
    for key, gradient in gradients.items():
        scaled = [share * of_part[key] for share, (_, of_part) in zip(shares, found, strict=True)]
        np.testing.assert_allclose(np.sum(scaled, axis=0), gradient, **SHARED, err_msg=key)


def chosen(gradients: dict[str, np.ndarray]) -> list[str]:
    """Return the first and last convolutions of each part, and all of the probe.

    Without those of a slope so small that the loss changes by no more than its rounding.
    """
    largest = max(np.linalg.norm(gradient) for gradient in gradients.values())
    ends = ("encoder.0.conv1.weight", "head.weight", "head.bias", "border.conv1.weight")
    return [
        key
        for key, gradient in gradients.items()
        if (key.endswith(ends) or key.startswith("probe."))
        and np.linalg.norm(gradient) > 1e-4 * largest
    ]


def oracle_slope(
    key: str,
    gradient: np.ndarray,
    step: float,
    config: TrainingConfig,
    weights: Weights,
    samples: Samples,
    groups: np.ndarray,
) -> float:
    """Return the slope of the oracle's loss along a gradient, by a central difference."""
    direction = gradient / np.linalg.norm(gradient)
    ends = []
    for sign in (1, -1):
        if key.startswith("probe."):
            name = key.removeprefix("probe.")
            probe = {name: probe_parts(samples)[name] + sign * step * direction}
            ends.append(oracle_loss(config, weights, samples, groups, probe))
        else:
            moved = weights | {key: weights[key].astype(np.float64) + sign * step * direction}
            ends.append(oracle_loss(config, moved, samples, groups))
    return (ends[0] - ends[1]) / (2 * step)
