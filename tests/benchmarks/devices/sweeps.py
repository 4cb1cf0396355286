"""Passes on an execution provider: their values against float64, whole solves, speed and memory."""

from __future__ import annotations

import json
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from solver_oracle import Exact, changes, make_exact, with_noise

from ptychonyx.runtime.model.cores import num_cores
from ptychonyx.runtime.model.start import import_onnxruntime
from ptychonyx.runtime.scan import Scan
from ptychonyx.runtime.simulation.scan import SimulationOptions, simulate_scan
from ptychonyx.runtime.solving.graph.comparer import GraphComparer, relative_difference
from ptychonyx.runtime.solving.graph.comparison import MODES, PATTERNS, comparison_graph
from ptychonyx.runtime.solving.options import Noise, SolvingOptions
from ptychonyx.runtime.solving.physics.comparing import Comparer, ScipyComparer
from ptychonyx.runtime.solving.physics.exit_waves import make_beam
from ptychonyx.runtime.solving.physics.measured import read_measured
from ptychonyx.runtime.solving.physics.placement import place_windows
from ptychonyx.runtime.solving.physics.sweep import Problem, start_state, sweep
from ptychonyx.runtime.solving.solve import solve

from .networks import seconds_of

LARGEST = 1e-5
"""Relative difference from float64, in the norm."""
SOLVES_DIFFER = 3e-3
"""Between two solved objects. Where vacuum predicts nothing, rounding decides the first phase: the CPU
provider and SciPy differ by 5e-4."""
LARGEST_GROWTH = 1.1
"""Of a GPU's memory from the second solve to the fourth."""
SPEED_MODES = 3


def agrees_with_float64(
    provider: str, side: int, noises: tuple[Noise, ...], num_modes: tuple[int, ...]
) -> str:
    """Compare an odd chunk with bad pixels with what the book says of each pattern."""
    largest = 0.0
    for noise in noises:
        comparer = GraphComparer(provider, side, noise)
        for modes in num_modes:
            exact = with_noise(make_exact(4, side=side, num_modes=modes))
            largest = max(largest, _difference(comparer, exact, noise))
    assert largest <= LARGEST, f"differs by {largest:.1e}, allowed {LARGEST:.0e}"
    return f"differs by {largest:.1e}, allowed {LARGEST:.0e} ({', '.join(comparer.providers)})"


def _difference(comparer: Comparer, exact: Exact, noise: Noise) -> float:
    problem, chosen = exact.problem(), np.arange(3)
    rng = np.random.default_rng(0)
    wrong = exact.object_ * (1 + 0.2 * rng.normal(size=exact.object_.shape))
    windows = problem.placement.cut(np.asarray(wrong, np.complex64), chosen)
    fractions_px = problem.placement.fractions_px[chosen]
    measured = problem.measured.amplitudes(chosen)
    good = (rng.random(windows.shape[1:]) > 0.1).astype(np.float32)
    modes = exact.modes.astype(np.complex64)
    found = comparer.compare(
        make_beam(modes),
        windows,
        fractions_px,
        measured,
        good=good,
        noise=noise,
        with_probe=True,
    )
    parts = [
        changes(
            window.astype(np.complex128),
            modes.astype(np.complex128),
            fraction,
            a.astype(np.float64),
            good.astype(np.float64),
            noise,
        )
        for window, fraction, a in zip(windows, fractions_px, measured, strict=True)
    ]
    assert found.probe is not None
    return max(
        relative_difference(found.object_, np.stack([of_object for of_object, _ in parts])),
        relative_difference(found.probe, np.sum([of_probe for _, of_probe in parts], axis=0)),
    )


def solves_alike(provider: str) -> str:
    """Solve a small scan, its probe refined, with SciPy and on the provider."""
    spec = SimulationOptions(num_patterns=67, window_px=64, step_px=5, num_modes=2)
    scan = simulate_scan(spec, np.random.default_rng(0))
    options = SolvingOptions(passes=5, refine_probe=True, residual_patterns=0)
    plain = solve(scan, options)
    found = solve(scan, replace(options, provider=provider))
    difference = relative_difference(found.object_, plain.object_)
    assert difference <= SOLVES_DIFFER, f"objects differ by {difference:.1e}"
    return f"objects differ by {difference:.1e} ({found.metadata['pass_providers']})"


