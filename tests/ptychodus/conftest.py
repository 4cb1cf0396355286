"""Environments with a real Ptychodus and our two built wheels, kept between runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from locks import constraints

from ptychonyx.runtime.formats import save_scan
from ptychonyx.runtime.scan import Frame, Scan
from ptychonyx.runtime.simulation.scan import MARGIN_PX, SimulationOptions, simulate_scan

collect_ignore = [
    "drive.py",
    "drive_cxi.py",
    "drive_reader.py",
    "drive_window.py",
]  # these run in the other environment
ROOT = Path(__file__).parents[2]
MODEL = ROOT / "tests" / "models" / "small-tensorflow" / "model.onnx"
HOME = Path(os.environ.get("PTYCHONYX_PTYCHODUS_VENVS", ROOT / ".venv-ptychodus"))
LOCK = ROOT / "lock.txt"
WHEEL = ("wheel", "-q", "--no-deps", "--no-build-isolation")  # by what lock.txt brought
HEIGHT_PX = 150
Variables = Mapping[str, str]
NO_VARIABLES: Variables = MappingProxyType({})
PICTURES = Path(os.environ.get("PTYCHONYX_PICTURES", ROOT / "build" / "pictures"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.ptychodus)


def run(*words: object, code: int = 0, **settings: Any) -> str:
    done = subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, check=False, **settings
    )
    assert done.returncode == code, f"{words}\n{done.stdout[-6000:]}{done.stderr[-6000:]}"
    return done.stdout + done.stderr


@dataclass(frozen=True)
class Environment:
    """A virtual environment; commands run in a folder where nothing of the checkout is found."""

    release: str
    folder: Path
    work: Path

    def pip(self, *words: object) -> None:
        run(self.folder / "bin" / "python", "-m", "pip", "-q", *words)

    def call(
        self, program: str, *words: object, code: int = 0, variables: Variables = NO_VARIABLES
    ) -> str:
        known = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        known |= {"CUDA_VISIBLE_DEVICES": "", "HOME": str(self.work), **variables}
        program = str(self.folder / "bin" / program)
        return run(program, *words, code=code, env=known, cwd=self.work)

    def drive(
        self, task: str, *words: object, variables: Variables = NO_VARIABLES
    ) -> dict[str, Any]:
        script = Path(__file__).with_name("drive.py")
        lines = self.call("python", script, task, *words, variables=variables).splitlines()
        (last,) = (line for line in lines if line.startswith("RESULT "))
        result: dict[str, Any] = json.loads(last.removeprefix("RESULT "))
        return result


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Build both distributions, as a user gets them."""
    folder = tmp_path_factory.mktemp("wheels")
    for source in (ROOT, ROOT / "runtime" / "ptychodus_plugin"):
        run(sys.executable, "-m", "pip", *WHEEL, "-w", folder, source)
    return sorted(folder.glob("*.whl"))


def make_environment(release: str, work: Path, *needs: str) -> Environment:
    """Make an environment, or take the one of an earlier run; Ptychodus is installed, we are not."""
    folder = HOME / release
    environment = Environment(release, folder, work)
    done = folder / "installed"
    wanted = f"ptychodus=={release} {' '.join(needs)}\n{constraints(LOCK)}"
    if not done.is_file() or done.read_text() != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        run(sys.executable, "-m", "venv", folder)
        pins = folder / "constraints.txt"
        pins.write_text(constraints(LOCK))
        environment.pip("install", "-c", pins, f"ptychodus=={release}", *needs)
        done.write_text(wanted)
    return environment


RUNTIME = ("onnxruntime", "typer", "rich", "pyyaml", "h5py", "scipy")


@pytest.fixture(scope="session", params=["1.7.0", "1.6.0"])
def environment(
    request: pytest.FixtureRequest, wheels: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Environment:
    """A Ptychodus with both of our wheels."""
    release = request.param
    made = make_environment(release, tmp_path_factory.mktemp(release), *RUNTIME, "PyQt5")
    made.pip("install", "--no-deps", "--force-reinstall", *wheels)
    return made


def standard_folder(scan: Scan, folder: Path, **changes: Any) -> Path:
    """Write a scan as Ptychodus' input folder; its product knows nothing of the object yet."""
    assert scan.object_ is not None
    save_scan(replace(scan, object_=np.ones_like(scan.object_), **changes), folder)
    shutil.copy(MODEL, folder / "model.onnx")
    (folder / "settings.ini").write_text("[Processing]\nAlgorithm = ptychonyx_onnx\n")
    return folder


@pytest.fixture(scope="session")
def truth() -> Scan:
    """A scan off the origin, on a canvas that is not square, of an object no model has seen."""
    spec = SimulationOptions(object_name="lines", num_patterns=600, step_px=5)
    scan = simulate_scan(spec, np.random.default_rng(22))
    assert scan.frame is not None
    assert scan.object_ is not None
    kept = scan.corners_px[:, 0] < HEIGHT_PX - scan.window_px - MARGIN_PX
    pixel_m = scan.frame.pixel_size_m
    lost_m = (scan.frame.canvas_shape[0] - HEIGHT_PX) * pixel_m[0]
    y_m, x_m = scan.frame.center_m
    shape = (HEIGHT_PX, scan.frame.canvas_shape[1])
    assert min(abs(y_m - lost_m / 2), abs(x_m)) > 10 * pixel_m[0]
    return replace(
        scan,
        patterns=scan.patterns[0 : scan.num_patterns][kept],
        corners_px=scan.corners_px[kept],
        object_=scan.object_[:HEIGHT_PX],
        frame=Frame(shape, (y_m - lost_m / 2, x_m), pixel_m),
        position_indexes=np.arange(1000, 1000 + int(kept.sum())),
    )


@pytest.fixture(scope="session")
def folder(truth: Scan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not MODEL.is_file():
        pytest.fail(f"{MODEL} is missing; `make models` makes it")
    return standard_folder(truth, tmp_path_factory.mktemp("scan") / "input")


@pytest.fixture(scope="session")
def solver_folder(truth: Scan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same scan without a model, with a probe that is somewhat wrong, for passes."""
    assert truth.probe is not None
    wide = np.abs(np.linspace(-1, 1, truth.window_px, dtype=np.float32))
    wrong = truth.probe * np.exp(0.5j * (wide[:, None] + wide)).astype(np.complex64)
    folder = standard_folder(truth, tmp_path_factory.mktemp("solver") / "input", probe=wrong)
    (folder / "model.onnx").unlink()
    settings = "[Processing]\nAlgorithm = ptychonyx_solver\n[Ptychonyx]\nPasses = 4\n"
    (folder / "settings.ini").write_text(f"{settings}RefineProbe = True\n")
    return folder
