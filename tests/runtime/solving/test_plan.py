"""A network is used where data are poor, and only if held-back pixels do not speak against it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from ptychonyx.runtime import SimulationOptions, simulate_scan
from ptychonyx.runtime.product import Product
from ptychonyx.runtime.scan import Scan, some_of
from ptychonyx.runtime.solving.network.correction import Network
from ptychonyx.runtime.solving.network.features import NUM_FEATURES
from ptychonyx.runtime.solving.options import SolvingOptions
from ptychonyx.runtime.solving.plan import MOST_CORRECTED, MOST_OF_FEW_PHOTONS, REFUSED, UNUSED
from ptychonyx.runtime.solving.solve import solve
from ptychonyx.runtime.solving.stopping import Bearable


@dataclass
class Silent:
    """A network that changes nothing, and counts how often it was asked."""

    name: str = "silent"
    stride: int = 16
    num_asked: int = 0

    def change(self, features: np.ndarray) -> np.ndarray:
        assert len(features) == NUM_FEATURES
        assert features.shape[1] % self.stride == features.shape[2] % self.stride == 0
        self.num_asked += 1
        return np.zeros_like(features[:2])


@dataclass
class Harmful(Silent):
    """A network that adds noise of a whole unit."""

    def change(self, features: np.ndarray) -> np.ndarray:
        rng = np.random.default_rng(self.num_asked)
        return super().change(features) + rng.normal(size=features[:2].shape).astype(np.float32)


def scan_of(counts: float, *, step_px: float = 3.0) -> Scan:
    options = SimulationOptions(
        num_patterns=64, window_px=32, step_px=step_px, counts_per_pattern=counts, num_modes=1
    )
    return simulate_scan(options, np.random.default_rng(0))


def solved(scan: Scan, network: Network | None, passes: int | str = "auto") -> Product:
    options = SolvingOptions(passes=passes, residual_patterns=0, solver="none")
    return solve(scan, options, network=network)


@pytest.mark.parametrize("passes", [3, "auto"])
def test_good_data_need_no_network(passes: int | str) -> None:
    scan, network = scan_of(1e7), Silent()
    helped = solved(scan, network, passes)
    assert network.num_asked == 0
    assert helped.metadata["use_of_network"] == UNUSED
    np.testing.assert_array_equal(helped.object_, solved(scan, None, passes).object_)


@pytest.fixture
def better(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let held-back pixels speak for a network, whatever it does."""
    monkeypatch.setattr(Bearable, "is_better_than", lambda self, other: True)


@pytest.mark.usefixtures("better")
def test_few_positions_get_a_network_that_is_better() -> None:
    network = Silent()
    sparse = some_of(scan_of(1e7), np.arange(0, 64, 3))
    product = solved(sparse, network, passes=4)
    assert network.num_asked == 8  # four times on trial
    assert product.metadata["passes"] == 4
    assert product.metadata["use_of_network"] == "used, since there are few positions"
    assert product.metadata["network_name"] == "silent"


@pytest.mark.usefixtures("better")
@pytest.mark.parametrize(("counts", "most"), [(1e7, MOST_CORRECTED), (2e3, MOST_OF_FEW_PHOTONS)])
def test_its_passes_are_as_many_as_held_back_pixels_bear(counts: float, most: int) -> None:
    network = Silent()
    sparse = some_of(scan_of(counts), np.arange(0, 64, 3))
    product = solved(sparse, network)
    number = int(product.metadata["passes"])
    assert str(product.metadata["stopped"]).startswith(f"after {number} passes, pixels")
    assert network.num_asked > number  # it was tried before
    assert number <= most


@pytest.mark.usefixtures("better")
@pytest.mark.parametrize(("counts", "noise"), [(2e3, "unbiased"), (1e7, "amplitude")])
def test_passes_before_a_network_have_no_bias_where_photons_are_few(
    counts: float, noise: str
) -> None:
    sparse = some_of(scan_of(counts), np.arange(0, 64, 3))
    assert solved(sparse, Silent(), passes=2).metadata["noise"] == noise


def test_passes_alone_weigh_few_photons_as_asked() -> None:
    assert solved(scan_of(2e3), None, passes=2).metadata["noise"] == "amplitude"


@pytest.mark.parametrize("passes", [4, "auto"])
def test_few_positions_get_no_network_that_is_worse(passes: int | str) -> None:
    network = Harmful()
    sparse = some_of(scan_of(1e7), np.arange(0, 64, 3))
    product = solved(sparse, network, passes)
    assert network.num_asked > 0
    assert product.metadata["use_of_network"] == REFUSED
    assert "network_name" not in product.metadata
    np.testing.assert_array_equal(product.object_, solved(sparse, None, passes).object_)


def test_a_budget_leaves_no_time_for_a_trial() -> None:
    network = Silent()
    sparse = some_of(scan_of(1e7), np.arange(0, 64, 3))
    options = SolvingOptions(budget_s=1e4, residual_patterns=0, solver="none")
    product = solve(sparse, options, network=network)
    assert network.num_asked == product.metadata["passes"]


def test_a_network_that_does_harm_is_left_out() -> None:
    scan, network = scan_of(2e3), Harmful()
    product = solved(scan, network)
    assert network.num_asked > 0
    assert product.metadata["use_of_network"] == REFUSED
    np.testing.assert_array_equal(product.object_, solved(scan, None).object_)


@pytest.mark.usefixtures("better")
def test_few_of_both_are_said() -> None:
    sparse = some_of(scan_of(2e3), np.arange(0, 64, 3))
    use = solved(sparse, Silent(), passes=1).metadata["use_of_network"]
    assert use == "used, since there are few photons and few positions"


def test_without_a_network_nothing_is_said() -> None:
    product = solved(replace(scan_of(1e7)), None, passes=1)
    assert "use_of_network" not in product.metadata
