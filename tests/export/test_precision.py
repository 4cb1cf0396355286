"""Models of fewer bits say what they came from and what they lose, or are not written."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="derived models are built with the onnx package")

from ptychonyx.export import DerivedReport, PrecisionLossError, derive_model
from ptychonyx.runtime.comparison.metrics import pearson
from ptychonyx.runtime.model.session import Model
from ptychonyx.runtime.scan import Scan
from ptychonyx.runtime.simulation.scan import SimulationOptions, simulate_scan

PARENT = Path(__file__).parents[2] / "tests" / "models" / "small-pytorch" / "model.onnx"
ALL = ("float16", "bfloat16", "int8")
Derive = Callable[[str], tuple[Path, DerivedReport]]


@pytest.fixture(scope="module")
def scan() -> Scan:
    """Return a scan like those that the model of `models/` was trained on."""
    spec = SimulationOptions(object_name="dead_leaves", num_patterns=120, step_px=5)
    return simulate_scan(spec, np.random.default_rng(3))


@pytest.fixture(scope="module")
def derive(scan: Scan, tmp_path_factory: pytest.TempPathFactory) -> Derive:
    done: dict[str, tuple[Path, DerivedReport]] = {}

    def make(name: str) -> tuple[Path, DerivedReport]:
        if name not in done:
            path = tmp_path_factory.mktemp("derived") / f"{name}.onnx"
            done[name] = path, derive_model(PARENT, path, precision=name, calibration=scan)
            assert [each.name for each in path.parent.iterdir()] == [path.name]
        return done[name]

    return make


@pytest.mark.parametrize("name", ALL)
def test_a_derived_model_describes_and_proves_itself(name: str, derive: Derive, scan: Scan) -> None:
    path, report = derive(name)
    parent, model = Model(PARENT, provider="cpu"), Model(path, provider="cpu")
    manifest = model.manifest
    assert (manifest.precision, manifest.name) == (name, name)
    assert manifest.parent_digest == parent.digest
    assert manifest.derivation is not None
    assert manifest.derivation["calibration"] == scan.name
    assert manifest.derivation["phase_pearson"] == report.phase_pearson >= 0.999
    assert manifest.derivation["complex_nrmse"] == report.complex_nrmse <= 0.02
    assert manifest.training_summary == parent.manifest.training_summary
    native = parent.manifest.verification.object_patches
    np.testing.assert_array_equal(manifest.verification.object_patches, native)
    result = model.verify()
    assert result.passed
    assert result.largest_difference == pytest.approx(manifest.verification.largest_difference)


@pytest.mark.parametrize(
    ("name", "smallest", "largest"),
    [("float16", 1e-5, 0.02), ("bfloat16", 1e-4, 0.1), ("int8", 1e-3, 0.5)],
)
def test_precisions_differ_from_float32_by_their_bits(
    name: str, smallest: float, largest: float, derive: Derive
) -> None:
    difference = Model(derive(name)[0], provider="cpu").manifest.verification.largest_difference
    assert smallest < difference < largest


@pytest.mark.parametrize(("name", "share"), [("float16", 0.62), ("bfloat16", 0.62), ("int8", 0.45)])
def test_fewer_bits_are_fewer_bytes(name: str, share: float, derive: Derive) -> None:
    _, report = derive(name)
    assert report.num_bytes < share * report.parent_num_bytes


def test_the_same_model_gives_the_same_bytes(derive: Derive, scan: Scan, tmp_path: Path) -> None:
    first, _ = derive("int8")
    again = tmp_path / first.name
    derive_model(PARENT, again, precision="int8", calibration=scan)
    assert again.read_bytes() == first.read_bytes()


def test_a_model_that_loses_quality_is_refused(scan: Scan, tmp_path: Path) -> None:
    # one hot pixel makes ranges so wide that few levels are left for the other patterns
    patterns = np.array(scan.patterns)
    patterns[60, 10, 10] = 100 * patterns.max()
    hot = dataclasses.replace(scan, patterns=patterns)
    output = tmp_path / "int8.onnx"
    with pytest.raises(PrecisionLossError, match=r"phase Pearson .* no model file was written"):
        derive_model(PARENT, output, precision="int8", calibration=hot)
    assert list(tmp_path.iterdir()) == []


def test_bounds_on_the_loss_are_those_given(scan: Scan, tmp_path: Path) -> None:
    with pytest.raises(PrecisionLossError, match=r"at least 0\.9 and at most 1e-06"):
        derive_model(
            PARENT,
            tmp_path / "x.onnx",
            precision="float16",
            calibration=scan,
            lowest_phase_pearson=0.9,
            highest_complex_nrmse=1e-6,
        )
    assert list(tmp_path.iterdir()) == []


def test_wrong_requests_are_refused(derive: Derive, scan: Scan, tmp_path: Path) -> None:
    output = tmp_path / "x.onnx"
    with pytest.raises(ValueError, match="'int4'; derived models are float16, bfloat16, int8"):
        derive_model(PARENT, output, precision="int4", calibration=scan)
    with pytest.raises(ValueError, match="of precision int8; derive from the float32 model"):
        derive_model(derive("int8")[0], output, precision="float16", calibration=scan)
    with pytest.raises(ValueError, match=r"must end in \.onnx"):
        derive_model(PARENT, tmp_path / "x.tflite", precision="int8", calibration=scan)
    with pytest.raises(
        ValueError, match=r"is a folder, but .* export the run to a model file first"
    ):
        derive_model(tmp_path, output, precision="int8", calibration=scan)
    small = simulate_scan(SimulationOptions(num_patterns=4, window_px=32), np.random.default_rng(0))
    with pytest.raises(ValueError, match="32×32, but the model"):
        derive_model(PARENT, output, precision="int8", calibration=small)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_int8_on_the_real_star(star: Path, tmp_path: Path) -> None:
    """Trained on the star for a short while, int8 gives the object of float32."""
    from ptychonyx.export import export_run
    from ptychonyx.runtime.comparison.align import align
    from ptychonyx.runtime.comparison.metrics import measure
    from ptychonyx.runtime.formats import load_object, load_probe, load_scan
    from ptychonyx.runtime.reconstruction.reconstruct import reconstruct
    from ptychonyx.training import TrainingConfig, train

    pytest.importorskip("torch", reason="PyTorch trains the model")
    scan = load_scan(star / "siemens64.npz", quantity="counts")
    config = TrainingConfig(
        backend="pytorch", filters=0.5, epochs=12, loss="amplitude", validation_fraction=0
    )
    reference_path = star / "siemens64_reference_3modes.npz"
    train([scan], config, tmp_path / "run", probe=load_probe(reference_path))
    export_run(tmp_path / "run", tmp_path / "float32.onnx")
    report = derive_model(
        tmp_path / "float32.onnx", tmp_path / "int8.onnx", precision="int8", calibration=scan
    )
    assert report.phase_pearson >= 0.999
    reference = load_object(reference_path)
    scores = []
    for name in ("float32", "int8"):
        product = reconstruct(scan, Model(tmp_path / f"{name}.onnx", provider="cpu"))
        aligned = align(
            product.object_,
            reference.object_,
            corner_a=product.object_corner_px,
            corner_b=reference.corner_px,
            region="50:195,50:195",
        )
        scores.append(measure(aligned).phase_pearson)
        assert pearson(aligned.a.real, aligned.b.real, aligned.is_valid) > 0.5
    assert scores[0] - scores[1] <= 0.002
