"""The real Siemens star, the whole way in both backends, against the three-mode reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ptychonyx.export import export_run
from ptychonyx.runtime import (
    Model,
    Product,
    compare_objects,
    load_object,
    load_probe,
    load_scan,
    reconstruct,
)
from ptychonyx.runtime.comparison.metrics import Comparison
from ptychonyx.training import load_config, train

CONFIG = Path(__file__).parents[1] / "docs" / "examples" / "siemens_star.yaml"
EPOCHS = 10
"""A sixth of the configuration's: enough to pass, in three minutes a backend."""
REGION = "50:195,50:195"
MIN_PHASE_PEARSON = 0.93
MAX_BACKEND_DIFFERENCE = 0.02


def reconstructed(folder: Path, star: Path, backend: str) -> Product:
    scan = load_scan(star / "siemens64.npz", quantity="counts")
    probe = load_probe(star / "siemens64_reference_3modes.npz")
    config = load_config(CONFIG, {"backend": backend, "epochs": EPOCHS})
    train([scan], config, folder / backend, probe=probe)
    export_run(folder / backend, folder / f"{backend}.onnx")
    return reconstruct(scan, Model(folder / f"{backend}.onnx", provider="cpu"))


def against_reference(
    object_: NDArray[np.complex64], corner_px: tuple[float, float], star: Path
) -> Comparison:
    truth = load_object(star / "siemens64_reference_3modes.npz")
    return compare_objects(
        object_, truth.object_, corner_a=corner_px, corner_b=truth.corner_px, region=REGION
    )


@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.tensorflow
@pytest.mark.pytorch
@pytest.mark.timeout(2400)
def test_both_backends_reconstruct_the_star(star: Path, tmp_path: Path) -> None:
    products = {name: reconstructed(tmp_path, star, name) for name in ("pytorch", "tensorflow")}
    scores = {
        name: against_reference(product.object_, product.object_corner_px, star)
        for name, product in products.items()
    }
    phases = {name: score.phase_pearson for name, score in scores.items()}
    assert min(phases.values()) >= MIN_PHASE_PEARSON, phases
    assert abs(phases["pytorch"] - phases["tensorflow"]) <= MAX_BACKEND_DIFFERENCE, phases
    for product in products.values():
        assert float(product.metadata["residual"]) < 0.02


def test_the_one_mode_object_of_the_file_is_the_control(star: Path) -> None:
    control = load_object(star / "siemens64.npz")
    score = against_reference(control.object_, control.corner_px, star)
    assert score.phase_pearson == pytest.approx(0.98, abs=0.005)
    assert score.amplitude_pearson == pytest.approx(0.73, abs=0.01)
