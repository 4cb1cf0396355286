"""A finished run knows what its network leaves unexplained of its own data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ptychonyx.export import export_run
from ptychonyx.runtime import load_manifest, reconstruct
from ptychonyx.runtime.errors import ScanError
from ptychonyx.runtime.model.manifest import Manifest
from ptychonyx.runtime.model.session import Model
from ptychonyx.runtime.scan import Scan
from ptychonyx.training import TrainingConfig, own_residual, train
from ptychonyx.training.run import open_run

pytestmark = pytest.mark.pytorch

CONFIG = TrainingConfig(
    backend="pytorch",
    architecture="cnn",
    filters=0.25,
    epochs=1,
    validation_fraction=0,
    schedule="constant",
)


def trained(scan: Scan, folder: Path, config: TrainingConfig = CONFIG) -> Manifest:
    train([scan], config, folder / "run")
    export_run(folder / "run", folder / "model.onnx")
    manifest = load_manifest(folder / "model.onnx")
    assert isinstance(manifest, Manifest)
    return manifest


def test_the_manifest_says_what_a_reconstruction_of_the_same_scan_finds(
    small_scan: Scan, tmp_path: Path
) -> None:
    own = trained(small_scan, tmp_path).own_residual
    assert own is not None
    product = reconstruct(small_scan, Model(tmp_path / "model.onnx", provider="cpu"))
    assert own.training == pytest.approx(product.metadata["residual"], rel=1e-3)
    assert own.training_noise == pytest.approx(product.metadata["residual_noise"], rel=1e-3)
    assert own.validation is None
    assert own.num_patterns == small_scan.num_patterns


def test_patterns_that_validate_are_told_apart(small_scan: Scan, tmp_path: Path) -> None:
    own = trained(small_scan, tmp_path, replace(CONFIG, validation_fraction=0.2)).own_residual
    assert own is not None
    assert own.validation is not None
    assert own.validation != own.training
    assert own.num_patterns == small_scan.num_patterns


def test_a_guessed_probe_says_nothing(small_scan: Scan, tmp_path: Path) -> None:
    assert trained(replace(small_scan, probe=None), tmp_path).own_residual is None


def test_a_training_does_not_fail_where_nothing_can_be_measured(
    small_scan: Scan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ScanError("The scan is too sparse.")

    monkeypatch.setattr(own_residual, "try_network", refuse)
    assert trained(small_scan, tmp_path).own_residual is None


def test_a_run_of_an_older_version_can_be_exported(small_scan: Scan, tmp_path: Path) -> None:
    train([small_scan], CONFIG, tmp_path / "run")
    file = open_run(tmp_path / "run").provenance_file
    file.write_text(file.read_text().replace('"own_residual"', '"something_else"'))
    export_run(tmp_path / "run", tmp_path / "model.onnx")
    manifest = load_manifest(tmp_path / "model.onnx")
    assert isinstance(manifest, Manifest)
    assert manifest.own_residual is None
