"""Side by side on one core: the solver, sequential ePIE, and pty-chi 2.2.0 with 27 settings.

pty-chi needs an environment of its own, and of torch a build for CPUs (the second line; where an index
offers one only for CUDA, take the index of torch for CPUs). torchvision is left out: see
`ptychi_worker`.

    python3.11 -m venv ../ptychi-venv
    ../ptychi-venv/bin/pip install "$(grep -o '^torch==[^ ]*' lock.txt)"
    ../ptychi-venv/bin/pip install numpy h5py pandas "pydantic<3" scikit-image scikit-learn scipy
    ../ptychi-venv/bin/pip install tqdm matplotlib
    ../ptychi-venv/bin/pip install --no-deps ptychi==2.2.0

All start from an object of 1 and keep the reference's three modes; all are compared in one region.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path

import numpy as np

from ptychonyx.runtime import load_object, load_probe
from ptychonyx.runtime.formats.placed_object import PlacedObject

from .cost import one_core
from .records import ROOT, Row, is_missing, keep, load, verdict
from .star import against_reference, reference_of, scan_named

NAME = "peers"
WINDOW_PX = 64
PYTHON = str(ROOT.parent / "ptychi-venv" / "bin" / "python")
STEPS = {"LSQML": (0.5, 0.9, 1.5), "rPIE": (0.1, 0.3, 1.0), "PIE": (0.1, 0.3, 1.0)}
"""For LSQML a factor of the step that it finds, by default 0.9; else the step itself."""
BATCHES = (8, 32, 96)
EPOCHS = 100
BUDGET_S = 90.0
"""Passes end after so many seconds."""
GOALS = (0.955, 0.965)
"""Phase Pearson to be reached."""
NEVER_S = float("inf")


@dataclass(frozen=True)
class Setting:
    """How to solve; batch and step are pty-chi's alone."""

    algorithm: str
    batch: int = 0
    step: float = 0.0

    @property
    def key(self) -> str:
        return self.algorithm + (f"-{self.batch:02}-{self.step}" if self.batch else "")


OURS = Setting("ours")
OWN = (OURS, Setting("ePIE"))


def settings() -> list[Setting]:
    """Return all settings, our own first."""
    found = [
        Setting(name, batch, step)
        for batch, name in product(BATCHES, STEPS)
        for step in STEPS[name]
    ]
    return [*OWN, *found]


def run(first: int, last: int | None, *, epochs: int, python: str, again: bool) -> None:
    """Run those of some settings that are not on record, and report on all that are."""
    for setting in settings()[first:last]:
        if is_missing(NAME, setting.key, again=again and setting in OWN):
            keep(NAME, {"key": setting.key} | measure(setting, epochs=epochs, python=python))
    report()


def measure(setting: Setting, *, epochs: int, python: str) -> Row:
    """Solve the star in a process of its own and compare the object after each epoch noted."""
    here = Path(__file__).parent
    worker, python = (
        (here / "own_worker.py", sys.executable)
        if setting in OWN
        else (here / "ptychi_worker.py", python)
    )
    numbers = [*range(1, 21), *range(25, EPOCHS + 1, 5)]
    told = asdict(setting) | {
        "window_px": WINDOW_PX,
        "epochs": epochs,
        "noted": [number for number in numbers if number <= epochs],
        "budget_s": BUDGET_S,
    }
    with tempfile.TemporaryDirectory() as name, one_core():
        task, out = Path(name) / "task.npz", Path(name) / "out.npz"
        write_task(task)
        words = [python, str(worker), str(task), json.dumps(told), str(out), str(time.time())]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{setting.key} ended with code {done.returncode}:\n{done.stderr}")
        with np.load(out) as found:
            return asdict(setting) | scored(dict(found))


def write_task(path: Path) -> None:
    """Write what all workers start from."""
    reference, scan = reference_of(WINDOW_PX), scan_named("star", WINDOW_PX)
    np.savez(
        path,
        patterns=np.asarray(scan.patterns[:]),
        corners_px=scan.corners_px,
        probe=load_probe(reference),
        object=np.ones(load_object(reference).object_.shape, np.complex64),
    )


def scored(found: dict[str, np.ndarray]) -> Row:
    """Compare what a worker found; objects that are no numbers count as 0."""
    y, x = np.array(found.get("corner_px", (0, 0)), float).tolist()
    objects = [np.nan_to_num(object_) for object_ in found["objects"]]
    scores = [against_reference(PlacedObject(object_, (y, x)), WINDOW_PX) for object_ in objects]
    return {
        "startup_s": float(found["startup_s"]),
        "epochs": found["epochs"].tolist(),
        "seconds": found["seconds"].tolist(),
        "phase": [score.phase_pearson for score in scores],
        "amplitude": [score.amplitude_pearson for score in scores],
    }


def seconds_to(row: Row, goal: float) -> float:
    """Return the seconds of passes until a phase was first met at an epoch noted."""
    pairs = zip(row["seconds"], row["phase"], strict=True)
    return next((seconds for seconds, phase in pairs if phase >= goal), NEVER_S)


def report() -> None:
    """Print how soon each setting reaches its goals, and the best of pty-chi beside ours."""
    rows = load(NAME)
    for key, row in rows.items():
        reached = ", ".join(
            f"{goal} in {seconds_to(row, goal):.2f} s (with start-up "
            f"{seconds_to(row, goal) + row['startup_s']:.2f})"
            for goal in GOALS
        )
        print(f"{key:14} {reached}; at last {row['phase'][-1]:.4f}/{row['amplitude'][-1]:.4f}")
    if OURS.key not in rows:
        return
    theirs = [row for row in rows.values() if row["batch"]]
    for goal in GOALS:
        for what, share in (("", 0), (" with start-up", 1)):
            ours, *others = (
                seconds_to(row, goal) + share * row["startup_s"]
                for row in (rows[OURS.key], *theirs)
            )
            name = f"seconds to phase {goal}{what}, beside pty-chi's best of {len(others)} settings"
            verdict(name, ours, min(others, default=NEVER_S))
