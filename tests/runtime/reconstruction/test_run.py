"""A recipe leads to a network, to passes, or to both, and the product says which."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ptychonyx.runtime.formats import load_product, save_product
from ptychonyx.runtime.model.session import Model
from ptychonyx.runtime.reconstruction.recipe import Recipe
from ptychonyx.runtime.reconstruction.run import follow
from ptychonyx.runtime.scan import Scan
from ptychonyx.runtime.solving.solve import solve

pytest.importorskip("onnxruntime", reason="models run on onnxruntime")


@pytest.fixture
def network(model_path: Callable[..., Path]) -> Model:
    return Model(model_path(window_px=32, patch_px=16), provider="cpu", num_threads=1)


def test_a_network_alone_makes_no_pass(network: Model, small_scan: Scan) -> None:
    product = follow(small_scan, network)
    assert product.metadata["method"] == "network"
    assert product.pass_residuals is None


def test_passes_after_a_network_keep_its_facts(
    network: Model, small_scan: Scan, tmp_path: Path
) -> None:
    alone = follow(small_scan, network)
    product = follow(small_scan, network, Recipe(refine_passes=3))
    save_product(product, tmp_path / "product.h5")
    metadata = load_product(tmp_path / "product.h5").metadata
    assert (metadata["method"], metadata["passes"]) == ("network and passes", 3)
    for name in ("model_digest", "model_name", "backend", "input_scale", "providers"):
        assert metadata[name] == alone.metadata[name]
    assert metadata["network_residual"] == alone.metadata["residual"]
    assert float(metadata["residual"]) < 0.5 * float(metadata["network_residual"])
    assert float(metadata["total_s"]) > float(metadata["infer_s"])


def test_passes_start_from_the_network(network: Model, small_scan: Scan) -> None:
    recipe = Recipe(refine_passes=1)
    refined = follow(small_scan, network, recipe)
    expected = solve(small_scan, recipe.refining, start=follow(small_scan, network))
    np.testing.assert_array_equal(refined.object_, expected.object_)
    assert refined.metadata["start"] == "network"


def test_a_network_that_was_stopped_is_not_refined(network: Model, small_scan: Scan) -> None:
    product = follow(
        small_scan,
        network,
        Recipe(refine_passes=1).changed({"batch_size": 8}),
        should_stop=lambda: True,
    )
    assert not product.complete
    assert product.metadata["method"] == "network"


def test_two_starts_are_refused(network: Model, small_scan: Scan) -> None:
    with pytest.raises(ValueError, match="leave out one of them"):
        follow(small_scan, network, start=follow(small_scan, network))


def test_the_probe_of_the_model_stays_where_the_scan_has_none(
    model_path: Callable[..., Path], small_scan: Scan
) -> None:
    probe = small_scan.probe
    path = model_path(window_px=32, patch_px=16, probe=probe)
    network = Model(path, provider="cpu", num_threads=1)
    product = follow(replace(small_scan, probe=None), network, Recipe(refine_passes=1))
    assert product.metadata["probe_source"] == "model"
    assert probe is not None
    assert np.abs(product.probe - probe).max() < 1e-5 * np.abs(probe).max()
