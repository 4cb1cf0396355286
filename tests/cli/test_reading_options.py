"""How a scan is read and turned can be said to every command that takes one."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ptychonyx.cli import app
from ptychonyx.runtime import load_product, load_scan, save_scan
from ptychonyx.runtime.scan import Frame, Scan
from ptychonyx.runtime.turns import Turn

READING = ("--map", "--key", "--crop", "--bin")
TURNING = ("--flip", "--dc", "--swap-positions", "--negate-positions", "--accept")


def invoke(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(each) for each in arguments], env={"COLUMNS": "200"})
    assert result.exit_code == code, (result.output, result.exception)
    return result.output


MAP = "patterns: dp\npositions: {y: ppY, x: ppX, unit: px, origin: corner}\nprobe: beam\n"


@pytest.fixture
def strange(small_scan: Scan, tmp_path: Path) -> Path:
    """A scan of other names, with its map, transposed patterns, and a border of two dark pixels."""
    assert small_scan.probe is not None
    patterns = Turn(flip="t").apply(small_scan).patterns[:]
    border = ((0, 0), (2, 2), (2, 2))
    path = tmp_path / "strange.npz"
    np.savez(
        path,
        dp=np.pad(patterns, border).astype(np.uint32),
        ppY=small_scan.corners_px[:, 0],
        ppX=small_scan.corners_px[:, 1],
        beam=small_scan.probe,
    )
    path.with_name("map.yaml").write_text(MAP)
    return path


def said(strange: Path) -> tuple[object, ...]:
    return ("--map", strange.with_name("map.yaml"), "--crop", 32, "--quantity", "counts")


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("inspect", READING + TURNING),
        ("train", READING + TURNING),
        ("train-solver", READING + TURNING),
        ("derive", READING + TURNING),
        ("reconstruct", READING + TURNING),
        ("reconstruct-many", READING + TURNING),
        ("reconstruct-folder", TURNING),
        ("compare", READING),
        ("convert", READING),
    ],
)
def test_the_options_are_offered(command: str, options: tuple[str, ...]) -> None:
    text = invoke(command, "--help")
    assert [option for option in options if option not in text] == []


def test_the_strange_file_is_what_it_says(strange: Path, small_scan: Scan) -> None:
    map_path = strange.with_name("map.yaml")
    read = load_scan(strange, quantity="counts", map_path=map_path, crop_px=32)
    np.testing.assert_array_equal(Turn(flip="t").apply(read).patterns[:], small_scan.patterns[:])


@pytest.mark.pytorch
def test_a_run_is_trained_on_what_was_said(strange: Path, tmp_path: Path) -> None:
    small = ("--backend", "pytorch", "--filters", 0.25, "--epochs", 1, "--set", "architecture=cnn")
    invoke("train", strange, *said(strange), "--flip", "t", *small, "-o", tmp_path / "run")
    (entry,) = json.loads((tmp_path / "run" / "provenance.json").read_text())["inputs"]
    assert (entry["window_px"], entry["turned"]) == (32, "--flip t")
    model, half = tmp_path / "model.onnx", tmp_path / "half.onnx"
    invoke("export", tmp_path / "run", "-o", model)
    calibration = ("--calibration", strange, *said(strange), "--flip", "t")
    text = invoke("derive", model, "-o", half, "--precision", "float16", *calibration)
    assert "phase Pearson 1.000" in text


def test_a_comparison_reads_its_scan_as_said(
    strange: Path, small_scan: Scan, tmp_path: Path
) -> None:
    truth = tmp_path / "truth.npz"
    save_scan(small_scan, truth)
    scan = ("--scan", strange, *said(strange))
    values = json.loads(invoke("compare", truth, truth, *scan, "--json"))
    assert values["residual"] > 0


def test_a_folder_is_turned_by_its_settings_and_flags_win(small_scan: Scan, tmp_path: Path) -> None:
    assert small_scan.object_ is not None
    frame = Frame(small_scan.object_.shape, (0.0, 0.0), (1e-8, 1e-8))
    folder = tmp_path / "input"
    save_scan(dataclasses.replace(small_scan, frame=frame, object_corner_px=(0.0, 0.0)), folder)
    settings = "[Ptychonyx]\nPasses = 1\nSolverNetwork = none\nFlipPatterns = x\n"
    (folder / "settings.ini").write_text(settings)
    for flags, turned in (((), "--flip x"), (("--flip", "t"), "--flip t")):
        invoke("reconstruct-folder", "-i", folder, "-o", tmp_path / "output", *flags)
        product = load_product(tmp_path / "output" / "product.h5")
        assert product.metadata["turned"] == turned
