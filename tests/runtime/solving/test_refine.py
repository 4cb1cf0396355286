"""A refined product tells of the network that it came from, and of the passes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ptychonyx.runtime.product import Metadata, Product
from ptychonyx.runtime.scan import Scan
from ptychonyx.runtime.solving.options import SolvingOptions
from ptychonyx.runtime.solving.refine import refine
from ptychonyx.runtime.solving.solve import solve

TWO = SolvingOptions(passes=2)


@pytest.fixture
def network(small_scan: Scan) -> Product:
    """A product as a network would have made it."""
    product = solve(small_scan, SolvingOptions(passes=1))
    facts: Metadata = {"model_digest": "ab12", "backend": "pytorch", "input_scale": 0.5}
    return replace(
        product, metadata=facts | {"residual": 0.2, "probe_source": "file", "total_s": 100.0}
    )


def test_facts_of_both_are_kept(network: Product, small_scan: Scan) -> None:
    metadata = refine(small_scan, network, TWO).metadata
    assert {name: metadata[name] for name in ("model_digest", "backend", "input_scale")} == {
        "model_digest": "ab12",
        "backend": "pytorch",
        "input_scale": 0.5,
    }
    assert (metadata["method"], metadata["start"]) == ("network and passes", "network")
    assert (metadata["passes"], metadata["stopped"]) == (2, "the passes asked for are done")
    assert metadata["network_residual"] == 0.2
    assert float(metadata["residual"]) < 0.2
    assert float(metadata["total_s"]) > 100


def test_without_a_residual_of_the_network_there_is_none(
    network: Product, small_scan: Scan
) -> None:
    facts = {name: value for name, value in network.metadata.items() if name != "residual"}
    metadata = refine(small_scan, replace(network, metadata=facts), TWO).metadata
    assert "network_residual" not in metadata


def test_the_probe_is_the_one_given_or_the_scans(network: Product, small_scan: Scan) -> None:
    other = replace(network, probe=2 * network.probe)
    np.testing.assert_array_equal(refine(small_scan, other, TWO).probe, network.probe)
    given = np.asarray(1.5 * network.probe, np.complex64)
    product = refine(small_scan, other, TWO, probe=given)
    np.testing.assert_array_equal(product.probe, given)
    assert product.metadata["probe_source"] == "given"
