"""From file to product on disk, beside what the network alone takes."""

from __future__ import annotations

import statistics
import time
from functools import partial
from pathlib import Path

import numpy as np
from material import command, long_scan, run_cold, untrained_model
from performance import BUILD, remake, remember, spread, table, write_section

from ptychonyx.runtime.formats import load_scan
from ptychonyx.runtime.model.model_file import open_model_file
from ptychonyx.runtime.model.session import Model
from ptychonyx.runtime.model.start import import_onnxruntime, start_session
from ptychonyx.runtime.scaling import input_scale, read_amplitudes
from ptychonyx.runtime.stitching.mosaic import Mosaic
from ptychonyx.runtime.stitching.patches import canvas_for, patch_weights

NUM_TURNS, BATCH = 3, 64
PRODUCT = BUILD / "end_to_end.h5"


def reconstruct_cold(folder: Path, model: Path, product: Path = PRODUCT) -> float:
    """Return the wall time of the whole command, from a cold process to the product on disk."""
    return run_cold(command("reconstruct", folder, "-m", model, "-o", product))[0]


def network_alone(folder: Path, model_path: Path) -> float:
    """Return the time of `session.run` alone, over the batches of the same scan, on all cores."""
    scan = load_scan(folder)
    scale, seconds = input_scale(scan), 0.0
    _, session = start_session(import_onnxruntime(), open_model_file(model_path), "cpu")
    scales = np.array([scale], np.float32)
    for start in range(0, scan.num_patterns, BATCH):
        stop = min(start + BATCH, scan.num_patterns)
        amplitude = read_amplitudes(scan, start, stop)[:, None]
        if start == 0:
            session.run(None, {"amplitude": amplitude, "scale": scales})  # warm
        started = time.perf_counter()
        session.run(None, {"amplitude": amplitude, "scale": scales})
        seconds += time.perf_counter() - started
    return seconds


def turn(folder: Path, model: Path, product: Path = PRODUCT) -> dict[str, float]:
    command_s = reconstruct_cold(folder, model, product)
    return {"command": command_s, "network": network_alone(folder, model)}


def stages(folder: Path, model_path: Path, num_patterns: int) -> dict[str, float]:
    """Return what each stage takes alone, in µs a pattern: the bounds of the pipeline."""
    scan, model = load_scan(folder), Model(model_path, provider="cpu", predictions_at_once=1)
    patch_px = model.manifest.patch_px
    mosaic = Mosaic(canvas_for(scan), patch_weights(scan.probe, patch_px))
    corners_px = scan.corners_px + (scan.window_px - patch_px) // 2
    scale, took = input_scale(scan), dict.fromkeys(("read", "infer", "stitch"), 0.0)
    for start in range(0, num_patterns, BATCH):
        part = slice(start, start + BATCH)
        started = time.perf_counter()
        amplitude = read_amplitudes(scan, part.start, part.stop)[:, None]
        was_read = time.perf_counter()
        patches = model.predict(amplitude, scale)
        was_inferred = time.perf_counter()
        mosaic.add(patches[:, 0], corners_px[part])
        took["read"] += was_read - started
        took["infer"] += was_inferred - was_read
        took["stitch"] += time.perf_counter() - was_inferred
    return {stage: 1e6 * seconds / num_patterns for stage, seconds in took.items()}


def section() -> str:
    full = untrained_model("cnn-f1-n64", filters=1.0)
    half = untrained_model("cnn-f05-n64", filters=0.5)
    turns = [
        remember(__file__, f"10000, {i}", partial(turn, long_scan(10_000), full))
        for i in range(NUM_TURNS)
    ]
    command_s, network_s = ([one[key] for one in turns] for key in ("command", "network"))
    ratio = statistics.median(command_s) / statistics.median(network_s)
    cold_s = [
        remember(__file__, f"500, {i}", partial(reconstruct_cold, long_scan(500), half))
        for i in range(NUM_TURNS)
    ]
    stage_us = remember(__file__, "stages", partial(stages, long_scan(10_000), full, 640))
    return "\n".join(
        [
            f"## From file to product\n\n{remake(__file__)}",
            "`ptychonyx reconstruct` from a cold process to the product on disk; patterns are 64×64 "
            "uint16 in compressed HDF5, batches of 64, float32 on the CPU. Beside it `session.run` alone "
            "over the same batches, on all cores, in turns.\n",
            table(
                ("", "seconds"),
                [
                    ("10,000 patterns, `cnn` F = 1: command", spread(command_s)),
                    ("10,000 patterns, `cnn` F = 1: `session.run` alone", spread(network_s)),
                    ("500 patterns, `cnn` F = 0.5 (0.29 M parameters): command", spread(cold_s)),
                ],
            ),
            f"The command takes {ratio:.2f} times as long as the network alone: two predictions at once, "
            "on half of the cores each, lose less time in waiting than one on all of them, and make up "
            "for most of what starting, reading and stitching take.\n",
            table(
                ("stage, alone, `cnn` F = 1", "µs a pattern"),
                [(stage, f"{us:.0f}") for stage, us in stage_us.items()],
            ),
            "Inference is bound by arithmetic, reading by decompressing (each pattern is read twice: "
            "once for the scan's mean counts), stitching by small matrix products and additions.\n",
        ]
    )


if __name__ == "__main__":
    write_section(__file__, section())
