"""From file to product on disk: against the network alone, against plain ways, and as scans grow."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from material import command, long_scan, run_cold, untrained_model
from performance import BUILD, FIGURES, remake, remember, spread, table, write_section
from plain_stitching import interpolate_over_canvas, translate_over_canvas

from ptychonyx.runtime.formats import load_scan
from ptychonyx.runtime.model import Model
from ptychonyx.runtime.scaling import input_scale, read_amplitudes
from ptychonyx.runtime.stitch import Mosaic, canvas_for, patch_weights

NUM_TURNS, BATCH = 3, 64
PLAIN = {
    "one interpolation over the canvas a patch (as PtychoNN)": interpolate_over_canvas,
    "one translation over the canvas a patch (as PtychoPINN)": translate_over_canvas,
}
LENGTHS, PLAIN_LENGTHS = (500, 5_000, 50_000), (500, 2_000)
CANVAS_STEPS_PX = {512: 9.0, 1024: 20.0, 2048: 42.0, 4096: 88.0}
"""Step of a raster of 46×46 windows on canvases of about these sides."""


def reconstruct_cold(folder: Path, model: Path) -> float:
    """Return the wall time of the whole command, from a cold process to the product on disk."""
    product = BUILD / "end_to_end.h5"
    return run_cold(command("reconstruct", folder, "-m", model, "-o", product))[0]


def network_alone(folder: Path, model_path: Path) -> float:
    """Return the time of `session.run` alone, over the batches of the same scan, on all cores."""
    scan, model = load_scan(folder), Model(model_path, provider="cpu")
    scale, seconds = input_scale(scan), 0.0
    session, scales = model._session, np.array([scale], np.float32)
    for start in range(0, scan.num_patterns, BATCH):
        stop = min(start + BATCH, scan.num_patterns)
        amplitude = read_amplitudes(scan, start, stop)[:, None]
        if start == 0:
            session.run(None, {"amplitude": amplitude, "scale": scales})  # warm
        started = time.perf_counter()
        session.run(None, {"amplitude": amplitude, "scale": scales})
        seconds += time.perf_counter() - started
    return seconds


def turn(folder: Path, model: Path) -> dict[str, float]:
    return {"command": reconstruct_cold(folder, model), "network": network_alone(folder, model)}


def stages(folder: Path, model_path: Path, num_patterns: int) -> dict[str, float]:
    """Return what each stage takes alone, in µs a pattern: the bounds of the pipeline."""
    scan, model = load_scan(folder), Model(model_path, provider="cpu")
    mosaic = Mosaic(canvas_for(scan), patch_weights(scan.probe, model.manifest.patch_px))
    scale, took = input_scale(scan), dict.fromkeys(("read", "infer", "stitch"), 0.0)
    for start in range(0, num_patterns, BATCH):
        part = slice(start, start + BATCH)
        started = time.perf_counter()
        amplitude = read_amplitudes(scan, part.start, part.stop)[:, None]
        was_read = time.perf_counter()
        patches = model.predict(amplitude, scale)
        was_inferred = time.perf_counter()
        mosaic.add(patches[:, 0], scan.corners_px[part] + 16)
        took["read"] += was_read - started
        took["infer"] += was_inferred - was_read
        took["stitch"] += time.perf_counter() - was_inferred
    return {stage: 1e6 * seconds / num_patterns for stage, seconds in took.items()}


def plain_way(place: Callable[..., None], folder: Path, model_path: Path) -> float:
    """Return the time of a loop over frames, each stitched over the whole canvas; imports apart."""
    started = time.perf_counter()
    scan, model = load_scan(folder), Model(model_path, provider="cpu")
    amplitude = read_amplitudes(scan, 0, scan.num_patterns)[:, None]
    scale, canvas = input_scale(scan), canvas_for(scan)
    total, count = np.zeros(canvas.shape, np.complex64), np.zeros(canvas.shape, np.float32)
    for frame, corner in zip(amplitude, scan.corners_px + 16 - canvas.corner_px, strict=True):
        place(total, count, model.predict(frame[None], scale)[0, 0], corner)
    np.save(BUILD / "plain.npy", total / np.maximum(count, 1e-6))
    return time.perf_counter() - started


def canvas_scan(side_px: int) -> Path:
    step_px = CANVAS_STEPS_PX[side_px]
    return long_scan(46 * 46, step_px=step_px, name=f"canvas-64-{side_px}")


def section() -> str:
    full, half = (
        untrained_model(f"cnn-{name}-n64", filters=filters)
        for name, filters in (("f1", 1.0), ("f05", 0.5))
    )
    turns = [
        remember(__file__, f"10000, {i}", partial(turn, long_scan(10_000), full))
        for i in range(NUM_TURNS)
    ]
    command_s, network_s = ([one[key] for one in turns] for key in ("command", "network"))
    ratio = statistics.median(command_s) / statistics.median(network_s)
    stage_us = remember(__file__, "stages", partial(stages, long_scan(10_000), full, 640))
    grown = {
        num: [
            remember(__file__, f"grow {num}, {i}", partial(reconstruct_cold, long_scan(num), half))
            for i in range(1 if num > 10_000 else NUM_TURNS)
        ]
        for num in LENGTHS
    }
    on_canvas = {
        side: [
            remember(
                __file__, f"canvas {side}, {i}", partial(reconstruct_cold, canvas_scan(side), half)
            )
            for i in range(NUM_TURNS)
        ]
        for side in CANVAS_STEPS_PX
    }
    ours = {
        num: [
            remember(__file__, f"{num}, {i}", partial(reconstruct_cold, long_scan(num), half))
            for i in range(NUM_TURNS)
        ]
        for num in PLAIN_LENGTHS
    }
    plain = {
        (name, num): remember(
            __file__, f"{name}, {num}", partial(plain_way, place, long_scan(num), half)
        )
        for num in PLAIN_LENGTHS
        for name, place in PLAIN.items()
    }
    draw({num: statistics.median(values) for num, values in grown.items()})
    return "\n".join(
        [
            f"## From file to product\n\n{remake(__file__)}",
            "`ptychonyx reconstruct` from a cold process to the product on disk; patterns are 64×64 "
            "uint16 in compressed HDF5, batches of 64, float32 on the CPU. Beside it `session.run` alone "
            "over the same batches, on all cores, in turns.\n",
            table(
                ("10,000 patterns, `cnn` F = 1", "seconds"),
                [("command", spread(command_s)), ("`session.run` alone", spread(network_s))],
            ),
            f"The command takes {ratio:.2f} times as long as the network alone: two predictions at once, "
            "on half of the cores each, lose less time in waiting than one on all of them, and make up "
            "for what reading and stitching take.\n",
            table(
                ("stage, alone", "µs a pattern"),
                [(stage, f"{us:.0f}") for stage, us in stage_us.items()],
            ),
            "Inference is bound by arithmetic, reading by decompressing (each pattern is read twice: "
            "once for the scan's mean counts), stitching by moving patches through the cache.\n",
            table(
                ("`cnn` F = 0.5 (0.29 M parameters)", "seconds", "patterns/s"),
                [
                    (f"{num:,} patterns", spread(values), f"{num / statistics.median(values):.0f}")
                    for num, values in grown.items()
                ],
            ),
            "![Wall time against the number of patterns](performance/end_to_end.png)\n",
            table(
                ("2,116 patterns, canvas of about", "seconds"),
                [(f"{side}×{side}", spread(values)) for side, values in on_canvas.items()],
            ),
            "The same task in plain ways: a loop over frames through the same onnxruntime session, then "
            "one operation over the whole canvas for each patch, as PtychoNN (interpolation) and "
            "PtychoPINN (translation of the padded patch) write it. These are versions of our own, "
            "without the time of imports; `cnn` F = 0.5.\n",
            table(
                ("seconds", *(f"{num:,} patterns" for num in ours)),
                [
                    ("`ptychonyx reconstruct`", *(spread(values) for values in ours.values())),
                    *((name, *(f"{plain[name, num]:.1f}" for num in ours)) for name in PLAIN),
                ],
            ),
            "Their cost a patch grows with the canvas, so the whole grows with its square.\n",
        ]
    )


def draw(seconds: dict[int, float]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.5), layout="constrained")
    axes = figure.subplots()
    axes.loglog(list(seconds), list(seconds.values()), "o-", label="ptychonyx reconstruct")
    rate_s = (seconds[50_000] - seconds[5_000]) / 45_000
    axes.loglog(
        list(seconds),
        [num * rate_s for num in seconds],
        ":",
        label=f"{1e3 * rate_s:.2f} ms a pattern",
    )
    axes.set(xlabel="patterns", ylabel="wall time / s")
    axes.legend()
    FIGURES.mkdir(parents=True, exist_ok=True)
    figure.savefig(FIGURES / "end_to_end.png", dpi=100)


if __name__ == "__main__":
    write_section(__file__, section())
