"""Wrong models on right scans, right models on wrong scans: each verdict says which of them it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ptychonyx.runtime.belief import judge
from ptychonyx.runtime.model.manifest.own_residual import OwnResidual
from ptychonyx.runtime.model.session import Model
from ptychonyx.runtime.product import Product
from ptychonyx.runtime.reconstruction.run import follow
from ptychonyx.runtime.scan import Scan
from ptychonyx.runtime.simulation.scan import SimulationOptions, simulate_scan
from ptychonyx.runtime.turns import Turn

MODEL = Path(__file__).parents[2] / "models" / "small-pytorch" / "model.onnx"
AS_ON_ITS_OWN = OwnResidual(0.007, 0.0014, None, None, num_patterns=64)
SPEC = SimulationOptions(num_patterns=121, step_px=5)

Patches = NDArray[np.complex64]


class Altered(Model):
    """The small model, with what it says and its patches changed; equal batches are asked once."""

    asked: dict[bytes, Patches]

    def __init__(self, change: Callable[[Patches], Patches] = lambda patches: patches) -> None:
        super().__init__(MODEL, provider="cpu", check_proof=False)
        self.change = change
        self.manifest = replace(self.manifest, own_residual=AS_ON_ITS_OWN)

    def predict(self, amplitude: NDArray[np.float32], scale: float) -> Patches:
        key = amplitude.tobytes()
        if key not in self.asked:
            self.asked[key] = super().predict(amplitude, scale)
        return self.change(self.asked[key])


@pytest.fixture(scope="module", autouse=True)
def asked() -> None:
    Altered.asked = {}


@pytest.fixture(scope="module")
def right() -> Scan:
    return without_truth(simulate_scan(SPEC, np.random.default_rng(1)))


@pytest.fixture(scope="module")
def other_beam() -> Scan:
    spec = replace(SPEC, probe_name="gaussian", num_modes=1)
    return without_truth(simulate_scan(spec, np.random.default_rng(1)))


def without_truth(scan: Scan) -> Scan:
    return replace(scan, object_=None, frame=None)


def names(product: Product) -> set[str]:
    found = {finding.name for finding in judge(product)}
    assert product.metadata["believable"] is not bool(found)
    return found


def test_the_right_model_on_the_right_scan_is_believed_without_passes(right: Scan) -> None:
    product = follow(right, Altered())
    assert names(product) == set()
    assert product.metadata["model_residual"] == AS_ON_ITS_OWN.beyond_noise
    assert "trial_residual" not in product.metadata


def test_counts_in_another_unit_do_no_harm(right: Scan) -> None:
    assert names(follow(replace(right, patterns=0.5 * right.patterns[:]), Altered())) == set()


WRONG_PATCHES: dict[str, Callable[[Patches], Patches]] = {
    "conjugated": np.conj,
    "axes exchanged": lambda patches: np.ascontiguousarray(patches.swapaxes(-1, -2)),
    "those of other patterns": lambda patches: np.roll(patches, 7, axis=0),
    "shifted": lambda patches: np.roll(patches, 6, axis=-1),
    "nothing but vacuum": np.ones_like,
    "noise": lambda patches: noise(patches.shape),
}


def noise(shape: tuple[int, ...]) -> Patches:
    phase_rad = np.random.default_rng(0).normal(0, 0.5, shape)
    return np.exp(1j * phase_rad).astype(np.complex64)


@pytest.mark.parametrize("change", WRONG_PATCHES.values(), ids=WRONG_PATCHES)
def test_a_wrong_model_is_told_from_a_wrong_scan(
    change: Callable[[Patches], Patches], right: Scan
) -> None:
    product = follow(right, Altered(change))
    assert "network-unlike-scan" in names(product)
    assert "unexplained" not in names(product)
    assert float(product.metadata["trial_unexplained"]) < 0.1


def test_a_model_at_its_bounds_is_not_believed(right: Scan) -> None:
    largest = Altered().manifest.architecture_options["amplitude_max"]
    product = follow(right, Altered(lambda patches: np.full_like(patches, -largest)))
    assert "output-at-bounds" in names(product)


def test_a_model_of_another_beam_is_not_believed(right: Scan, other_beam: Scan) -> None:
    model = Altered()
    model.manifest = replace(model.manifest, probe=other_beam.probe)
    assert names(follow(right, model)) == {"probe-unlike-model"}


def test_a_model_that_was_far_better_on_its_own_data_is_not_believed(right: Scan) -> None:
    model = Altered()
    own = OwnResidual(0.0021, 0.0014, None, None, num_patterns=64)
    model.manifest = replace(model.manifest, own_residual=own)
    assert names(follow(right, model)) == {"residual-above-model"}


def test_the_right_scan_of_another_beam_is_none_for_this_model(other_beam: Scan) -> None:
    assert names(follow(other_beam, Altered())) >= {"probe-unlike-model", "network-unlike-scan"}


def changed(**changes: Any) -> Callable[[Scan], Scan]:
    return Turn(**changes).apply


WRONG_SCANS: dict[str, Callable[[Scan], Scan]] = {
    "patterns mirrored": changed(flip="x"),
    "patterns turned": changed(flip="yx"),
    "patterns transposed": changed(flip="t"),
    "positions exchanged": changed(swap_positions=True),
    "positions negated": changed(negate_positions="yx"),
    "positions in another unit": lambda scan: replace(scan, corners_px=scan.corners_px / 2),
    "positions of other patterns": lambda scan: replace(
        scan, corners_px=np.random.default_rng(0).permutation(scan.corners_px)
    ),
    "amplitudes taken for counts": lambda scan: replace(
        scan, patterns=np.sqrt(scan.patterns[:]).astype(np.float32)
    ),
}


@pytest.mark.parametrize("spoil", WRONG_SCANS.values(), ids=WRONG_SCANS)
def test_a_wrong_scan_is_told_from_a_wrong_model(
    spoil: Callable[[Scan], Scan], right: Scan
) -> None:
    product = follow(spoil(right), Altered())
    assert "unexplained" in names(product)
    assert "network-unlike-scan" not in names(product)


def test_a_wrong_probe_in_the_file_is_found(right: Scan, other_beam: Scan) -> None:
    product = follow(replace(right, probe=other_beam.probe), Altered())
    assert names(product) >= {"unexplained", "probe-unlike-model"}


def test_no_more_than_a_part_is_solved(right: Scan) -> None:
    product = follow(right, Altered(np.conj))
    assert product.metadata["trial_patterns"] == right.num_patterns // 4


def test_an_interrupt_ends_the_trial_but_not_the_verdict(right: Scan) -> None:
    seen = []

    def stop_after_the_network() -> bool:
        seen.append(1)
        return len(seen) > 2  # two batches of the network

    product = follow(right, Altered(np.conj), should_stop=stop_after_the_network)
    assert names(product) == {"unexplained", "residual-above-model"}
    assert "trial_residual" not in product.metadata
