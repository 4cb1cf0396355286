"""What a training leaves behind is told from model files, and its backend is known."""

from __future__ import annotations

import pytest

from ptychonyx.runtime.model.model_file import NativeNetwork, recognise_native


@pytest.mark.parametrize(
    ("line", "backend"),
    [
        ("backend: pytorch", "pytorch"),
        ("backend: 'tensorflow'  # the default", "tensorflow"),
        ("backend:\tpytorch\r", "pytorch"),
        ("backend: jax", "tensorflow or pytorch"),
        ("# backend: pytorch", "tensorflow or pytorch"),
        ("other:\n  backend: pytorch", "tensorflow or pytorch"),
        ("\xff", "tensorflow or pytorch"),
    ],
)
def test_a_run_names_its_backend_in_one_line_of_its_settings(tmp_path, line, backend):
    (tmp_path / "config.yaml").write_bytes(f"epochs: 3\n{line}\nseed: 0\n".encode("latin-1"))
    (tmp_path / "weights.safetensors").touch()
    assert recognise_native(tmp_path) == NativeNetwork("run folder", backend, tmp_path)
    assert recognise_native(tmp_path / "weights.safetensors") == NativeNetwork(
        "native checkpoint", backend, tmp_path
    )


def test_the_settings_that_a_run_writes_are_understood(tmp_path):
    yaml = pytest.importorskip("yaml", reason="a run's settings are YAML")
    (tmp_path / "checkpoints").mkdir()
    for backend in ("tensorflow", "pytorch"):
        (tmp_path / "config.yaml").write_text(yaml.safe_dump({"epochs": 3, "backend": backend}))
        assert recognise_native(tmp_path) == NativeNetwork("run folder", backend, tmp_path)


def test_other_files_and_folders_are_not_native(tmp_path):
    (tmp_path / "config.yaml").write_text("backend: pytorch")
    assert recognise_native(tmp_path) is None
    (tmp_path / "model.onnx").touch()
    assert recognise_native(tmp_path / "model.onnx") is None
