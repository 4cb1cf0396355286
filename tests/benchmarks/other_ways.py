"""The same task in plain ways, as PtychoNN and PtychoPINN write it; versions of our own."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from end_to_end import NUM_TURNS, reconstruct_cold
from material import long_scan, untrained_model
from performance import BUILD, remake, remember, spread, table, write_section
from plain_stitching import interpolate_over_canvas, translate_over_canvas

from ptychonyx.runtime.formats import load_scan
from ptychonyx.runtime.model.session import Model
from ptychonyx.runtime.scaling import input_scale, read_amplitudes
from ptychonyx.runtime.stitching.patches import canvas_for

WAYS = {
    "one interpolation over the canvas a patch (as PtychoNN)": interpolate_over_canvas,
    "one translation over the canvas a patch (as PtychoPINN)": translate_over_canvas,
}
LENGTHS = (500, 2_000)


def plain_way(place: Callable[..., None], folder: Path, model_path: Path) -> float:
    """Return the time of a loop over frames, each stitched over the whole canvas; imports apart."""
    started = time.perf_counter()
    scan, model = load_scan(folder), Model(model_path, provider="cpu", predictions_at_once=1)
    amplitude = read_amplitudes(scan, 0, scan.num_patterns)[:, None]
    scale, canvas = input_scale(scan), canvas_for(scan)
    margin_px = (scan.window_px - model.manifest.patch_px) // 2
    corners_px = scan.corners_px + margin_px - canvas.corner_px
    total, count = np.zeros(canvas.shape, np.complex64), np.zeros(canvas.shape, np.float32)
    for frame, corner in zip(amplitude, corners_px, strict=True):
        place(total, count, model.predict(frame[None], scale)[0, 0], corner)
    np.save(BUILD / "plain.npy", total / np.maximum(count, 1e-6))
    return time.perf_counter() - started


def section() -> str:
    model = untrained_model("cnn-f05-n64", filters=0.5)
    rows = [
        (
            "`ptychonyx reconstruct`, whole process",
            *(
                spread(
                    [
                        remember(
                            __file__,
                            f"{num}, {i}",
                            partial(reconstruct_cold, long_scan(num), model),
                        )
                        for i in range(NUM_TURNS)
                    ]
                )
                for num in LENGTHS
            ),
        )
    ]
    for name, place in WAYS.items():
        found = [
            remember(__file__, f"{name}, {num}", partial(plain_way, place, long_scan(num), model))
            for num in LENGTHS
        ]
        rows.append((name, *(f"{seconds:.1f}" for seconds in found)))
    return "\n".join(
        [
            f"## Plain ways\n\n{remake(__file__)}",
            "The same task (`cnn` F = 0.5, N = 64) as a loop over frames through the same onnxruntime "
            "session, then one operation over the whole canvas for each patch, as PtychoNN "
            "(interpolation) and PtychoPINN (translation of the padded patch) write it. These are "
            "versions of our own, without the time of imports.\n",
            table(("seconds", *(f"{num:,} patterns" for num in LENGTHS)), rows),
            "Their cost a patch grows with the canvas, so the whole grows with its square.\n",
        ]
    )


if __name__ == "__main__":
    write_section(__file__, section())
