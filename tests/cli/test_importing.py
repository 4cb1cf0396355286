"""`ptychonyx import`: from a foreign file to a product."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ptychonyx.cli import app
from ptychonyx.runtime.formats import load_product, save_scan
from ptychonyx.runtime.simulation.scan import SimulationOptions, simulate_scan

pytest.importorskip("onnx", reason="graphs are built with the onnx package")
pytest.importorskip("onnxruntime", reason="models run on onnxruntime")

from foreign_files import foreign_network, write

HOW = (
    "--input",
    "intensity",
    "--scaling",
    "none",
    "--output",
    "phase",
    "--license",
    "BSD-3-Clause",
)


def invoke(*arguments: object) -> str:
    given = [str(each) for each in arguments]
    result = CliRunner().invoke(app, given, env={"COLUMNS": "200"}, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def import_and_reconstruct(source: Path, folder: Path, *, window_px: int, crop: int) -> None:
    spec = SimulationOptions(num_patterns=25, window_px=window_px, counts_per_pattern=1e5)
    scan, model, product = (folder / name for name in ("scan.npz", "model.onnx", "product.h5"))
    save_scan(simulate_scan(spec, np.random.default_rng(0)), scan)
    assert "differs from" in invoke("import", source, "-o", model, *HOW, "--crop", crop)
    assert "the same" in invoke("verify", model)
    assert "intensity, scaling none" in invoke("inspect", model)
    invoke("reconstruct", scan, "--quantity", "counts", "--model", model, "-o", product)
    assert np.isfinite(load_product(product).object_).all()


def test_a_foreign_network_reconstructs_a_scan(tmp_path: Path) -> None:
    source = write(foreign_network(), tmp_path)
    import_and_reconstruct(source, tmp_path, window_px=32, crop=16)


@pytest.mark.integration
def test_the_network_of_the_aps_reconstructs_a_scan(foreign_models: Path, tmp_path: Path) -> None:
    source = foreign_models / "ptychoNN_8.onnx"
    import_and_reconstruct(source, tmp_path, window_px=128, crop=64)


def test_what_is_not_given_is_asked_for_in_one_error(tmp_path: Path) -> None:
    source = write(foreign_network(), tmp_path)
    asked = "needed too: --input, --scaling, --output, --crop, --license"
    with pytest.raises(ValueError, match=asked):
        invoke("import", source, "-o", tmp_path / "model.onnx")
