"""What benchmarks work on: untrained models and scan files, made once in build/performance/material."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from performance import BUILD

from ptychonyx.runtime.formats import save_scan
from ptychonyx.runtime.scan import Scan
from ptychonyx.runtime.simulation.scan import SimulationOptions, simulate_scan

MATERIAL = BUILD / "material"
NUM_SIMULATED = 500
"""Patterns that are really simulated; longer scans repeat them."""
STEP_PX = 6.0
NO_BYTECODE = "PYTHONDONTWRITEBYTECODE"
MEASURE = """
import json, os, subprocess, sys, time
started = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
seconds = time.perf_counter() - started
process.returncode = os.waitstatus_to_exitcode(status)
core_s = usage.ru_utime + usage.ru_stime
print(json.dumps([process.returncode, seconds, usage.ru_maxrss, core_s]))
"""


def untrained_model(name: str, *, window_px: int = 64, **settings: Any) -> Path:
    """Return a model file of drawn weights; speed does not depend on training.

    Parameters
    ----------
    name : str
        Of the file.
    window_px : int
        N.
    **settings
        Fields of `TrainingConfig`.
    """
    path = MATERIAL / f"{name}.onnx"
    if path.exists():
        return path
    from ptychonyx.export import export_run
    from ptychonyx.training.config.config import TrainingConfig, architecture_of
    from ptychonyx.training.network.weights import draw_weights, save_weights
    from ptychonyx.training.run import start_run

    MATERIAL.mkdir(parents=True, exist_ok=True)
    config = TrainingConfig(**({"backend": "pytorch", "architecture": "cnn"} | settings))
    probe = small_scan(window_px, 1).probe
    assert probe is not None
    described = {
        "window_px": window_px,
        "input_scale": 0.05,
        "num_patterns": 1,
        "probe_source": "file",
        "probe_modes": len(probe),
        "photon_energy_eV": None,
        "pixel_size_m": None,
    }
    with tempfile.TemporaryDirectory() as folder:
        run = start_run(
            Path(folder) / "run", config, inputs=[described], probe=probe, overwrite=False
        )
        weights = draw_weights(architecture_of(config, window_px), np.random.default_rng(0))
        save_weights(weights, run.weights_file)
        export_run(run.path, path)
    return path


def small_scan(window_px: int, num_patterns: int) -> Scan:
    """Return a simulated scan with its truth; counts are stored as uint16, as detectors do."""
    spec = SimulationOptions(num_patterns=num_patterns, window_px=window_px, step_px=STEP_PX)
    return simulate_scan(spec, np.random.default_rng(0))


def long_scan(
    num_patterns: int,
    *,
    window_px: int = 64,
    step_px: float = STEP_PX,
    name: str = "",
    within: Path = MATERIAL,
) -> Path:
    """Return a folder of Ptychodus files: `NUM_SIMULATED` patterns over and over, in a raster.

    Patterns are uint16, in compressed chunks as Ptychodus writes them. The raster has about equal
    sides; the file holds no truth, only vacuum of its shape. Another step needs another name.
    """
    folder = within / (name or f"scan-{window_px}-{num_patterns}")
    if (folder / "diffraction.h5").exists():
        return folder
    scan = small_scan(window_px, NUM_SIMULATED)
    counts = np.minimum(np.asarray(scan.patterns[:]), np.iinfo(np.uint16).max).astype(np.uint16)
    repeated = Repeated(counts, num_patterns)
    columns = int(np.ceil(np.sqrt(num_patterns)))
    rng = np.random.default_rng(0)
    raster = np.stack(np.divmod(np.arange(num_patterns), columns), axis=1) * step_px
    corners_px = raster + rng.uniform(-1, 1, raster.shape) + 16
    shape = (np.ceil(corners_px.max(axis=0)) + window_px + 16).astype(int)
    save_scan(
        Scan(
            patterns=repeated,
            quantity="counts",
            corners_px=corners_px,
            probe=scan.probe,
            object_=np.ones(tuple(shape.tolist()), np.complex64),
            pixel_size_m=scan.pixel_size_m,
            photon_energy_eV=scan.photon_energy_eV,
            detector_distance_m=scan.detector_distance_m,
            name=f"{num_patterns} patterns",
        ),
        folder,
    )
    with h5py.File(folder / "diffraction.h5") as file:
        assert file["patterns"].dtype == np.uint16
    return folder


def command(*words: object) -> list[str]:
    """Return the command line of `ptychonyx WORDS`, in this environment."""
    return [sys.executable, "-c", "from ptychonyx.cli import main; main()", *map(str, words)]


def run_cold(words: list[str]) -> tuple[float, int, float]:
    """Run a command in a process of its own.

    Return its wall time in s, its peak memory in bytes, and the seconds that cores worked for it and
    for its children.

    A small process between us and the command measures it: a peak is never less than that of the
    process that started it. Bytecode may be cached, as in any installation.
    """
    environment = {key: value for key, value in os.environ.items() if key != NO_BYTECODE}
    measured = subprocess.run(
        [sys.executable, "-S", "-c", MEASURE, *words],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    code, seconds, peak_kb, core_s = json.loads(measured.stdout)
    if code:
        raise RuntimeError(f"{words} ended with code {code}.")
    return seconds, peak_kb * 1024, core_s


class Repeated:
    """Patterns that come again and again, up to a number, without the memory for it."""

    def __init__(self, patterns: NDArray[Any], num_patterns: int) -> None:
        self._patterns = patterns
        self.shape: tuple[int, ...] = (num_patterns, *patterns.shape[1:])
        self.dtype: np.dtype[Any] = patterns.dtype

    def __getitem__(self, key: slice | NDArray[np.int64]) -> NDArray[Any]:
        indexes = np.arange(self.shape[0])[key] % len(self._patterns)
        return self._patterns[indexes]
