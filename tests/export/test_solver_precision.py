"""A solver of fewer bits solves a poor scan like the one it came from, or is not written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="derived models are built with the onnx package")

from ptychonyx.export import derive_solver
from ptychonyx.runtime import Scan, SimulationOptions, simulate_scan
from ptychonyx.runtime.model.solver import SolverModel
from ptychonyx.runtime.solving.network.choice import SHIPPED


@pytest.fixture(scope="module")
def poor() -> Scan:
    options = SimulationOptions(
        num_patterns=36, window_px=32, step_px=9, num_modes=1, counts_per_pattern=2e3
    )
    return simulate_scan(options, np.random.default_rng(0))


@pytest.mark.parametrize(("precision", "share"), [("float16", 0.62), ("bfloat16", 0.62)])
def test_it_describes_and_proves_itself(
    precision: str, share: float, poor: Scan, tmp_path: Path
) -> None:
    report = derive_solver(SHIPPED, tmp_path / "small.onnx", precision=precision, calibration=poor)
    parent, model = SolverModel(SHIPPED, provider="cpu"), SolverModel(report.path, provider="cpu")
    manifest = model.manifest
    assert (manifest.precision, manifest.parent_digest) == (precision, parent.digest)
    assert manifest.derivation is not None
    assert manifest.derivation["phase_pearson"] == report.phase_pearson >= 0.999
    assert report.num_bytes < share * report.parent_num_bytes
    assert model.verify().passed


def test_a_scan_that_needs_no_network_cannot_calibrate_one(tmp_path: Path) -> None:
    options = SimulationOptions(
        num_patterns=64, window_px=32, step_px=3, num_modes=1, counts_per_pattern=1e7
    )
    good = simulate_scan(options, np.random.default_rng(0))
    with pytest.raises(ValueError, match="calibrate a solver with a scan that needs it"):
        derive_solver(SHIPPED, tmp_path / "x.onnx", precision="float16", calibration=good)
    assert list(tmp_path.iterdir()) == []


def test_wrong_requests_are_refused(poor: Scan, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'int4'; derived models are float16, bfloat16, int8"):
        derive_solver(SHIPPED, tmp_path / "x.onnx", precision="int4", calibration=poor)
    with pytest.raises(ValueError, match=r"must end in \.onnx"):
        derive_solver(SHIPPED, tmp_path / "x.tflite", precision="int8", calibration=poor)
