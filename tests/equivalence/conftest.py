"""Samples and weights of every case, made once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from equivalence.cases import WINDOW_PX, config_of, network_of

from ptychonyx.runtime.scan import Scan
from ptychonyx.runtime.simulation.scan import SimulationOptions, simulate_scan
from ptychonyx.training import train
from ptychonyx.training.data.prepare import prepare_samples
from ptychonyx.training.data.samples import Samples
from ptychonyx.training.network.backprojection import backprojection_constants
from ptychonyx.training.network.weights import Weights, draw_weights, load_weights


@pytest.fixture(scope="session")
def scans(small_scan: Scan) -> list[Scan]:
    """Two scans of other doses, numbers of modes and bad pixels; both hold their object."""
    bad_pixels = np.zeros((WINDOW_PX, WINDOW_PX), dtype=np.bool_)
    bad_pixels[3, 5] = bad_pixels[20, 17] = True
    spec = SimulationOptions(
        num_patterns=12, window_px=WINDOW_PX, num_modes=1, counts_per_pattern=3e3
    )
    second = simulate_scan(spec, np.random.default_rng(1))
    return [dataclasses.replace(small_scan, bad_pixels=bad_pixels), second]


@pytest.fixture(scope="session")
def samples_of(scans: list[Scan]) -> Callable[[str], Samples]:
    """Return the samples of a case."""

    def prepare(case: str) -> Samples:
        config = config_of(case)
        return prepare_samples(
            scans,
            validation_fraction=0,
            group_size=config.group_size,
            max_distance_px=25,
            with_truth="supervised" in config.loss_weights,
        )

    return prepare


@pytest.fixture(scope="session")
def weights_of(
    small_scan: Scan, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, str], Weights]:
    """Return the weights of a case: fresh, trained, or drawn with biases, off every ReLU's kink."""
    trained: dict[str, Path] = {}

    def weights(case: str, state: str) -> Weights:
        if state in ("fresh", "drawn"):
            rng, architecture = np.random.default_rng(3), network_of(case)
            assert small_scan.probe is not None
            constants = backprojection_constants(small_scan.probe, 0.05)
            drawn = draw_weights(
                architecture, rng, constants if architecture.is_backprojected else None
            )
            for key in drawn if state == "drawn" else ():
                if key.endswith("bias"):
                    drawn[key] = rng.normal(0, 0.05, drawn[key].shape).astype(np.float32)
            return drawn
        if case not in trained:
            trained[case] = tmp_path_factory.mktemp("trained") / "run"
            config = config_of(
                case, backend="pytorch", epochs=4, validation_fraction=0, max_distance_px=25
            )
            train([small_scan], config, trained[case])
        return load_weights(trained[case])

    return weights
