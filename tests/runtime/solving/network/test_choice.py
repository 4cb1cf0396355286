"""Which network corrects passes: that of the package, that of a file, or none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ptychonyx.runtime import SimulationOptions, load_manifest, simulate_scan
from ptychonyx.runtime.errors import ManifestError
from ptychonyx.runtime.model.manifest import SolverManifest
from ptychonyx.runtime.scan import Scan, some_of
from ptychonyx.runtime.solving.halves import solve_halves
from ptychonyx.runtime.solving.network.choice import SHIPPED, network_of
from ptychonyx.runtime.solving.network.features import FEATURE_VERSION, NUM_FEATURES
from ptychonyx.runtime.solving.options import SolvingOptions
from ptychonyx.runtime.solving.plan import UNAVAILABLE
from ptychonyx.runtime.solving.solve import solve


@pytest.fixture
def sparse() -> Scan:
    options = SimulationOptions(num_patterns=64, window_px=32, step_px=3, num_modes=1)
    return some_of(simulate_scan(options, np.random.default_rng(0)), np.arange(0, 64, 3))


def test_the_shipped_file_sees_what_this_version_makes() -> None:
    manifest = load_manifest(SHIPPED)
    assert isinstance(manifest, SolverManifest)
    assert (manifest.feature_version, manifest.num_features) == (FEATURE_VERSION, NUM_FEATURES)
    assert SHIPPED.stat().st_size <= 1.7e6


def test_it_is_used_without_being_asked_for_and_the_product_says_so(sparse: Scan) -> None:
    pytest.importorskip("onnxruntime", reason="models run on onnxruntime")
    product = solve(sparse, SolvingOptions(passes=2))
    assert product.metadata["use_of_network"] == "used, since there are few positions"
    assert str(product.metadata["network_name"]).startswith(load_manifest(SHIPPED).name)


def test_none_gives_passes_alone(sparse: Scan) -> None:
    alone = solve(sparse, SolvingOptions(passes=2, solver="none"))
    assert not {"use_of_network", "network_name"} & set(alone.metadata)


def test_without_onnxruntime_passes_go_on_alone_and_say_why(
    sparse: Scan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ptychonyx.runtime.solving.network.choice.find_spec", lambda name: None)
    product = solve(sparse, SolvingOptions(passes=2))
    assert product.metadata["use_of_network"] == UNAVAILABLE
    alone = solve(sparse, SolvingOptions(passes=2, solver="none"))
    np.testing.assert_array_equal(product.object_, alone.object_)


def test_a_file_is_opened_before_any_work(tmp_path: Path) -> None:
    path = tmp_path / "solver.onnx"
    path.write_bytes(b"no model")
    with pytest.raises(ManifestError, match=r"solver\.onnx"):
        network_of(str(path))


def test_halves_are_solved_without_it(sparse: Scan, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("skimage", reason="halves are aligned by scikit-image")
    asked: list[str] = []

    def spy(scan: Scan, options: SolvingOptions, **others: object) -> object:
        asked.append(options.solver)
        return solve(scan, options, **others)  # type: ignore[arg-type]

    monkeypatch.setattr("ptychonyx.runtime.solving.halves.solve", spy)
    solve_halves(sparse, SolvingOptions(passes=2))
    assert asked == ["shipped", "none", "none"]
