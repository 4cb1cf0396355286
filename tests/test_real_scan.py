"""The real Siemens star, the whole way in both backends, against the three-mode reference."""

from __future__ import annotations

from pathlib import Path

import pytest

from ptychonyx.runtime import Model, compare, load_object, load_probe, load_scan, reconstruct
from ptychonyx.training.config import load_config
from ptychonyx.training.train import train

CONFIG = Path(__file__).parents[1] / "docs" / "examples" / "siemens_star.yaml"
REGION = "50:195,50:195"
MIN_PHASE_PEARSON = 0.93
MAX_BACKEND_DIFFERENCE = 0.02


def phase_pearson(folder: Path, star: Path, backend: str) -> float:
    from ptychonyx.export import export_run

    scan = load_scan(star / "siemens64.npz", quantity="counts")
    reference = star / "siemens64_reference_3modes.npz"
    config = load_config(CONFIG, {"backend": backend})
    train([scan], config, folder / backend, probe=load_probe(reference))
    export_run(folder / backend, folder / f"{backend}.onnx")
    product = reconstruct(scan, Model(folder / f"{backend}.onnx", provider="cpu"))
    truth = load_object(reference)
    result = compare(
        product.object_,
        truth.object_,
        corner_a=product.object_corner_px,
        corner_b=truth.corner_px,
        region=REGION,
    )
    print(backend, result)
    return result.phase_pearson


@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.tensorflow
@pytest.mark.pytorch
@pytest.mark.timeout(2400)
def test_both_backends_reconstruct_the_star(star: Path, tmp_path: Path) -> None:
    scores = {name: phase_pearson(tmp_path, star, name) for name in ("pytorch", "tensorflow")}
    assert min(scores.values()) >= MIN_PHASE_PEARSON
    assert abs(scores["pytorch"] - scores["tensorflow"]) <= MAX_BACKEND_DIFFERENCE
