"""Whatever is wrong ends in one clear line of Ptychodus' log, and Ptychodus goes on."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from ptychonyx.runtime.formats import load_object
from ptychonyx.runtime.scan import Frame, Scan
from ptychonyx.runtime.simulation.scan import SimulationOptions, simulate_scan

from .conftest import Environment, make_environment, standard_folder

pytestmark = [pytest.mark.slow, pytest.mark.integration, pytest.mark.timeout(1800)]

MAX_DIFFERENCE = 1e-5


def complaints(result: dict[str, Any]) -> list[str]:
    """Return what Ptychonyx itself warned about; Ptychodus' own traceback comes beside it."""
    bad = ("WARNING", "ERROR", "CRITICAL")
    return [text for level, name, text in result["log"] if level in bad and "ptychonyx" in name]


def truncated(folder: Path) -> None:
    data = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(data[: len(data) // 2])


def without_manifest(folder: Path) -> None:
    data = (folder / "model.onnx").read_bytes()
    (folder / "model.onnx").write_bytes(data.replace(b"ptychonyx", b"xxxxxxxxx"))


FAULTS: dict[str, tuple[Callable[[Path], object], dict[str, str], tuple[str, ...], str]] = {
    "no onnxruntime": (
        lambda folder: None,
        {"HIDDEN": "onnxruntime"},
        (),
        r'pip install "ptychonyx\[cpu\]"',
    ),
    "no model": (lambda f: (f / "model.onnx").unlink(), {}, (), "No model is loaded"),
    "corrupt model": (
        lambda f: (f / "model.onnx").write_bytes(b"no model"), {}, (), "model.onnx",
    ),
    "truncated model": (truncated, {}, (), "model.onnx"),
    "a plain ONNX file": (without_manifest, {}, (), "ptychonyx export"),
    "no such provider": (
        lambda folder: None, {}, ("Ptychonyx=Provider=npu",), "`provider` is 'npu'",
    ),
    "no OpenVINO": (
        lambda folder: None, {}, ("Ptychonyx=Provider=openvino",), "openvino does not start",
    ),
    "no GPU": (
        lambda folder: None, {}, ("Ptychonyx=Provider=cuda",), "cuda does not start",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_one_line(
    fault: str, environment: Environment, folder: Path, tmp_path: Path
) -> None:
    spoil, variables, options, message = FAULTS[fault]
    shutil.copytree(folder, tmp_path / "input")
    spoil(tmp_path / "input")
    result = environment.drive(
        "infer", tmp_path / "input", tmp_path / "a.h5", *options, variables=variables
    )
    assert result["still"] == ["ptychonyx_onnx", "ptychonyx_solver"]
    assert not (tmp_path / "a.h5").exists()
    (line,) = complaints(result)
    assert "\n" not in line
    assert re.search(message, line)
    assert result["failure"] in line


def test_a_model_for_another_window_is_one_line(environment: Environment, tmp_path: Path) -> None:
    spec = SimulationOptions(num_patterns=40, window_px=32, step_px=4)
    folder = standard_folder(simulate_scan(spec, np.random.default_rng(0)), tmp_path / "input")
    result = environment.drive("infer", folder, tmp_path / "a.h5")
    (line,) = complaints(result)
    assert "32×32, but the model" in line
    assert "takes 64×64" in line


def test_stock_batch_mode_fails_if_it_has_no_model(
    environment: Environment, folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path / "input")
    (tmp_path / "input" / "model.onnx").unlink()
    words = ("-b", "reconstruct", "-i", tmp_path / "input", "-o", tmp_path / "output")
    text = environment.call("python", "-m", "ptychodus", *words, code=1)
    assert "Reconstruction failed: No model is loaded" in text
    assert list((tmp_path / "output").iterdir()) == []


def same_as_the_folder_command(
    environment: Environment, folder: Path, work: Path, *, found: tuple[str, ...] = ()
) -> np.ndarray:
    """Return the object that Ptychodus gives, which must be the one of the folder command.

    What is `found` is warned about, and accepted.
    """
    result = environment.drive("infer", folder, work / "a.h5")
    assert result["failure"] is None
    warned = [line for line in complaints(result) if "NOT BELIEVABLE" not in line]
    assert len(warned) == len(found)
    assert all(name in line for name, line in zip(found, warned, strict=True))
    accepted = [word for name in found for word in ("--accept", name)]
    words = ("reconstruct-folder", "-i", folder, "-o", work / "output", *accepted)
    environment.call("ptychonyx", *words)
    array = load_object(work / "a.h5").object_
    other = load_object(work / "output" / "product.h5").object_
    assert np.abs(array - other).max() <= MAX_DIFFERENCE
    return array


def test_bad_pixels_are_ignored(environment: Environment, truth: Scan, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    bad = rng.random((truth.window_px, truth.window_px)) < 0.01
    patterns = np.array(truth.patterns[0 : truth.num_patterns])
    patterns[:, bad] = 0
    clean = standard_folder(truth, tmp_path / "clean", patterns=patterns.copy(), bad_pixels=bad)
    patterns[:, bad] = 4_000_000_000
    hot = standard_folder(truth, tmp_path / "hot", patterns=patterns, bad_pixels=bad)
    arrays = []
    for folder in (clean, hot):
        (tmp_path / folder.name / "work").mkdir()
        arrays.append(same_as_the_folder_command(environment, folder, folder / "work"))
    assert np.abs(arrays[0] - arrays[1]).max() <= MAX_DIFFERENCE


def test_repeated_and_missing_indexes(
    environment: Environment, folder: Path, tmp_path: Path
) -> None:
    """Ptychodus averages repeated positions and interpolates missing ones."""
    shutil.copytree(folder, tmp_path / "input")
    names = ("probe_position_indexes", "probe_position_x_m", "probe_position_y_m")
    with h5py.File(tmp_path / "input" / "product.h5", "r+") as file:
        columns = {name: file[name][()] for name in names}
        num = len(columns[names[0]])
        rows = np.r_[np.delete(np.arange(num), [50, 51, 90]), 10, 11, 12]
        for name in names:
            del file[name]
            file[name] = columns[name][rows]
    result = environment.drive("infer", tmp_path / "input", tmp_path / "a.h5")
    assert result["failure"] is None
    assert complaints(result) == []
    array = load_object(tmp_path / "a.h5").object_
    plain = environment.drive("infer", folder, tmp_path / "b.h5")
    assert plain["failure"] is None
    whole = load_object(tmp_path / "b.h5").object_
    # only the neighbourhood of the three interpolated positions can differ
    assert np.median(np.abs(array - whole)) < MAX_DIFFERENCE
    assert np.abs(array - whole).max() > MAX_DIFFERENCE


def test_patches_beyond_the_canvas_are_clipped(
    environment: Environment, truth: Scan, folder: Path, tmp_path: Path
) -> None:
    """The canvas loses 60 rows and columns at its lower right; what is left stays as it was."""
    assert truth.frame is not None
    assert truth.object_ is not None
    lost_px = 60
    height, width = (side - lost_px for side in truth.frame.canvas_shape)
    pixel_m = truth.frame.pixel_size_m
    y_m, x_m = (
        center_m - lost_px / 2 * side_m
        for center_m, side_m in zip(truth.frame.center_m, pixel_m, strict=True)
    )
    small = replace(
        truth,
        object_=truth.object_[:height, :width],
        frame=Frame((height, width), (y_m, x_m), pixel_m),
    )
    standard_folder(small, tmp_path / "input")
    work, found = tmp_path / "input", ("outside-canvas",)
    array = same_as_the_folder_command(environment, work, tmp_path, found=found)
    assert array.shape == (height, width)
    environment.drive("infer", folder, tmp_path / "whole.h5")
    whole = load_object(tmp_path / "whole.h5").object_[:height, :width]
    # the one factor that absorption gives is fitted to what lies on the canvas
    factor = np.vdot(whole, array).real / np.vdot(whole, whole).real
    assert np.abs(array - factor * whole).max() <= MAX_DIFFERENCE


@pytest.mark.parametrize("separate", [False, True])
def test_a_cancelled_run_stops_and_the_next_one_works(
    separate: bool, environment: Environment, folder: Path
) -> None:
    option = f"Ptychonyx=UseSeparateProcess={separate}"
    result = environment.drive("cancel", "ptychonyx_onnx", folder, option, "Ptychonyx=BatchSize=8")
    *_, last = result["stopped_at"]
    assert 0 < last < 100
    assert result["progress"] == 100
    lines = [text for _, name, text in result["log"] if "ptychonyx" in name and "stopped" in text]
    assert lines == [f"Reconstruction stopped at {last} %."]
    assert complaints(result) == []


@pytest.mark.parametrize("release", ["1.2", "1.3.2"])
def test_an_older_release_starts_with_one_warning(
    release: str, wheels: list[Path], tmp_path: Path
) -> None:
    old = make_environment(release, tmp_path, "onnxruntime", "typer", "rich", "pyyaml")
    old.pip("install", "--no-deps", "--force-reinstall", *wheels)
    result = old.drive("old")
    assert result["runs"]
    (line,) = complaints(result)
    assert line.startswith("Ptychonyx is switched off")
    assert f"this is {release}" in line
    assert "Ptychonyx" not in result["settings"]
    assert not any("Traceback" in text for _, _, text in result["log"])


def test_uninstalling_leaves_ptychodus_as_it_was(
    environment: Environment, wheels: list[Path]
) -> None:
    def files() -> set[str]:
        root = environment.folder / "lib"
        kept = (path for path in root.rglob("*") if path.is_file() and path.suffix != ".pyc")
        return {str(path.relative_to(root)) for path in kept}

    environment.pip("uninstall", "-y", "ptychonyx-ptychodus", "ptychonyx")
    try:
        without = files()
        assert not any("ptychonyx" in name.lower() for name in without)
        before = environment.drive("list")
        assert before["reconstructors"] == []
        assert "Ptychonyx Inference" not in before["workflows"]
        assert before["settings"] == {}
        environment.pip("install", "--no-deps", *wheels)
        environment.drive("list")
        added = files() - without
        assert all("ptychonyx" in name for name in added)
        assert sum("ptychodus/plugins/" in name for name in added) == 1
        environment.pip("uninstall", "-y", "ptychonyx-ptychodus", "ptychonyx")
        assert files() == without
        assert environment.drive("list")["reconstructors"] == []
    finally:
        environment.pip("install", "--no-deps", "--force-reinstall", *wheels)
