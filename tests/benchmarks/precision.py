"""Fewer bits: how much faster, and what they cost on the real star.

OpenVINO has a wheel of its own, which excludes the others: run this script once more in an environment
with `ptychonyx[openvino]`, and its rows join the table.
"""

from __future__ import annotations

import statistics
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from fairness import start_again_fairly, take_turns
from material import MATERIAL, small_scan, untrained_model
from performance import ROOT, remake, remember, spread, table, write_section

from ptychonyx.runtime.errors import ProviderError
from ptychonyx.runtime.model.cores import num_cores
from ptychonyx.runtime.model.session import Model

STAR_SETTINGS = {
    "backend": "pytorch",
    "architecture": "cnn",
    "epochs": 90,
    "learning_rate": 1e-3,
}
STAR = ROOT.parent / "shared" / "data" / "velociprobe_siemens_star"
PRECISIONS = ("float32", "float16", "bfloat16", "int8")
PROVIDERS = ("cpu", "openvino")
BATCHES, TURNS, SCALE = (1, 16, 64), 7, 0.05
REGION = "50:195,50:195"


def section() -> str:
    speeds = {
        (provider, batch): speed
        for provider in PROVIDERS
        for batch in BATCHES
        if (speed := speed_of(provider, batch)) is not None
    }
    rows = []
    for provider in dict.fromkeys(name for name, _ in speeds):
        for precision in PRECISIONS:
            cells = []
            for batch in BATCHES:
                of = speeds[provider, batch]
                ratio = statistics.median(of[precision]) / statistics.median(of["cpu float32"])
                cells.append(f"{spread(of[precision], 0)}, {ratio:.2f}×")
            rows.append([f"{provider}, {precision}", *cells])
    text = [
        "## Precision\n",
        remake(__file__),
        f"Patterns a second by batch size, and against float32 on the CPU provider of the same "
        f"onnxruntime; `cnn`, F = 1, N = 64, {num_cores()} threads. The rows of OpenVINO are from its own "
        "wheel. float16 and bfloat16 are for GPUs and for small files: the CPU provider widens them.\n",
        table(("provider, precision", *BATCHES), rows),
    ]
    if STAR.is_dir():
        scores = remember(__file__, "star", score_on_star)
        text += [
            f"On the real Siemens star, a `cnn` with F = 0.5, trained for {STAR_SETTINGS['epochs']} epochs; "
            f"region {REGION}, against the three-mode reference, and against the object of the float32 "
            "model.\n",
            table(
                (
                    "precision",
                    "file, MB",
                    "phase Pearson",
                    "amplitude Pearson",
                    "phase Pearson against float32",
                    "amplitude Pearson against float32",
                ),
                [[each["name"], *each["values"]] for each in scores],
            ),
        ]
    return "\n".join(text)


def speed_of(provider: str, batch: int) -> dict[str, list[float]] | None:
    """Return what was measured in this or another environment, or None where neither starts it."""
    try:
        found: dict[str, list[float]] = remember(
            __file__, f"{provider} {batch}", lambda: rates(provider, batch)
        )
    except ProviderError:
        return None
    return found


def rates(provider: str, batch: int) -> dict[str, list[float]]:
    """Return patterns a second of each precision, and of float32 on the CPU in the same turns."""
    paths = untrained_models()
    open_model = partial(Model, predictions_at_once=1)
    models = {name: open_model(path, provider=provider) for name, path in paths.items()}
    models["cpu float32"] = open_model(paths["float32"], provider="cpu")
    rng = np.random.default_rng(0)
    amplitude = rng.exponential(10, (batch, 1, 64, 64)).astype(np.float32)
    calls = {
        name: (lambda model=model: model.predict(amplitude, SCALE))
        for name, model in models.items()
    }
    seconds = take_turns(calls, num_turns=TURNS)
    return {name: [batch / each for each in values] for name, values in seconds.items()}


def untrained_models() -> dict[str, Path]:
    paths = {"float32": untrained_model("cnn-f1-n64", filters=1.0)}
    for name in PRECISIONS[1:]:
        paths[name] = MATERIAL / f"cnn-f1-n64-{name}.onnx"
        if not paths[name].exists():
            from ptychonyx.export import derive_model

            derive_model(
                paths["float32"],
                paths[name],
                precision=name,
                calibration=small_scan(64, 100),
                lowest_phase_pearson=0,  # an untrained network sees nothing but noise
            )
    return paths


def score_on_star() -> list[dict[str, Any]]:
    """Return file sizes and correlations of each precision, on the scan it was trained on."""
    from ptychonyx.export import derive_model, export_run
    from ptychonyx.runtime.comparison.align import align
    from ptychonyx.runtime.comparison.metrics import measure
    from ptychonyx.runtime.formats import load_object, load_scan
    from ptychonyx.runtime.reconstruction.reconstruct import reconstruct

    scan = load_scan(STAR / "siemens64.npz", quantity="counts")
    reference = load_object(STAR / "siemens64_reference_3modes.npz")
    paths = {name: MATERIAL / f"star-{name}.onnx" for name in PRECISIONS}
    export_run(star_run(scan), paths["float32"])
    scores, whole = [], None
    for name, path in paths.items():
        if name != "float32":
            derive_model(paths["float32"], path, precision=name, calibration=scan)
        product = reconstruct(scan, Model(path, provider="cpu"))
        whole = whole or product
        values = [f"{path.stat().st_size / 1e6:.2f}"]
        for of, corner_px in (
            (reference.object_, reference.corner_px),
            (whole.object_, whole.object_corner_px),
        ):
            aligned = align(
                product.object_,
                of,
                corner_a=product.object_corner_px,
                corner_b=corner_px,
                region=REGION,
            )
            found = measure(aligned)
            values += [f"{found.phase_pearson:.5f}", f"{found.amplitude_pearson:.5f}"]
        scores.append({"name": name, "values": values})
    return scores


def star_run(scan: Any) -> Path:
    """Return the trained run, resumed or begun where it is not finished: a quarter of an hour."""
    from ptychonyx.runtime.formats import load_probe
    from ptychonyx.training import load_config, train
    from ptychonyx.training.run import open_run

    folder = MATERIAL / "star-run"
    config = load_config(ROOT / "docs" / "examples" / "siemens_star.yaml", STAR_SETTINGS)
    if not folder.exists() or "finished" not in open_run(folder).provenance():
        probe = load_probe(STAR / "siemens64_reference_3modes.npz")
        train([scan], config, folder, probe=probe)
    return folder


if __name__ == "__main__":
    start_again_fairly()
    write_section(__file__, section())
