"""The network alone: how near it comes to the machine's matrix product, and what bounds each stage."""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from fairness import start_again_fairly, take_turns
from material import untrained_model
from performance import remake, remember, spread, table, write_section

from ptychonyx.runtime.model.cores import num_cores
from ptychonyx.runtime.model.session import Model
from ptychonyx.runtime.model.tuning import YARDSTICK_SIDE, MatrixProduct

WINDOWS, BATCHES, TURNS = (64, 128), (1, 4, 16, 64, 256), 7
SCALE = 0.05


def amplitudes(window_px: int, batch: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.exponential(10, (batch, 1, window_px, window_px)).astype(np.float32)


def section() -> str:
    rows = [
        row_of(
            window_px, batch, remember(__file__, f"{window_px} {batch}", measure(window_px, batch))
        )
        for window_px in WINDOWS
        for batch in BATCHES
    ]
    stages = remember(__file__, "stages", profile)
    header = (
        "N, batch", "patterns/s", "GFLOP/s, native operations", "best product, GFLOP/s",
        "of NumPy", "of onnxruntime", "share of the best",
    )  # fmt: skip
    cores = num_cores()
    return "\n".join(
        [
            "## The network\n",
            remake(__file__),
            f"`Model.predict` of a `cnn`, F = 1, float32, central N/2×N/2, on {cores} threads. Operations "
            "are those of the native network (0.611 GFLOP a pattern at N = 64), though the exported one "
            "needs fewer, so a share may exceed 100 %. Beside it, in turns, products of "
            f"{YARDSTICK_SIDE}×{YARDSTICK_SIDE} matrices in float32.\n",
            table(header, rows),
            "### What bounds each stage\n",
            roofline(stages),
        ]
    )


def measure(window_px: int, batch: int) -> Callable[[], dict[str, list[float]]]:
    def run() -> dict[str, list[float]]:
        model = Model(
            untrained_model(f"cnn-f1-n{window_px}", filters=1.0, window_px=window_px),
            provider="cpu",
            predictions_at_once=1,
        )
        amplitude = amplitudes(window_px, batch)
        a, b = np.random.default_rng(0).random(
            (2, YARDSTICK_SIDE, YARDSTICK_SIDE), dtype=np.float32
        )
        product = MatrixProduct(num_cores())
        operations = model.manifest.num_operations
        assert operations is not None
        calls = {
            "network": lambda: model.predict(amplitude, SCALE),
            "numpy": lambda: a @ b,
            "onnxruntime": product.run,
        }
        work = dict.fromkeys(calls, product.num_operations) | {"network": batch * operations}
        seconds = take_turns(calls, num_turns=TURNS)
        rates = {
            name: [work[name] / each / 1e9 for each in values] for name, values in seconds.items()
        }
        return rates | {"patterns": [batch / each for each in seconds["network"]]}

    return run


def row_of(window_px: int, batch: int, rates: dict[str, list[float]]) -> list[str]:
    peak = max(max(rates["numpy"]), max(rates["onnxruntime"]))
    return [
        f"{window_px}, {batch}",
        spread(rates["patterns"], 0),
        spread(rates["network"], 0),
        f"{peak:.0f}",
        spread(rates["numpy"], 0),
        spread(rates["onnxruntime"], 0),
        f"{100 * statistics.median(rates['network']) / peak:.0f} %",
    ]


def profile() -> dict[str, Any]:
    """Time every node of the network at N = 64, batch 64, and the machine's two limits."""
    import onnxruntime as ort

    batch, path = 64, untrained_model("cnn-f1-n64", filters=1.0, window_px=64)
    with tempfile.TemporaryDirectory() as folder:
        options = ort.SessionOptions()
        options.intra_op_num_threads = num_cores()
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        session = ort.InferenceSession(
            str(path), sess_options=options, providers=["CPUExecutionProvider"]
        )
        feed = {
            "amplitude": amplitudes(64, batch),
            "scale": np.array([SCALE], dtype=np.float32),
        }
        for _ in range(9):
            session.run(None, feed)
        events = json.loads(Path(session.end_profiling()).read_text())
    nodes: dict[str, dict[str, Any]] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("kernel_time"):
            node = nodes.setdefault(event["name"], {"us": [], "args": event["args"]})
            node["us"].append(event["dur"] / batch)
    product = MatrixProduct(num_cores())
    source = np.ones(2**26, dtype=np.float32)
    target = np.empty_like(source)
    seconds = take_turns(
        {"product": product.run, "copy": lambda: np.copyto(target, source)}, num_turns=5
    )
    return {
        "nodes": [stage(node, batch) for node in nodes.values()],
        "peak": product.num_operations / min(seconds["product"]) / 1e9,
        "bandwidth": 2 * source.nbytes / min(seconds["copy"]) / 1e9,
    }


def stage(node: dict[str, Any], batch: int) -> dict[str, Any]:
    """Return kind, shape, time, operations and bytes of a node, for one pattern."""
    args = node["args"]
    inputs, outputs = (
        [next(iter(each.values())) for each in args[key]]
        for key in ("input_type_shape", "output_type_shape")
    )
    (*_, height, width) = outputs[0] if len(outputs[0]) > 1 else (1, 1)
    operations = 0
    # weights are read once for a batch
    moved = sum(4 * int(np.prod(shape)) for shape in (*inputs, *outputs)) // batch
    if args["op_name"] == "Conv":
        operations = 2 * int(np.prod(inputs[1])) * height * width
    return {
        "op": args["op_name"],
        "shape": outputs[0][1:],
        "us": statistics.median(node["us"]),
        "operations": operations,
        "bytes": moved,
    }


def roofline(stages: dict[str, Any]) -> str:
    peak, bandwidth = stages["peak"], stages["bandwidth"]
    total = sum(node["us"] for node in stages["nodes"])
    merged: dict[str, dict[str, float]] = {}
    for node in stages["nodes"]:
        convolution = node["op"] == "Conv"
        channels, *image = node["shape"] if convolution else (0, 0, 0)
        name = (
            f"convolution to {channels} × {'×'.join(map(str, image))}"
            if convolution
            else node["op"]
        )
        row = merged.setdefault(name, {"us": 0, "operations": 0, "bytes": 0, "number": 0})
        for key in ("us", "operations", "bytes"):
            row[key] += node[key]
        row["number"] += 1
    rows = []
    for name, row in sorted(merged.items(), key=lambda each: -each[1]["us"]):
        if row["us"] < 0.005 * total:
            continue
        compute_us = row["operations"] / peak / 1e3
        memory_us = row["bytes"] / bandwidth / 1e3
        bound = "operations" if compute_us > memory_us else "memory"
        rows.append(
            [
                f"{name} ({row['number']:.0f}×)",
                f"{row['us']:.1f}",
                f"{100 * row['us'] / total:.0f} %",
                f"{row['operations'] / 1e6:.1f}",
                f"{row['bytes'] / 1e3:.0f}",
                bound,
                f"{100 * max(compute_us, memory_us) / row['us']:.0f} %",
            ]
        )
    operations = sum(node["operations"] for node in stages["nodes"])
    moved = sum(node["bytes"] for node in stages["nodes"])
    header = ("stage", "µs", "share", "MFLOP", "kB moved", "bound by", "of that bound")
    return (
        f"One pattern at N = 64, in batches of 64: {operations / 1e6:.0f} MFLOP are left of 611, and "
        f"{moved / 1e6:.1f} MB are read and written. The machine multiplies at {peak:.0f} GFLOP/s and "
        f"copies at {bandwidth:.0f} GB/s; the larger of both times bounds a stage. Stages below half a "
        f"percent are left out.\n\n{table(header, rows)}"
    )


if __name__ == "__main__":
    start_again_fairly()
    write_section(__file__, section())
