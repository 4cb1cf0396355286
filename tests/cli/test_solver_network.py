"""The network between passes, from its training to a product."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli.test_solving import run
from solver_files import SolverPath

from ptychonyx.runtime.formats import load_product, save_scan
from ptychonyx.runtime.scan import Scan

TINY = ("--epochs", 1, "--batch-size", 1, "--set", "steps_per_epoch=2", "--set", "num_groups=2")
TINY_TOO = ("--set", "widths=[4, 6]", "--set", "validation_scans=1", "--set", "validation_passes=1")


@pytest.fixture
def scan(small_scan: Scan, tmp_path: Path) -> list[object]:
    save_scan(small_scan, tmp_path / "scan.npz")
    return [tmp_path / "scan.npz", "--quantity", "counts", "-o", tmp_path / "product.h5"]


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["pytorch", "tensorflow"])
def test_a_network_is_trained_exported_and_used(
    backend: str, scan: list[object], tmp_path: Path
) -> None:
    for module in ("torch", "lightning") if backend == "pytorch" else ("tensorflow",):
        pytest.importorskip(module)
    folder, model = tmp_path / "run", tmp_path / "solver.onnx"
    text = run("train-solver", "--backend", backend, *TINY, *TINY_TOO, "-o", folder)
    assert f"Trained with {backend}" in text
    assert "finished run" in run(
        "train-solver", "--backend", backend, *TINY, *TINY_TOO, "-o", folder, code=2
    )
    run("export", folder, "-o", model)
    assert "solver" in run("inspect", model)
    assert "the same as the native network" in run("verify", model)
    text = run("reconstruct", *scan, "--solver", model, "--passes", 2)
    use = str(load_product(tmp_path / "product.h5").metadata["use_of_network"])
    assert f"The network between passes was {use}." in " ".join(text.split())


def test_devices_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    options = ("train-solver", "--backend", "pytorch", "-o", tmp_path / "run")
    assert "`devices` is 0, expected at least 1" in run(*options, "--devices", 0, code=2)
    assert "expected of pytorch one of" in run(*options, "--strategy", "mirrored", code=2)
    assert "start the command with srun" in run(*options, "--num-nodes", 2, code=2)
    assert not (tmp_path / "run").exists()


def test_a_network_of_other_features_is_refused(
    scan: list[object], solver_path: SolverPath
) -> None:
    pytest.importorskip("onnxruntime", reason="models run on onnxruntime")
    text = run("reconstruct", *scan, "--solver", solver_path(), "--passes", 2, code=2)
    assert "was trained on 3 features of version 1" in text


def test_a_network_of_patches_is_no_solver(scan: list[object], model_path: SolverPath) -> None:
    pytest.importorskip("onnxruntime", reason="models run on onnxruntime")
    model = model_path(window_px=32, patch_px=16)
    text = run("reconstruct", *scan, "--solver", model, "--passes", 2, code=2)
    assert "solver" in text
    assert "patches" in text


def test_a_network_between_passes_needs_passes(
    scan: list[object], model_path: SolverPath, solver_path: SolverPath
) -> None:
    model = model_path(window_px=32, patch_px=16)
    text = run("reconstruct", *scan, "--model", model, "--solver", solver_path(), code=2)
    assert "`--solver` is for passes" in text
