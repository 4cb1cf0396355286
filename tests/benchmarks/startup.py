"""Start-up: whole processes, and what an optimised graph beside the model would save."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

from material import command, run_cold, untrained_model
from performance import remake, remember, spread, table, write_section

NUM_RUNS = 5
CASES = {
    "`import numpy, onnxruntime`": [sys.executable, "-c", "import numpy, onnxruntime"],
    "and `ptychonyx.runtime`": [
        sys.executable,
        "-c",
        "import numpy, onnxruntime, ptychonyx.runtime",
    ],
    "`ptychonyx --help`": command("--help"),
}


def processes() -> dict[str, list[float]]:
    for words in CASES.values():
        run_cold(words)  # warm the file cache
    times: dict[str, list[float]] = {name: [] for name in CASES}
    for _ in range(NUM_RUNS):
        for name, words in CASES.items():
            times[name].append(run_cold(words)[0])
    return times


def sessions() -> dict[str, list[float]]:
    """Return the seconds that a session takes to start, from the model and from an optimised copy."""
    import onnxruntime as ort

    model = untrained_model("cnn-f1-n64", filters=1.0)
    with tempfile.TemporaryDirectory() as folder:
        saving = ort.SessionOptions()
        saving.optimized_model_filepath = str(Path(folder) / "optimised.onnx")
        saving.log_severity_level = 4
        ort.InferenceSession(str(model), saving, providers=["CPUExecutionProvider"])
        optimised = ort.SessionOptions()
        optimised.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        ways = {
            "the model file": (model.read_bytes(), ort.SessionOptions()),
            "its optimised graph, saved before": (
                Path(saving.optimized_model_filepath).read_bytes(),
                optimised,
            ),
        }
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(NUM_RUNS):
            for name, (data, options) in ways.items():
                started = time.perf_counter()
                ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
                times[name].append(time.perf_counter() - started)
    return times


def section() -> str:
    whole = remember(__file__, "processes", processes)
    graphs = remember(__file__, "sessions", sessions)
    plain, optimised = map(statistics.median, graphs.values())
    return (
        f"## Start-up\n\n{remake(__file__)}\n"
        f"{table(('process', 'seconds'), rows(whole))}"
        "\nThe session starts in a thread while the scan is opened. onnxruntime can save the graph that "
        "it optimised; starting from that:\n\n"
        f"{table(('session of `cnn`, F = 1, from', 'seconds'), rows(graphs))}"
        f"\nThat would save {1000 * (plain - optimised):.0f} ms of a start, and cost a second file that "
        "fits one processor and one release of onnxruntime only; so there is no such cache.\n"
    )


def rows(times: dict[str, list[float]]) -> list[tuple[str, str]]:
    return [(name, spread(values, 3)) for name, values in times.items()]


if __name__ == "__main__":
    write_section(__file__, section())
