"""A session starts on the provider that was asked for, or it is said why not."""

from __future__ import annotations

import dataclasses
import importlib.util
import logging
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from model_files import ModelPath, TinyModel
from numpy.typing import NDArray

from ptychonyx.runtime.errors import ManifestError, ProviderError
from ptychonyx.runtime.model.cores import num_cores
from ptychonyx.runtime.model.model_file import open_model_file
from ptychonyx.runtime.model.providers import PROVIDERS
from ptychonyx.runtime.model.session import Model
from ptychonyx.runtime.model.start import may_use_gpu, start_session, why_no_gpu

onnx = pytest.importorskip("onnx", reason="model files are built with the onnx package")
ort = pytest.importorskip("onnxruntime", reason="models run on onnxruntime")

needs_no_gpu = pytest.mark.skipif(why_no_gpu() is None, reason="this machine has an NVIDIA GPU")


def has_gpu() -> None:
    """Say what the driver of a machine with a GPU says."""


def has_no_gpu() -> str:
    return "there is no GPU in this test"


def patterns(batch: int) -> NDArray[np.float32]:
    return np.random.default_rng(batch).random((batch, 1, 8, 8), dtype=np.float32)


@needs_no_gpu
@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
def test_named_provider_that_does_not_start_is_an_error(
    model_path: ModelPath, provider: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ProviderError, match=f"{provider} does not start: .*NVIDIA driver"):
        Model(model_path(), provider=provider)
    assert capfd.readouterr() == ("", "")


@needs_no_gpu
def test_missing_cuda_libraries_are_the_reason(
    model_path: ModelPath, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ProviderError, match=r"cuda does not start: .*(library|without it)"):
        start_session(ort, open_model_file(model_path()), "cuda", driver=has_gpu)
    assert capfd.readouterr() == ("", "")


