"""Commands on model files know both kinds."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from model_files import ModelPath, TinyManifest
from solver_files import SolverPath
from typer.testing import CliRunner

from ptychonyx.cli import app
from ptychonyx.runtime.errors import ManifestError
from ptychonyx.runtime.formats import save_scan
from ptychonyx.runtime.scan import Scan

pytest.importorskip("onnx", reason="model files are built with the onnx package")
pytest.importorskip("onnxruntime", reason="models run on onnxruntime")


def invoke(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(each) for each in arguments], env={"COLUMNS": "200"})
    assert result.exit_code == code, result.output
    return result.output


def test_inspect_says_what_a_solver_is(solver_path: SolverPath, model_path: ModelPath) -> None:
    text = invoke("inspect", solver_path())
    for words in ("solver: features", "3 features, version 1", "20 passes", "phase 0.9", "steps 3"):
        assert words in text
    assert "scaling" not in text
    assert "patches: diffraction amplitude" in invoke("inspect", model_path())


def test_verify_proves_a_solver_and_tells_one_that_was_changed(solver_path: SolverPath) -> None:
    assert "solver.onnx: the same as the native network" in invoke("verify", solver_path())
    assert "NOT the same" in invoke("verify", solver_path(factor=0.501), code=1)


def test_a_solver_is_no_model_of_patches(solver_path: SolverPath, tmp_path: Path) -> None:
    scan = tmp_path / "scan.npz"
    save_scan(Scan(np.full((3, 8, 8), 4), "counts", np.zeros((3, 2))), scan)
    given = ("reconstruct", scan, "--quantity", "counts", "-m", solver_path())
    result = CliRunner().invoke(app, [*map(str, given), "-o", str(tmp_path / "product.h5")])
    assert isinstance(result.exception, ManifestError)
    assert "`solver`" in str(result.exception)
    assert not (tmp_path / "product.h5").exists()


def test_inspect_prints_the_sha256_of_a_model(
    solver_path: SolverPath, model_path: ModelPath
) -> None:
    for path in (solver_path(), model_path()):
        assert hashlib.sha256(path.read_bytes()).hexdigest() in invoke("inspect", path)


def test_reconstruct_refuses_a_wrong_model_unless_its_proof_is_skipped(
    model_path: ModelPath, tiny_manifest: TinyManifest, tmp_path: Path
) -> None:
    proof = tiny_manifest().verification
    other = replace(proof, object_patches=proof.object_patches * np.float32(1.01))
    model, scan = model_path(verification=other), tmp_path / "scan.npz"
    corners_px = np.indices((6, 6)).reshape(2, -1).T.astype(np.float64)
    patterns = np.random.default_rng(0).integers(1, 9, (36, 8, 8), dtype=np.uint16)
    save_scan(Scan(patterns, "counts", corners_px), scan)
    given = ["reconstruct", scan, "--quantity", "counts", "-m", model, "-o", tmp_path / "p.h5"]
    result = CliRunner().invoke(app, [*map(str, given)])
    assert isinstance(result.exception, ManifestError)
    assert "does not compute here what its network computed" in str(result.exception)
    assert not (tmp_path / "p.h5").exists()
    invoke(*given, "--skip-proof")
    assert (tmp_path / "p.h5").exists()
