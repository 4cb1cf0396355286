"""The solver's network has the layers that were asked for, and changes little at first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ptychonyx.training.network.layers import AveragePool, Sum, convolutions
from ptychonyx.training.network.solver import SolverArchitecture
from ptychonyx.training.network.weights import (
    check_weights,
    draw_weights,
    load_weights,
    save_weights,
)


def test_it_is_small_and_halves_the_image_four_times() -> None:
    architecture = SolverArchitecture()
    weights = draw_weights(architecture, np.random.default_rng(0))
    assert sum(array.size for array in weights.values()) == architecture.num_parameters
    assert 0.38e6 < architecture.num_parameters < 0.42e6
    assert architecture.stride == 16
    assert SolverArchitecture(widths=(4,)).stride == 1


def test_a_level_is_residual_then_smaller_ones_beside_a_skip_then_residual() -> None:
    first, encoder, skip, decoder, _, last = SolverArchitecture(widths=(4, 6)).layers
    names = [conv.name for conv in convolutions((first, encoder, skip, decoder, last))]
    assert names == [
        "first",
        "encoder.0.conv1",
        "encoder.0.conv2",
        "down.0",
        "bottleneck.conv1",
        "bottleneck.conv2",
        "up.0",
        "decoder.0.conv1",
        "decoder.0.conv2",
        "last",
    ]
    assert isinstance(skip, Sum)
    assert isinstance(skip.branches[0][0], AveragePool)
    assert skip.branches[1] == ()


def test_operations_grow_with_the_canvas() -> None:
    architecture = SolverArchitecture(widths=(4, 6), num_features=3)
    full = 3 * 4 + 4 * 4 * 4 + 4 * 2
    half = 4 * 6 + 2 * 6 * 6 + 6 * 4
    assert architecture.num_operations(8, 12) == 2 * 9 * (full * 8 * 12 + half * 4 * 6)


def test_first_weights_at_the_end_of_a_block_and_of_the_network_are_small() -> None:
    weights = draw_weights(SolverArchitecture(), np.random.default_rng(0))
    for name, gain in (
        ("first", 1.0),
        ("down.1", 1.0),
        ("encoder.2.conv1", 1.0),
        ("encoder.2.conv2", 0.3),
        ("bottleneck.conv2", 0.3),
        ("decoder.0.conv2", 0.3),
        ("last", 0.1),
    ):
        kernel = weights[f"{name}.weight"]
        limit = np.sqrt(6 / (9 * (kernel.shape[0] + kernel.shape[1])))
        assert np.abs(kernel).max() == pytest.approx(gain * limit, rel=0.02)
        assert not weights[f"{name}.bias"].any()


def test_weights_round_trip_and_refusals(tmp_path: Path) -> None:
    architecture = SolverArchitecture(widths=(4, 6), num_features=3)
    weights = draw_weights(architecture, np.random.default_rng(0))
    save_weights(weights, tmp_path / "w.safetensors")
    read = load_weights(tmp_path / "w.safetensors")
    check_weights(read, architecture)
    for name, array in weights.items():
        np.testing.assert_array_equal(read[name], array)
    with pytest.raises(ValueError, match=r"`first.weight`.*\(solver, widths \(4, 8\), 3 features"):
        check_weights({}, SolverArchitecture(widths=(4, 8), num_features=3))


@pytest.mark.parametrize("changes", [{"widths": ()}, {"widths": (4, 0)}, {"num_features": 0}])
def test_sizes_below_one_are_refused(changes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="give one or more widths"):
        SolverArchitecture(**changes)  # type: ignore[arg-type]
