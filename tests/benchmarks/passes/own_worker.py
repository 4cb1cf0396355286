"""Solve the star with the solver or sequential ePIE, as `ptychi_worker` does with pty-chi.

python own_worker.py TASK.npz SETTING_JSON OUT.npz STARTED
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.append(str(Path(__file__).parents[1]))  # where the package `passes` lies

from passes import epie
from passes.stepping import start_of, states
from ptychonyx.runtime.scan import Scan


def objects(scan: Scan, algorithm: str) -> Iterator[NDArray[np.complex64]]:
    """Yield the object before and after each pass."""
    assert scan.probe is not None
    problem, state = start_of(scan, scan.probe)
    first = np.ones_like(state.object_)
    state = replace(state, object_=first)
    steps: Iterator[NDArray[np.complex64]] = (one.object_ for one in states(problem, state))
    if algorithm == "ePIE":
        placement = problem.placement
        corners_px = placement.whole_px + placement.fractions_px
        task = epie.Task(problem.measured.kept, scan.probe, corners_px)
        steps = epie.passes(task, first.copy(), np.random.default_rng(0))
    yield first
    yield from steps


def main(task_path: str, setting_json: str, out_path: str, started: str) -> None:
    setting = json.loads(setting_json)
    with np.load(task_path) as data:
        scan = Scan(data["patterns"], "counts", data["corners_px"], data["probe"])
    steps = objects(scan, setting["algorithm"])
    next(steps)
    startup_s, times = time.time() - float(started), [time.perf_counter()]
    found = []
    for epoch, object_ in enumerate(steps, 1):
        times.append(time.perf_counter())
        if epoch in setting["noted"]:
            found.append(object_.copy())
        if epoch == setting["epochs"] or times[-1] - times[0] > setting["budget_s"]:
            break
    seconds = np.cumsum([0.0, *(after - before for before, after in pairwise(times))])
    noted = [epoch for epoch in setting["noted"] if epoch < len(seconds)]
    np.savez(
        out_path,
        objects=np.stack(found),
        epochs=noted,
        seconds=seconds[noted],
        startup_s=startup_s,
        corner_px=np.rint(scan.corners_px).min(axis=0),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
