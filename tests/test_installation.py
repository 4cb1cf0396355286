"""What a user gets from pip: small environments that reconstruct without any framework."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from locks import LOCK, constraints

from ptychonyx.runtime.formats import save_scan
from ptychonyx.runtime.simulation.scan import SimulationOptions, simulate_scan

ROOT = Path(__file__).parents[1]
FRAMEWORKS = ("torch", "tensorflow", "keras", "lightning", "onnx")
MAX_CPU_MB = 400
MODEL = ROOT / "tests" / "models" / "small-tensorflow" / "model.onnx"


class Environment:
    """A fresh virtual environment."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.bin = folder, folder / "bin"
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)

    def pip(self, *words: object) -> None:
        subprocess.run([self.bin / "pip", *map(str, words)], check=True)

    def install(self, extra: str) -> None:
        """Install ptychonyx with one extra, in the versions that are tested."""
        pins = self.folder / "constraints.txt"
        pins.write_text(constraints(LOCK))
        self.pip("install", "-q", "-c", pins, f"{ROOT}[{extra}]")

    def ptychonyx(self, *arguments: object, code: int = 0) -> str:
        done = subprocess.run(
            [self.bin / "ptychonyx", *map(str, arguments)],
            env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def missing(self) -> set[str]:
        code = (
            "from importlib.util import find_spec;"
            f"print(*(name for name in {FRAMEWORKS!r} if find_spec(name) is None))"
        )
        return set(subprocess.check_output([self.bin / "python", "-c", code], text=True).split())

    def num_megabytes(self) -> float:
        return sum(path.lstat().st_size for path in self.folder.rglob("*")) / 1e6


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("scan") / "scan.npz"
    spec = SimulationOptions(num_patterns=40, step_px=5)
    save_scan(simulate_scan(spec, np.random.default_rng(0)), path)
    return path


@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.timeout(900)
@pytest.mark.parametrize("extra", ["cpu", "gpu"])
def test_a_fresh_environment_reconstructs_without_a_framework(
    extra: str, scan: Path, tmp_path: Path
) -> None:
    environment = Environment(tmp_path / "venv")
    environment.install(extra)
    assert environment.missing() == set(FRAMEWORKS)
    if extra == "cpu":
        assert environment.num_megabytes() <= MAX_CPU_MB
    assert "the same as the native network on cpu" in environment.ptychonyx("verify", MODEL)
    command = ("reconstruct", scan, "--quantity", "counts", "-m", MODEL, "-o")
    assert "on cpu" in environment.ptychonyx(*command, tmp_path / "auto.h5", "--provider", "auto")
    message = environment.ptychonyx(*command, tmp_path / "x.h5", "--provider", "cuda", code=1)
    assert re.search("no NVIDIA driver|finds no GPU", message)
    assert not (tmp_path / "x.h5").exists()


@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.timeout(900)
def test_the_lock_of_the_runtime_is_all_that_it_needs(tmp_path: Path) -> None:
    environment = Environment(tmp_path / "venv")
    lock = ROOT / "lock-cpu-runtime.txt"
    environment.pip("install", "-q", "--require-hashes", "--no-deps", "-r", lock)
    environment.pip("install", "-q", "--no-deps", ROOT)
    environment.pip("check")
    assert "the same as the native network on cpu" in environment.ptychonyx("verify", MODEL)
