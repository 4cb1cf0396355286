"""A solver is exported whole and proven, or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="graphs are built with the onnx package")
pytest.importorskip("onnxruntime", reason="models run on onnxruntime")

from ptychonyx.export import ExportMismatchError, SolverFacts, export_solver
from ptychonyx.export import solver as exporting
from ptychonyx.runtime.model.solver import SolverModel
from ptychonyx.training.network.solver import SolverArchitecture
from ptychonyx.training.network.weights import Weights, digest_weights, draw_weights

pytestmark = pytest.mark.pytorch

SMALL = SolverArchitecture(widths=(4, 6, 8), num_features=5)
FACTS = SolverFacts(
    created="2026-01-01T00:00:00+00:00",
    feature_version=1,
    trained_passes=20,
    scores={"phase": 0.9},
    training_summary={"steps": 3},
    provenance_digest="00",
)


def drawn(architecture: SolverArchitecture) -> Weights:
    return draw_weights(architecture, np.random.default_rng(0))


def test_the_file_says_what_it_is_and_proves_it(tmp_path: Path) -> None:
    path = tmp_path / "small.onnx"
    report = export_solver("pytorch", SMALL, drawn(SMALL), FACTS, path, license="MIT")
    model = SolverModel(path, provider="cpu")
    manifest = model.manifest
    assert (manifest.name, manifest.license, manifest.backend) == ("small", "MIT", "pytorch")
    assert (manifest.num_features, manifest.stride_px) == (5, 4)
    assert manifest.architecture_options == {"widths": [4, 6, 8]}
    assert (manifest.trained_passes, manifest.scores) == (20, {"phase": 0.9})
    assert manifest.training_summary["weights_sha256"] == digest_weights(drawn(SMALL))
    assert manifest.verification.largest_difference == report.largest_difference < 1e-5
    sizes = {change.shape for change in manifest.verification.changes}
    assert sizes == {(2, 32, 48), (2, 64, 48)}
    assert model.verify().passed


def test_the_file_of_the_usual_sizes_is_small(tmp_path: Path) -> None:
    architecture = SolverArchitecture()
    report = export_solver(
        "pytorch", architecture, drawn(architecture), FACTS, tmp_path / "solver.onnx"
    )
    assert report.num_bytes <= 1_700_000


def test_a_differing_model_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    native = exporting.native_change
    monkeypatch.setattr(exporting, "native_change", lambda *given: 1.001 * native(*given))
    with pytest.raises(ExportMismatchError, match=r"`change` .* no model file was written"):
        export_solver("pytorch", SMALL, drawn(SMALL), FACTS, tmp_path / "solver.onnx")
    assert list(tmp_path.iterdir()) == []


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"network \(solver, widths \(4, 6, 8\), 5 features\)"):
        export_solver(
            "pytorch", SMALL, drawn(SolverArchitecture((4, 6))), FACTS, tmp_path / "solver.onnx"
        )
