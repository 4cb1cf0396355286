"""Commands on model files know both kinds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from model_files import ModelPath
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
