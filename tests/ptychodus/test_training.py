"""Training started from Ptychodus: exported data, a process of its own, the new model loaded."""

from __future__ import annotations

import importlib.util
import shutil
import sysconfig
from pathlib import Path

import numpy as np
import pytest

from ptychonyx.runtime import Manifest, load_manifest, load_scan
from ptychonyx.runtime.scan import Scan

from .conftest import Environment, standard_folder
from .test_faults import complaints

pytestmark = [pytest.mark.slow, pytest.mark.integration, pytest.mark.timeout(1800)]

SMALL = ("PtychonyxTraining=MergedPatterns=1", "PtychonyxTraining=FilterFactor=0.25")
"""Forty patterns are too few for groups in their validation part."""
FRAMEWORKS = {"pytorch": "torch", "tensorflow": "tensorflow"}


@pytest.fixture(scope="module")
def small_folder(small_scan: Scan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return standard_folder(small_scan, tmp_path_factory.mktemp("small") / "input")


def with_frameworks(backend: str) -> dict[str, str]:
    """Let the environment find the frameworks of this one; Ptychodus' own needs come with it."""
    if importlib.util.find_spec(FRAMEWORKS[backend]) is None:
        pytest.skip(f"{FRAMEWORKS[backend]} is not installed")
    return {"PYTHONPATH": sysconfig.get_paths()["purelib"], "TF_CPP_MIN_LOG_LEVEL": "3"}


@pytest.mark.parametrize(
    "backend",
    [
        pytest.param("pytorch", marks=pytest.mark.pytorch),
        pytest.param("tensorflow", marks=pytest.mark.tensorflow),
    ],
)
def test_export_train_infer(
    backend: str, environment: Environment, small_folder: Path, tmp_path: Path
) -> None:
    variables = with_frameworks(backend)
    words = (
        *SMALL,
        "PtychonyxTraining=TrainingEpochs=3",
        f"PtychonyxTraining=Backend={backend}",
    )
    result = environment.drive("train", small_folder, tmp_path, *words, variables=variables)
    assert result["failure"] is None
    # the frameworks' environment may hold both wheels of onnxruntime, which is complained about
    # and three epochs are too few to believe
    usual = ("installed together", "NOT BELIEVABLE")
    assert [line for line in complaints(result) if not any(each in line for each in usual)] == []
    manifest = load_manifest(tmp_path / "model.onnx")
    assert isinstance(manifest, Manifest)
    assert (manifest.backend, manifest.window_px) == (backend, 32)
    given, exported = load_scan(small_folder), load_scan(tmp_path / "exported.h5")
    np.testing.assert_allclose(exported.corners_px, given.corners_px, atol=1e-6)
    np.testing.assert_array_equal(exported.patterns[0:40], given.patterns[0:40])
    assert [epoch for epoch, _ in result["losses"]] == [0, 1, 2, 3]
    assert all(np.isfinite(value) for _, value in result["losses"])
    training = result["progress"][: result["progress"].index(100) + 1]
    assert training == sorted(training)
    assert training[-2:] == [99, 100]  # the last epoch, and the exported model


@pytest.mark.pytorch
def test_a_training_file_comes_before_the_page(
    environment: Environment, small_folder: Path, tmp_path: Path
) -> None:
    variables = with_frameworks("pytorch")
    text = "epochs: 2\nfilters: 0.25\nloss: poisson\nnum_merged: 1\n"
    (tmp_path / "training.yaml").write_text(text)
    words = ("PtychonyxTraining=Backend=pytorch", "PtychonyxTraining=TrainingEpochs=50")
    result = environment.drive("train", small_folder, tmp_path, *words, variables=variables)
    assert result["failure"] is None
    assert [epoch for epoch, _ in result["losses"]] == [0, 1, 2]
    assert "poisson" in (tmp_path / "ptychonyx-run" / "config.yaml").read_text()


@pytest.mark.pytorch
def test_a_scan_too_sparse_for_groups_is_one_line(
    environment: Environment, small_folder: Path, tmp_path: Path
) -> None:
    variables = with_frameworks("pytorch")
    words = ("PtychonyxTraining=Backend=pytorch",)
    result = environment.drive("train", small_folder, tmp_path, *words, variables=variables)
    (line,) = (line for line in complaints(result) if "installed together" not in line)
    assert "too sparse for such groups" in line
    assert "ptychonyx-train.log" in line


def test_a_backend_that_is_missing_is_one_line_with_its_pip_line(
    environment: Environment, small_folder: Path, tmp_path: Path
) -> None:
    result = environment.drive("train", small_folder, tmp_path, "PtychonyxTraining=Backend=pytorch")
    assert 'pip install "ptychonyx[pytorch]"' in result["failure"]
    (line,) = complaints(result)
    assert result["failure"] in line
    assert [path.name for path in tmp_path.iterdir()] == ["exported.h5"]


@pytest.mark.pytorch
def test_a_stopped_training_ends_and_is_resumed(
    environment: Environment, small_folder: Path, tmp_path: Path
) -> None:
    variables = with_frameworks("pytorch")
    words = (
        *SMALL,
        "PtychonyxTraining=TrainingEpochs=30",
        "PtychonyxTraining=Backend=pytorch",
    )
    stopped = environment.drive(
        "train", small_folder, tmp_path, *words, "stop", variables=variables
    )
    assert stopped["failure"] is None
    assert 0 < stopped["progress"][-1] < 99
    assert not (tmp_path / "model.onnx").exists()
    resumed = environment.drive("train", small_folder, tmp_path, *words, variables=variables)
    assert resumed["failure"] is None
    assert (tmp_path / "model.onnx").exists()
    assert "esum" in (tmp_path / "ptychonyx-train.log").read_text()


@pytest.mark.pytorch
def test_stock_batch_training_leaves_a_model(
    environment: Environment, small_folder: Path, tmp_path: Path
) -> None:
    variables = with_frameworks("pytorch")
    shutil.copytree(small_folder, tmp_path / "input")
    (tmp_path / "input" / "settings.ini").write_text(
        "[Processing]\nAlgorithm = ptychonyx_onnx\n"
        "[PtychonyxTraining]\nBackend = pytorch\nTrainingEpochs = 2\nFilterFactor = 0.25\n"
        "MergedPatterns = 1\n"
    )
    words = ("-b", "train", "-i", tmp_path / "input", "-o", tmp_path / "output")
    environment.call("python", "-m", "ptychodus", *words, variables=variables)
    manifest = load_manifest(tmp_path / "output" / "model.onnx")
    assert isinstance(manifest, Manifest)
    assert manifest.window_px == 32


def test_ptychodus_opens_the_exported_data(
    environment: Environment, small_folder: Path, tmp_path: Path
) -> None:
    if environment.release == "1.6.0":
        pytest.skip("Ptychodus has this format since 1.7")
    environment.drive("train", small_folder, tmp_path, "PtychonyxTraining=Backend=pytorch")
    opened = environment.drive("open_training_data", tmp_path / "exported.h5")
    scan = load_scan(small_folder)
    assert opened["patterns"] == [40, 32, 32]
    assert opened["counts"] == int(np.sum(scan.patterns[0:40]))
    expected = scan.corners_px[:, 1] + (32 - 1) / 2
    np.testing.assert_allclose(opened["x_px"], expected, atol=1e-6)
