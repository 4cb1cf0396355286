"""A model computes what its file says, and proves it."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_files import ModelPath, TinyModel
from numpy.typing import NDArray

from ptychonyx.runtime.errors import ManifestError
from ptychonyx.runtime.model.kinds import open_model
from ptychonyx.runtime.model.model_file import load_manifest
from ptychonyx.runtime.model.session import PREDICTIONS_AT_ONCE, Model

onnx = pytest.importorskip("onnx", reason="model files are built with the onnx package")
ort = pytest.importorskip("onnxruntime", reason="models run on onnxruntime")


def patterns(batch: int = 3) -> NDArray[np.float32]:
    return np.random.default_rng(2).random((batch, 1, 8, 8), dtype=np.float32)


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_predict(model_path: ModelPath, batch: int) -> None:
    amplitude = patterns(batch)
    patches = Model(model_path(), provider="cpu").predict(amplitude, 3.0)
    assert patches.dtype == np.complex64
    expected = amplitude[:, :, 2:6, 2:6] * np.float32(3)
    np.testing.assert_array_equal(patches.real, expected)
    np.testing.assert_array_equal(patches.imag, expected / 2)


def test_predict_returns_a_view_of_what_onnxruntime_gave(model_path: ModelPath) -> None:
    patches = Model(model_path(), provider="cpu").predict(patterns(), 1.0)
    assert patches.base is not None
    assert patches.strides == (4 * 4 * 8, 4 * 4 * 8, 4 * 8, 8)


def test_predict_takes_slices_of_larger_arrays(model_path: ModelPath) -> None:
    wide = np.random.default_rng(0).random((4, 1, 8, 16), dtype=np.float32)
    model = Model(model_path(), provider="cpu")
    np.testing.assert_array_equal(
        model.predict(wide[::2, ..., ::2], 1.0),
        model.predict(wide[::2, ..., ::2].copy(), 1.0),
    )


@pytest.mark.parametrize(
    ("amplitude", "scale", "error", "match"),
    [
        (patterns().astype(np.float64), 1.0, TypeError, "float64"),
        (patterns()[:, 0], 1.0, ValueError, r"\(3, 8, 8\), expected \(B, 1, 8, 8\)"),
        (patterns()[..., :7], 1.0, ValueError, "expected"),
        (patterns()[:0], 1.0, ValueError, "1 or more"),
        (np.where(patterns() > 0.99, np.nan, patterns()), 1.0, ValueError, "sample"),
        (patterns(), np.nan, ValueError, "`scale` is nan"),
        (patterns(), 0.0, ValueError, "`scale` is 0"),
    ],
)
def test_predict_refuses(
    model_path: ModelPath, amplitude: NDArray[Any], scale: float, error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        Model(model_path(), provider="cpu").predict(amplitude, scale)


def test_what_a_model_says_of_itself(model_path: ModelPath) -> None:
    path = model_path()
    model = Model(str(path), provider="cpu", num_threads=1)
    assert model.path == path
    assert model.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (model.provider, model.providers) == ("cpu", ("CPUExecutionProvider",))
    assert load_manifest(path).to_json() == model.manifest.to_json()


def test_verify_passes_and_notices_a_changed_weight(
    model_path: ModelPath, tiny_model: TinyModel, tmp_path: Path
) -> None:
    good = Model(model_path(), provider="cpu").verify()
    assert (good.passed, good.largest_difference, good.provider) == (True, 0.0, "cpu")
    changed = tiny_model()
    half = next(tensor for tensor in changed.graph.initializer if tensor.name == "half")
    half.CopyFrom(onnx.numpy_helper.from_array(np.array(0.5001, np.float32), "half"))
    path = tmp_path / "changed.onnx"
    path.write_bytes(changed.SerializeToString())
    bad = Model(path, provider="cpu", check_proof=False).verify()
    assert not bad.passed
    assert 1e-5 < bad.largest_difference < 1e-3


def test_verify_fails_when_the_network_gives_nan(tiny_model: TinyModel, tmp_path: Path) -> None:
    model = tiny_model()
    half = next(tensor for tensor in model.graph.initializer if tensor.name == "half")
    half.CopyFrom(onnx.numpy_helper.from_array(np.array(np.nan, np.float32), "half"))
    path = tmp_path / "nan.onnx"
    path.write_bytes(model.SerializeToString())
    assert not Model(path, provider="cpu", check_proof=False).verify().passed


def test_graph_that_breaks_its_promise_at_run_time(tiny_model: TinyModel, tmp_path: Path) -> None:
    model = tiny_model()
    for tensor in model.graph.initializer:
        if tensor.name == "stops":
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.array([5, 5], np.int64), "stops"))
    path = tmp_path / "liar.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ManifestError, match=r"shape \(3, 1, 3, 3, 2\).*promises"):
        Model(path, provider="cpu", check_proof=False).predict(patterns(), 1.0)


def test_unknown_provider_lists_what_there_is(model_path: ModelPath) -> None:
    with pytest.raises(ValueError, match=r"'gpu'.*auto, cpu, cuda, tensorrt, openvino"):
        Model(model_path(), provider="gpu")
    with pytest.raises(ValueError, match="`num_threads` is 0"):
        Model(model_path(), num_threads=0)
    with pytest.raises(ValueError, match="`predictions_at_once` is 0"):
        Model(model_path(), predictions_at_once=0)


def test_a_model_is_opened_for_a_reconstruction_unless_told_otherwise(
    model_path: ModelPath,
) -> None:
    path = model_path()
    assert Model(path, provider="cpu").predictions_at_once == PREDICTIONS_AT_ONCE
    assert Model(path, provider="cpu", predictions_at_once=1).predictions_at_once == 1


def test_two_wheels_are_warned_of(
    model_path: ModelPath,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    for wheel in ("onnxruntime", "onnxruntime_gpu"):
        (tmp_path / f"{wheel}-1.0.dist-info").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    Model(model_path(), provider="cpu")
    assert "onnxruntime and onnxruntime-gpu" in caplog.text
    assert "are installed together" in caplog.text
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_importing_the_module_imports_no_onnxruntime() -> None:
    code = (
        "import sys, ptychonyx.runtime.model.session, ptychonyx.runtime.reconstruction.reconstruct\n"
        "print([name for name in ('onnxruntime', 'onnx', 'torch', 'keras', 'tensorflow', 'yaml') "
        "if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def wrong_model(tiny_model: TinyModel, path: Path) -> Path:
    """Write a model whose imaginary part is a little too large."""
    model = tiny_model()
    half = next(tensor for tensor in model.graph.initializer if tensor.name == "half")
    half.CopyFrom(onnx.numpy_helper.from_array(np.array(0.5001, np.float32), "half"))
    path.write_bytes(model.SerializeToString())
    return path


def test_a_file_that_does_not_compute_what_it_promises_is_not_opened(
    tiny_model: TinyModel, tmp_path: Path
) -> None:
    path = wrong_model(tiny_model, tmp_path / "wrong.onnx")
    with pytest.raises(ManifestError, match=r"does not compute here .*on cpu .*1e-05 are allowed"):
        Model(path, provider="cpu")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(ManifestError, match=rf"changed since, which its sha256 tells \({digest}"):
        Model(path, provider="cpu")


def test_the_proof_is_computed_on_opening_unless_told_not_to(
    tiny_model: TinyModel, tmp_path: Path
) -> None:
    path = wrong_model(tiny_model, tmp_path / "wrong.onnx")
    assert Model(path, provider="cpu", check_proof=False).predict(patterns(), 1.0).shape[0] == 3
    with pytest.raises(ManifestError, match="does not compute here"):
        open_model(path, provider="cpu")
    assert not open_model(path, provider="cpu", check_proof=False).verify().passed
