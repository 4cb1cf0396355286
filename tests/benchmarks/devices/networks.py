"""Networks on an execution provider: their proof, their values, their speed, and how they start."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np

from ptychonyx.runtime.errors import ProviderError
from ptychonyx.runtime.model.manifest.verification import TOLERANCES
from ptychonyx.runtime.model.session import Model
from ptychonyx.runtime.model.start import why_no_gpu
from ptychonyx.runtime.solving.graph.comparer import GraphComparer

from .places import CACHE, SMALL, untrained

ODD_BATCHES = (1, 7, 64, 300)
SPEED_BATCH = 64
SPEED_S = 1.5
REUSED_SHARE = 0.5
"""A second start that takes more than this share of the first one has not found its engine."""


def proves_itself(path: Path, provider: str) -> str:
    """Compute the proof of a model file on a provider."""
    result = Model(path, provider=provider, check_proof=False).verify()
    assert result.passed, f"differs by {result.largest_difference:.1e}"
    return f"differs by {result.largest_difference:.1e}, allowed {result.tolerance:.0e}"


def agrees_with_the_cpu(provider: str) -> str:
    """Compare batches of many sizes with those of the CPU provider."""
    rng, largest = np.random.default_rng(0), 0.0
    model, reference = Model(SMALL[0], provider=provider), Model(SMALL[0], provider="cpu")
    manifest = model.manifest
    side, channels = manifest.window_px, manifest.num_channels
    for batch in ODD_BATCHES:
        amplitude = rng.exponential(10, (batch, channels, side, side)).astype(np.float32)
        found, expected = (each.predict(amplitude, 0.05) for each in (model, reference))
        largest = max(largest, float(np.abs(found - expected).max()))
    assert largest <= TOLERANCES[provider], f"differs by {largest:.1e}"
    return f"batches of {', '.join(map(str, ODD_BATCHES))} differ by {largest:.1e}"


def starts_or_says_why(provider: str, start: Callable[[str], object]) -> str:
    """Ask for a provider by name: on a machine with a GPU it starts, on another it says what is missing."""
    refused = None
    try:
        start(provider)
    except ProviderError as error:
        refused = str(error)
    if why_no_gpu() is None:
        assert refused is None, refused
        return "it starts"
    assert refused is not None, "it started without a GPU"
    assert "driver" in refused, f"the reason is not named: {refused}"
    return f"refused: {refused.split('. Cure')[0]}"


def start_network(provider: str) -> object:
    """Start a provider for a network."""
    return Model(SMALL[0], provider=provider)


def start_sweep(provider: str) -> object:
    """Start a provider for passes."""
    return GraphComparer(provider, 64, "amplitude")


def network_speed(path: Path, provider: str) -> str:
    """Measure patterns a second of whole batches, arrays in and arrays out."""
    model = Model(path, provider=provider, predictions_at_once=1)
    side, channels = model.manifest.window_px, model.manifest.num_channels
    rng = np.random.default_rng(0)
    amplitude = rng.exponential(10, (SPEED_BATCH, channels, side, side)).astype(np.float32)
    model.predict(amplitude, 0.05)
    times = [seconds_of(lambda: model.predict(amplitude, 0.05))]
    while sum(times) < SPEED_S:
        times.append(seconds_of(lambda: model.predict(amplitude, 0.05)))
    return f"{SPEED_BATCH * channels / statistics.median(times):.0f} patterns/s"


def seconds_of(run: Callable[[], object]) -> float:
    """Return how long a call takes."""
    started_s = perf_counter()
    run()
    return perf_counter() - started_s


def make_untrained(side: int) -> str:
    """Export an untrained network for N×N patterns, on which speed is measured."""
    from material import untrained_model

    made = untrained_model(f"gpu-{side}", window_px=side, filters=0.5)
    untrained(side).parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(made, untrained(side))
    return f"cnn, F = 0.5, {untrained(side).stat().st_size / 1e6:.1f} MB"


START = """
import sys
from time import perf_counter
from ptychonyx.runtime.model.session import Model
started = perf_counter()
Model(sys.argv[1], provider="tensorrt")
print(perf_counter() - started)
"""


def engine_is_reused() -> str:
    """Start TensorRT twice, in processes of their own: the second one must find the first one's engine."""
    seconds, engines = [], []
    for _ in range(2):
        command = [sys.executable, "-c", START, str(SMALL[0])]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (done.stderr.strip().splitlines() or ["it ended"])[-1]
        seconds.append(float(json.loads(done.stdout.strip().splitlines()[-1])))
        found = CACHE.rglob("*.engine")
        engines.append({path: path.stat().st_mtime_ns for path in found})
    assert engines[0], f"no engine was kept in {CACHE}"
    assert engines[0] == engines[1], "the second start built an engine again"
    first_s, second_s = seconds
    told = f"first start {first_s:.1f} s, second {second_s:.1f} s"
    assert second_s < REUSED_SHARE * first_s, told
    return told
