"""What a user reads on stderr: lines of Ptychonyx, and none of the frameworks beneath it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ptychonyx.runtime.environment import FRAMEWORKS
from ptychonyx.runtime.formats import save_scan
from ptychonyx.runtime.scan import Scan

ROOT = Path(__file__).parents[2]
PATHS = os.pathsep.join(str(ROOT / part) for part in ("runtime", "export", "training"))
COMMAND = [sys.executable, "-c", "from ptychonyx.cli import main; main()"]
OWN_LINE = re.compile(r"Epoch \d+/\d+ .* samples/s|Note: |Warning: ")
CHOSEN = {name for variables in FRAMEWORKS.values() for name in variables} | {"TORCH_LOGS"}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def environment(**variables: str) -> dict[str, str]:
    """Return an environment in which nothing is chosen about the frameworks but `variables`."""
    kept = {name: value for name, value in os.environ.items() if name not in CHOSEN}
    cache = {"PTYCHONYX_CACHE": os.devnull}
    return {**kept, "PYTHONPATH": PATHS, "COLUMNS": "200", **cache, **variables}


def foreign_lines(*words: object, **variables: str) -> list[str]:
    """Run a command that succeeds, and return the lines on stderr that are not Ptychonyx' own."""
    done = subprocess.run(
        [*COMMAND, *map(str, words)],
        capture_output=True,
        text=True,
        env=environment(**variables),
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return [line for line in lines if not OWN_LINE.match(line)]


@pytest.fixture
def scan(small_scan: Scan, tmp_path: Path) -> Path:
    save_scan(small_scan, tmp_path / "scan.npz")
    return tmp_path / "scan.npz"


BACKENDS = [
    pytest.param("tensorflow", marks=pytest.mark.tensorflow),
    pytest.param("pytorch", marks=pytest.mark.pytorch),
]
TINY = ("--epochs", 1, "--filters", 0.25)
COUNTS = ("--quantity", "counts")


@pytest.mark.parametrize("backend", BACKENDS)
def test_from_a_scan_to_a_product_only_ptychonyx_speaks(
    backend: str, scan: Path, tmp_path: Path
) -> None:
    run, model, derived = tmp_path / "run", tmp_path / "model.onnx", tmp_path / "derived.onnx"
    measured = ("--calibration", scan, *COUNTS)
    commands = [
        ("train", scan, "--backend", backend, *TINY, *COUNTS, "-o", run),
        ("export", run, "-o", model),
        ("verify", model),
        ("derive", model, "--precision", "int8", *measured, "-o", derived),
        ("reconstruct", scan, *COUNTS, "-m", model, "-o", tmp_path / "product.h5"),
    ]
    assert [foreign_lines(*words) for words in commands] == [[]] * len(commands)


@pytest.mark.parametrize("backend", BACKENDS)
def test_several_devices_only_say_what_ptychonyx_says(
    backend: str, scan: Path, tmp_path: Path
) -> None:
    words = ("--backend", backend, *TINY, *COUNTS, "--devices", 2, "-o", tmp_path / "run")
    assert foreign_lines("train", scan, *words) == []


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_training_of_a_solver_only_says_what_ptychonyx_says(
    backend: str, tmp_path: Path
) -> None:
    sizes = ("steps_per_epoch=2", "num_groups=2", "widths=[4, 6]")
    checks = ("validation_scans=1", "validation_passes=1")
    settings = [word for each in (*sizes, *checks) for word in ("--set", each)]
    words = ("--backend", backend, "--epochs", 1, "--batch-size", 1, *settings)
    assert foreign_lines("train-solver", *words, "-o", tmp_path / "run") == []


@pytest.mark.tensorflow
def test_lines_of_tensorflow_that_were_asked_for_come_out(scan: Path, tmp_path: Path) -> None:
    words = ("train", scan, "--backend", "tensorflow", *TINY, *COUNTS, "-o", tmp_path / "run")
    assert foreign_lines(*words, TF_CPP_MIN_LOG_LEVEL="0")
