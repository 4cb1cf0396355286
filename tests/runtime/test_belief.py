"""A product says whether it can be believed, and why not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ptychonyx.runtime import SolvingOptions, solve
from ptychonyx.runtime.belief import judge, overlap_of_modes, with_verdict
from ptychonyx.runtime.model.manifest import Manifest
from ptychonyx.runtime.model.manifest.own_residual import OwnResidual
from ptychonyx.runtime.product import Metadata, Product
from ptychonyx.runtime.scan import Scan
from ptychonyx.runtime.turns import Turn

GOOD: Metadata = {"residual": 0.02, "residual_noise": 0.01, "unexplained_differences": 0.1}


def product_with(**metadata: Any) -> Product:
    window = np.ones((1, 8, 8), np.complex64)
    corners_px = np.array([[0.0, 0.0], [8.0, 8.0]])
    return Product(
        np.ones((16, 16), np.complex64),
        (0, 0),
        corners_px,
        np.arange(2),
        8,
        window,
        coverage=np.ones((16, 16), np.int32),
        metadata=GOOD | metadata,
    )


def test_a_good_product_is_believable() -> None:
    metadata = with_verdict(product_with(model_residual=0.02)).metadata
    assert metadata["believable"] is True
    assert "believable_reasons" not in metadata


@pytest.mark.parametrize(
    ("metadata", "name"),
    [
        ({"unexplained_differences": 0.6}, "unexplained"),
        ({"unexplained_differences": 0.6, "trial_unexplained": 0.8}, "unexplained"),
        ({"unexplained_differences": 0.6, "trial_unexplained": 0.1}, "network-unlike-scan"),
        ({"left_out_unexplained": 1.2}, "left-out"),
        ({"residual": 0.1, "model_residual": 0.01}, "residual-above-model"),
        ({"probe_overlap": 0.2}, "probe-unlike-model"),
        ({"share_at_bounds": 0.4}, "output-at-bounds"),
    ],
)
def test_each_reason_takes_belief_away(metadata: Metadata, name: str) -> None:
    product = product_with(**metadata)
    assert [finding.name for finding in judge(product)] == [name]
    judged = with_verdict(product).metadata
    assert judged["believable"] is False
    assert f"({name})" in str(judged["believable_reasons"])


def test_holes_between_the_positions_count() -> None:
    coverage = np.zeros((16, 16), np.int32)
    coverage[:, :7] = 1
    product = replace(product_with(), coverage=coverage)
    assert [finding.name for finding in judge(product)] == ["poorly-covered"]


def test_noise_does_not_count_against_a_product() -> None:
    noisy = product_with(residual=0.1, residual_noise=0.09, model_residual=0.01)
    assert judge(noisy) == []


TRIAL: Metadata = {"trial_noise": 0.01, "trial_residual": 0.06, "trial_network_residual": 0.11}


@pytest.mark.parametrize(("of_network", "is_wrong"), [(0.11, False), (0.30, True)])
def test_what_passes_leave_too_is_not_held_against_a_network(
    of_network: float, is_wrong: bool
) -> None:
    known = TRIAL | {"trial_network_residual": of_network}
    product = product_with(residual=0.1, model_residual=0.01, **known)
    assert bool(judge(product)) is is_wrong


def test_what_was_stopped_early_gets_no_verdict() -> None:
    stopped = replace(product_with(unexplained_differences=0.9), complete=False)
    assert "believable" not in with_verdict(stopped).metadata


def test_the_overlap_of_modes_forgets_their_mixture(small_scan: Scan) -> None:
    assert small_scan.probe is not None
    mixed = np.einsum(
        "ij,jyx->iyx", np.array([[1, 1j, 0], [1, -1j, 0], [0, 0, 1]]), small_scan.probe
    )
    assert overlap_of_modes(small_scan.probe, mixed.astype(np.complex64)) == pytest.approx(1)
    other = np.roll(small_scan.probe[::-1], 16, axis=2).conj()
    assert overlap_of_modes(small_scan.probe, other) < 0.5


def test_a_network_is_judged_by_its_probe_and_its_bounds(
    tiny_manifest: Callable[..., Manifest],
) -> None:
    made = tiny_manifest()
    side = made.window_px
    known = np.zeros((1, side, side), np.complex64)
    known[0, 0, 0] = 1
    manifest = replace(
        made,
        probe=known,
        architecture_options={"amplitude_max": 1.0, "amplitude_activation": "sigmoid"},
        own_residual=OwnResidual(0.002, 0.001, None, None, num_patterns=8),
    )
    scan = Scan(np.ones((2, side, side)), "counts", np.zeros((2, 2)), probe=np.roll(known, 3, 1))
    judged = with_verdict(product_with(), scan, manifest).metadata
    assert judged["probe_overlap"] == 0
    assert judged["share_at_bounds"] == 1
    assert judged["model_residual"] == 0.001
    assert judged["believable"] is False


def test_the_wrong_scan_for_a_probe_is_not_believed(small_scan: Scan) -> None:
    bare = replace(small_scan, object_=None)
    right = with_verdict(solve(bare, SolvingOptions(passes=8)))
    assert right.metadata["believable"] is True
    turned = Turn(swap_positions=True).apply(replace(bare, frame=None))
    wrong = with_verdict(solve(turned, SolvingOptions(passes=8)))
    assert wrong.metadata["believable"] is False
