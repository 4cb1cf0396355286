"""The command line as a user meets it: a whole path, exit codes, and what is left behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from model_files import ModelPath

from ptychonyx.runtime.formats import load_product, save_scan
from ptychonyx.runtime.scan import Scan

ROOT = Path(__file__).parents[2]
PATHS = os.pathsep.join(str(ROOT / part) for part in ("runtime", "export", "training"))
COMMAND = [sys.executable, "-c", "from ptychonyx.cli import main; main()"]
ENVIRONMENT = os.environ | {
    "PYTHONPATH": PATHS,
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "COLUMNS": "200",
    "PTYCHONYX_CACHE": os.devnull,  # nothing is remembered
    "CUDA_VISIBLE_DEVICES": "",  # the same messages on a machine with a GPU
}


def ptychonyx(*arguments: object, code: int = 0) -> str:
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.integration
@pytest.mark.tensorflow
@pytest.mark.pytorch
@pytest.mark.parametrize("backend", ["tensorflow", "pytorch"])
def test_from_scan_to_comparison(backend: str, small_scan: Scan, tmp_path: Path) -> None:
    scan, run, model = tmp_path / "scan.npz", tmp_path / "run", tmp_path / "model.onnx"
    save_scan(small_scan, scan)
    save_scan(small_scan, tmp_path / "folder")
    options = ("--backend", backend, "--epochs", 2, "--filters", 0.25, "--quantity", "counts")
    logs = ("--tensorboard",)
    assert f"Trained with {backend}" in ptychonyx("train", scan, *options, "-o", run, *logs)
    assert list((run / "tensorboard").glob("events*"))
    assert "holds a finished run" in ptychonyx("train", scan, *options, "-o", run, code=2)
    message = ptychonyx("verify", run / "weights.safetensors", code=2)
    assert "ptychonyx export" in message
    ptychonyx("export", run, "-o", model)
    assert "the same" in ptychonyx("verify", model)
    assert backend in ptychonyx("inspect", model)
    half = tmp_path / "half.onnx"
    fewer = ("--precision", "float16", "--calibration", scan, "--quantity", "counts")
    assert "phase Pearson 1.000" in ptychonyx("derive", model, "-o", half, *fewer)
    assert "float16" in ptychonyx("inspect", half)
    for source, product in ((scan, "a.h5"), (tmp_path / "folder", "b.npz")):
        extra = ("--quantity", "counts") if source == scan else ()
        picture = ("--plot", tmp_path / "picture.png")
        ptychonyx("reconstruct", source, *extra, "-m", model, "-o", tmp_path / product, *picture)
    report = ptychonyx("compare", tmp_path / "a.h5", tmp_path / "b.npz", "--json")
    assert json.loads(report.splitlines()[-1])["complex_nrmse"] < 1e-4
    assert (tmp_path / "picture.png").stat().st_size > 10_000
    message = ptychonyx(
        "reconstruct", tmp_path / "folder", "-m", model, "-o", tmp_path / "c.h5",
        "--provider", "cuda", code=1,
    )  # fmt: skip
    assert re.search("no NVIDIA driver|finds no GPU", message)
    assert not (tmp_path / "c.h5").exists()


@pytest.mark.integration
@pytest.mark.pytorch
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_training_keeps_whole_epochs(
    number: signal.Signals, small_scan: Scan, tmp_path: Path
) -> None:
    save_scan(small_scan, tmp_path / "scan.npz")
    settings = tmp_path / "settings.yaml"
    settings.write_text("filters: 0.25\nepochs: 5000\nearly_stopping_patience: null\n")
    options = ["--backend", "pytorch", "--config", str(settings), "--quantity", "counts"]
    command = ["train", str(tmp_path / "scan.npz"), *options]
    process = subprocess.Popen(
        [*COMMAND, *command, "-o", str(tmp_path / "run")],
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 600
    while not (tmp_path / "run" / "checkpoints" / "progress.json").exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(number)
    _, message = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "The same command resumes it" in message
    assert (tmp_path / "run" / "weights.safetensors").exists()


@pytest.mark.integration
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_reconstruction_leaves_a_whole_file_or_none(
    number: signal.Signals, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 9, (2_000, 64, 64), dtype=np.uint16)
    scan = Scan(patterns, "counts", rng.uniform(0, 200, (len(patterns), 2)))
    save_scan(scan, tmp_path / "scan.npz")
    (tmp_path / "out").mkdir()
    model, product = (
        ROOT / "tests" / "models" / "small-pytorch" / "model.onnx",
        tmp_path / "out" / "p.h5",
    )
    words = ["reconstruct", tmp_path / "scan.npz", "-m", model, "-o", product, "--batch-size", 4]
    process = subprocess.Popen(
        [*COMMAND, *map(str, words), "--quantity", "counts"],
        env=ENVIRONMENT,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    while "has no probe" not in process.stderr.readline():  # the pipeline comes next
        assert process.poll() is None
    time.sleep(0.3)
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == 130
    read = load_product(product)
    assert not read.complete
    assert read.num_patterns_used is not None
    assert 0 < read.num_patterns_used < len(patterns)
    assert read.coverage is not None
    assert np.any(read.coverage > 0)
    assert list((tmp_path / "out").iterdir()) == [product]


def test_integer_patterns_stop_with_two_command_lines(small_scan: Scan, tmp_path: Path) -> None:
    scan = tmp_path / "scan.npz"
    save_scan(small_scan, scan)
    message = ptychonyx("inspect", scan, code=2)
    for word in ("counts", "amplitude"):
        assert f"ptychonyx inspect {scan} --quantity {word}" in message
        assert "patterns" in ptychonyx("inspect", scan, "--quantity", word)


def test_as_many_patterns_as_pixels_stop_with_two_command_lines(tmp_path: Path) -> None:
    scan, patterns = tmp_path / "scan.npz", np.random.default_rng(0).random((8, 8, 8))
    np.savez(scan, diff3d=patterns, xcoords=np.arange(8.0), ycoords=np.arange(8.0))
    message = ptychonyx("inspect", scan, code=2)
    for word in ("first", "last"):
        assert f"ptychonyx inspect {scan} --pattern-axis {word}" in message
        assert "8 of 8×8" in ptychonyx("inspect", scan, "--pattern-axis", word)


RECONSTRUCT = ("reconstruct", "SCAN", "--quantity", "counts", "-m", "MODEL", "-o")
BAD_FLAGS = {
    "unknown backend": (("train", "SCAN", "--backend", "jax", "-o", "OUT"), "'pytorch'"),
    "unknown loss": (("train", "SCAN", "--loss", "mse", "-o", "OUT"), "'poisson'"),
    "unknown setting": (("train", "SCAN", "--set", "epoch=3", "-o", "OUT"), "setting `epoch`"),
    "no setting": (("train", "SCAN", "--set", "epochs", "-o", "OUT"), "expected NAME=VALUE"),
    "setting twice": (
        ("train", "SCAN", "--set", "epochs=3", "--epochs", "4", "-o", "OUT"),
        "`epochs` is given twice",
    ),
    "no YAML": (("train", "SCAN", "--set", "loss={", "-o", "OUT"), "is no YAML"),
    "residuals": ((*RECONSTRUCT, "OUT.h5", "--residual-patterns", "x"), "Invalid value"),
    "no config": (("train", "SCAN", "--config", "none.yaml", "-o", "OUT"), "does not exist"),
    "no scan": (("train", "none.npz", "-o", "OUT"), "does not exist"),
    "no run": (("export", "nowhere", "-o", "OUT.onnx"), "does not exist"),
    "not a run": (("export", "FOLDER", "-o", "OUT.onnx"), "is not a run folder"),
    "wrong ending": (("export", "FOLDER", "-o", "OUT.pb"), "must end in .onnx"),
    "no model": (("verify", "none.onnx"), "none.onnx"),
    "no model to reconstruct with": (
        ("reconstruct", "SCAN", "-m", "none.onnx", "-o", "OUT.h5"),
        "does not exist",
    ),
    "product ending": ((*RECONSTRUCT, "OUT.tif"), "must end in one"),
    "no folder": ((*RECONSTRUCT, "no/where.h5"), "There is no folder"),
    "simulation": (("simulate", "-o", "OUT.npz", "--object", "cat"), "'lines'"),
    "simulated ending": (("simulate", "-o", "OUT.tif"), "tells no format"),
    "region": (("compare", "SCAN", "SCAN", "--region", "all"), "region"),
    "missing option": (("reconstruct", "SCAN"), "Missing option"),
    "no calibration": (
        ("derive", "MODEL", "-o", "OUT.onnx", "--precision", "int8"),
        "--calibration",
    ),
    "derived from a run": (
        (
            "derive",
            "FOLDER",
            "-o",
            "OUT.onnx",
            "--precision",
            "int8",
            "--calibration",
            "SCAN",
            "--quantity",
            "counts",
        ),
        "export the run to a model file first",
    ),
    "batch": ((*RECONSTRUCT, "OUT.h5", "--batch-size", "big"), "`batch_size` is 'big'"),
    "scale": ((*RECONSTRUCT, "OUT.h5", "--scale", "-1"), "`scale` is -1.0"),
    "unknown machine": ((*RECONSTRUCT, "OUT.h5", "--batch-size", "auto"), "`ptychonyx benchmark"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD_FLAGS.values(), ids=BAD_FLAGS)
def test_bad_flags_leave_nothing(
    arguments: tuple[str, ...], message: str, small_scan: Scan, tmp_path: Path
) -> None:
    scan = tmp_path / "scan.npz"
    save_scan(small_scan, scan)
    places = {
        "SCAN": str(scan),
        "OUT": str(tmp_path / "out"),
        "FOLDER": str(ROOT / "models"),
        "MODEL": str(ROOT / "tests" / "models" / "small-pytorch" / "model.onnx"),
    }
    given = [places.get(word, word.replace("OUT", str(tmp_path / "out"))) for word in arguments]
    if "--backend" not in given and given[0] == "train" and "none.npz" not in given:
        given += ["--quantity", "counts"]
    output = ptychonyx(*given, code=2)
    assert message in output
    assert "Traceback" not in output
    assert [path.name for path in tmp_path.iterdir()] == ["scan.npz"]


def test_patches_are_aligned_when_asked(model_path: ModelPath, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="models run on onnxruntime")
    corners_px = np.indices((6, 6)).reshape(2, -1).T.astype(np.float64)
    patterns = np.random.default_rng(0).integers(1, 9, (36, 8, 8), dtype=np.uint16)
    scan, product = tmp_path / "scan.npz", tmp_path / "product.h5"
    save_scan(Scan(patterns, "counts", corners_px), scan)
    words = ("reconstruct", scan, "--quantity", "counts", "-m", model_path(num_channels=4))
    for options in ((), ("--align-phase",)):
        ptychonyx(*words, "-o", product, *options)
        assert load_product(product).metadata["align_phase"] == bool(options)


def test_help_names_every_command() -> None:
    text = ptychonyx("--help")
    commands = ("inspect", "simulate", "train", "export", "verify", "reconstruct", "compare")
    for command in (*commands, "derive", "benchmark", "reconstruct-folder", "reconstruct-many"):
        assert command in text