def sweep_speed(provider: str | None, side: int, num_patterns: int) -> str:
    """Measure patterns a second of a whole pass; without a provider, that of NumPy and SciPy."""
    problem, probe = _some_problem(side, num_patterns)
    comparer = ScipyComparer() if provider is None else GraphComparer(provider, side, problem.noise)
    state = start_state(np.ones(problem.placement.shape, np.complex64), probe)
    with ThreadPoolExecutor(num_cores()) as pool:

        def once(seed: int) -> object:
            rng = np.random.default_rng(seed)
            return sweep(problem, state, rng=rng, pool=pool, comparer=comparer)

        once(0)
        seconds = min(seconds_of(lambda: once(1)), seconds_of(lambda: once(2)))
    return f"{num_patterns / seconds:.0f} patterns/s, {SPEED_MODES} modes, {num_patterns} patterns"


def _some_problem(side: int, num_patterns: int) -> tuple[Problem, NDArray[np.complex64]]:
    """Return patterns of chance at the corners of a raster, and a probe: values do not matter here."""
    rng = np.random.default_rng(0)
    columns = int(np.ceil(np.sqrt(num_patterns)))
    grid = np.indices((columns, columns)).reshape(2, -1).T[:num_patterns]
    corners_px = side / 10 * grid + rng.uniform(-0.5, 0.5, (num_patterns, 2))
    counts = rng.integers(0, 100, (num_patterns, side, side), dtype=np.uint16)
    measured = read_measured(Scan(counts, "counts", corners_px), np.arange(num_patterns))
    parts = rng.normal(size=(2, SPEED_MODES, side, side)).astype(np.float32)
    probe = (4 * (parts[0] + 1j * parts[1])).astype(np.complex64)
    return Problem(measured, place_windows(corners_px, side)), probe


def whole_graph_is_on_the_gpu(name: str = "CUDAExecutionProvider") -> str:
    """Run the graph with a profile, which says where each operator was."""
    ort = import_onnxruntime()
    ort.preload_dlls()
    with tempfile.TemporaryDirectory() as folder:
        options = ort.SessionOptions()
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder, "profile"))
        session = ort.InferenceSession(
            comparison_graph(16, noise="amplitude", with_probe=True), options, providers=[name]
        )
        assert session.get_providers()[0] == name, f"only {session.get_providers()} started"
        sides = {PATTERNS: 3, MODES: 2}
        feed = {
            each.name: np.ones([sides.get(side, side) for side in each.shape], np.float32)
            for each in session.get_inputs()
        }
        session.run(None, feed)
        events = json.loads(Path(session.end_profiling()).read_text())
    places = [
        (event["args"]["op_name"], event["args"]["provider"])
        for event in events
        if "provider" in event.get("args", {})
    ]
    elsewhere = sorted({operator for operator, place in places if place != name})
    assert places, "the profile names no operator"
    assert not elsewhere, f"{', '.join(elsewhere)} ran elsewhere"
    return f"{len(places)} operators"


def memory_is_bounded() -> str:
    """Solve again and again with large windows, and ask the driver how much memory is in use."""
    problem, probe = _some_problem(256, 128)
    scan = problem.measured.scan
    options = SolvingOptions(passes=1, residual_patterns=0, provider="cuda", refine_probe=True)
    used = []
    for _ in range(4):
        solve(scan, options, probe=probe)
        used.append(used_megabytes())
    told = f"{used[-1]} MB with N = 256, {SPEED_MODES} modes"
    assert used[-1] <= LARGEST_GROWTH * used[1], f"it grew: {used} MB"
    return told


def used_megabytes() -> int:
    """Return the memory in use on the first GPU, by all processes."""
    command = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "--id=0"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout.split()[0])