@needs_no_gpu
def test_auto_says_why_it_runs_on_the_cpu_where_there_is_a_gpu(
    model_path: ModelPath, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    file = open_model_file(model_path())
    with caplog.at_level(logging.INFO, logger="ptychonyx"):
        name, _ = start_session(ort, file, driver=has_gpu)
    assert name == "cpu"
    assert "running on the CPU because cuda does not start: " in caplog.text
    assert capfd.readouterr().out == ""


def test_auto_is_silent_where_there_is_no_gpu(
    model_path: ModelPath, caplog: pytest.LogCaptureFixture
) -> None:
    file = open_model_file(model_path())
    with caplog.at_level(logging.INFO, logger="ptychonyx"):
        name, _ = start_session(ort, file, driver=has_no_gpu)
    assert (name, caplog.text) == ("cpu", "")


@pytest.mark.gpu
def test_cuda_verifies_itself(model_path: ModelPath) -> None:
    if why_no_gpu() is not None:
        pytest.skip("this machine has no NVIDIA GPU")
    model = Model(model_path(), provider="cuda")
    assert model.providers[0] == "CUDAExecutionProvider"
    assert model.verify().passed


class Failing(ModuleType):
    """onnxruntime whose CUDA fails, as with a driver that is too old."""

    def __init__(self) -> None:
        super().__init__("onnxruntime")
        self.tried: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(ort, name)

    def get_available_providers(self) -> list[str]:
        return ["CUDAExecutionProvider", "CPUExecutionProvider"]

    def InferenceSession(
        self, data: bytes, *, providers: Any, sess_options: Any, **options: Any
    ) -> Any:
        self.tried.append(providers[0])
        if providers[0][0] != "CPUExecutionProvider":
            raise RuntimeError("CUDA failure 35: driver is insufficient")
        return ort.InferenceSession(data, providers=providers, sess_options=sess_options, **options)


def test_provider_that_fails_while_starting_is_not_taken(
    model_path: ModelPath, caplog: pytest.LogCaptureFixture
) -> None:
    failing, file = Failing(), open_model_file(model_path())
    with pytest.raises(ProviderError, match="onnxruntime says: CUDA failure 35"):
        start_session(failing, file, "cuda", driver=has_gpu)
    with caplog.at_level(logging.INFO, logger="ptychonyx"):
        assert start_session(failing, file, driver=has_gpu)[0] == "cpu"
    assert "CUDA failure 35" in caplog.text
    assert failing.tried[0] == ("CUDAExecutionProvider", {"use_tf32": "0"})


class Disguised:
    """onnxruntime that lists every provider, and computes all on the CPU."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(ort, name)

    def get_available_providers(self) -> list[str]:
        return [spec.ort_name for spec in PROVIDERS.values()]

    def InferenceSession(self, data: bytes, *, providers: Any, **options: Any) -> Any:
        self.asked = providers
        session = ort.InferenceSession(data, providers=["CPUExecutionProvider"], **options)

        class Session:
            def __getattr__(self, name: str) -> Any:
                return getattr(session, name)

            def get_providers(self) -> list[str]:
                return [name for name, _ in providers]

        return Session()


@pytest.fixture
def disguised(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Disguised:
    """GPU providers that start here, in the memory of the CPU."""
    fake = Disguised()
    monkeypatch.setitem(sys.modules, "onnxruntime", fake)
    monkeypatch.setenv("PTYCHONYX_CACHE", str(tmp_path / "cache"))
    for name in ("cuda", "tensorrt"):
        able = dataclasses.replace(PROVIDERS[name], needs_gpu=False, device="cpu")
        monkeypatch.setitem(PROVIDERS, name, able)
    return fake


@pytest.mark.parametrize("name", ["cuda", "tensorrt", "openvino"])
def test_every_provider_runs_a_model_once_it_starts(
    model_path: ModelPath, disguised: Disguised, name: str
) -> None:
    expected = Model(model_path(), provider="cpu").predict(patterns(7), 2.0)
    model = Model(model_path(), provider=name)
    assert model.providers == tuple(each for each, _ in disguised.asked)
    assert model.providers[0] == PROVIDERS[name].ort_name
    np.testing.assert_array_equal(model.predict(patterns(7), 2.0), expected)
    assert model.verify().passed


def test_tensorrt_announces_an_engine_only_while_there_is_none(
    model_path: ModelPath, disguised: Disguised, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    digest = Model(model_path(), provider="tensorrt").digest
    folder = tmp_path / "cache" / "tensorrt" / digest
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert str(folder) in caplog.text
    (folder / "model.engine").touch()
    caplog.clear()
    Model(model_path(), provider="tensorrt")
    assert caplog.text == ""


@pytest.mark.skipif(
    "OpenVINOExecutionProvider" in ort.get_available_providers(), reason="OpenVINO is installed"
)
def test_openvino_that_is_not_installed_names_its_wheel(model_path: ModelPath) -> None:
    with pytest.raises(ProviderError, match=r"openvino does not start.*ptychonyx\[openvino\]"):
        Model(model_path(), provider="openvino")


def broken_graph(model: Any) -> bytes:
    model.graph.node[1].input[0] = "nowhere"
    return model.SerializeToString()


def test_graph_that_onnxruntime_refuses(tiny_model: TinyModel, tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(broken_graph(tiny_model()))
    with pytest.raises(ManifestError, match=r"cannot load .*export it again"):
        Model(path, provider="cpu")


def test_without_onnxruntime_both_pip_lines_are_named(
    model_path: ModelPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(RuntimeError, match=r'"ptychonyx\[cpu\]".*"ptychonyx\[gpu\]"'):
        Model(model_path())


@pytest.mark.parametrize(
    ("installed", "driver", "expected"),
    [
        (["CUDAExecutionProvider", "CPUExecutionProvider"], None, True),
        (["CUDAExecutionProvider", "CPUExecutionProvider"], "no driver", False),
        (["CPUExecutionProvider"], None, False),
    ],
)
def test_auto_may_use_a_gpu_only_where_wheel_and_driver_are_there(
    installed: list[str], driver: str | None, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: installed)
    assert may_use_gpu("auto", driver=lambda: driver) is expected
    assert (may_use_gpu("cpu"), may_use_gpu("tensorrt")) == (False, True)


def test_predictions_at_once_share_the_cores(model_path: ModelPath) -> None:
    class Watched(Failing):
        def InferenceSession(
            self, data: bytes, *, providers: Any, sess_options: Any, **options: Any
        ) -> Any:
            self.tried.append(sess_options.intra_op_num_threads)
            return object()

    watched, file = Watched(), open_model_file(model_path())
    for at_once in (2, 10_000):
        start_session(watched, file, "cpu", predictions_at_once=at_once)
    start_session(watched, file, "cpu", predictions_at_once=2, num_threads=3)
    shared, alone, asked = watched.tried
    assert 1 <= shared <= max(1, num_cores() - 1)
    assert (alone, asked) == (1, 3)


@pytest.mark.parametrize(
    "imported",
    [
        "ptychonyx.runtime.model.start",
        pytest.param(
            "ptychonyx.export.graph.precision",
            marks=pytest.mark.skipif(
                importlib.util.find_spec("onnx") is None, reason="export needs onnx"
            ),
        ),
    ],
)
@pytest.mark.parametrize("chosen", [None, "0"])
def test_onnxruntime_is_imported_without_telemetry_unless_the_user_wants_it(
    imported: str, chosen: str | None
) -> None:
    code = (
        "import os, sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'onnxruntime':\n"
        "            print(os.environ.get('ORT_DISABLE_TELEMETRY'))\n"
        "sys.meta_path.insert(0, Finder())\n"
        f"import {imported}\n"
        "from ptychonyx.runtime.model.start import import_onnxruntime\n"
        "import_onnxruntime()\n"
    )
    assert run_apart(code, chosen=chosen) == f"{chosen or 1}\n"


def test_a_session_leaves_no_identity_of_the_device(model_path: ModelPath, tmp_path: Path) -> None:
    code = (
        "from ptychonyx.runtime.model.session import Model\n"
        f"print(Model({str(model_path())!r}, provider='cpu').verify().passed)\n"
    )
    assert run_apart(code, HOME=str(tmp_path), XDG_CACHE_HOME="") == "True\n"
    assert list(tmp_path.rglob("*Microsoft*")) == []


def run_apart(code: str, *, chosen: str | None = None, **variables: str) -> str:
    """Run code in a process of its own, which has the variable `chosen` or none."""
    environment = {k: v for k, v in os.environ.items() if k not in ("ORT_DISABLE_TELEMETRY",)}
    if chosen is not None:
        environment["ORT_DISABLE_TELEMETRY"] = chosen
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**environment, "PYTHONPATH": os.pathsep.join(sys.path), **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout
