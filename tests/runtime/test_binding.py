"""What a GPU does, on the CPU's memory: fixed batch sizes, bound buffers, engines that are kept."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ptychonyx.runtime.errors import ProviderError
from ptychonyx.runtime.model import binding
from ptychonyx.runtime.model import session as model_module
from ptychonyx.runtime.model.binding import BoundSession
from ptychonyx.runtime.model.providers import PROVIDERS, ModelTraits
from ptychonyx.runtime.model.session import Model

pytest.importorskip("onnx", reason="model files are built with the onnx package")
ort = pytest.importorskip("onnxruntime", reason="models run on onnxruntime")
TRAITS = ModelTraits("0123", "float32", (1, 8, 8))


def patterns(batch: int) -> np.ndarray:
    return np.random.default_rng(batch).random((batch, 1, 8, 8), dtype=np.float32)


@pytest.mark.parametrize("batch", [1, 2, 4, 5, 64, 256, 257, 600])
def test_any_batch_gives_what_an_unbound_session_gives(model_path, batch):
    model = Model(model_path(), provider="cpu")
    bound = BoundSession(ort, model._session, "cpu")
    for scale in (3.0, 0.5):
        pairs = bound.run(patterns(batch), scale)
        expected = model.predict(patterns(batch), scale)
        np.testing.assert_array_equal(pairs.view(np.complex64)[..., 0], expected)


def test_results_stay_when_buffers_are_used_again(model_path):
    bound = BoundSession(ort, Model(model_path(), provider="cpu")._session, "cpu")
    first = bound.run(patterns(4), 1.0)
    kept = first.copy()
    bound.run(patterns(3), 2.0)
    np.testing.assert_array_equal(first, kept)


def test_a_session_sees_only_the_fixed_sizes(model_path):
    session, seen = Model(model_path(), provider="cpu")._session, []

    class Watched:
        def io_binding(self) -> Any:
            return session.io_binding()

        def run_with_iobinding(self, of: Any) -> None:
            session.run_with_iobinding(of)
            seen.append(of.get_outputs()[0].shape()[0])

    bound = BoundSession(ort, Watched(), "cpu")
    for batch in (2, 3, 17, 300):
        assert len(bound.run(patterns(batch), 1.0)) == batch
    assert seen == [4, 4, 64, 256, 64]
    assert set(seen) <= set(binding.BATCH_SIZES)


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
    monkeypatch.setattr(model_module, "_import_onnxruntime", lambda: fake)
    monkeypatch.setenv("PTYCHONYX_CACHE", str(tmp_path / "cache"))
    for name in ("cuda", "tensorrt"):
        able = dataclasses.replace(PROVIDERS[name], why_not=lambda ort: None, device="cpu")
        monkeypatch.setitem(PROVIDERS, name, able)
    return fake


@pytest.mark.parametrize("name", ["cuda", "tensorrt", "openvino"])
def test_every_provider_runs_a_model_once_it_starts(model_path, disguised, name):
    expected = Model(model_path(), provider="cpu").predict(patterns(7), 2.0)
    model = Model(model_path(), provider=name)
    assert model.providers == tuple(each for each, _ in disguised.asked)
    assert model.providers[0] == PROVIDERS[name].ort_name
    np.testing.assert_array_equal(model.predict(patterns(7), 2.0), expected)
    assert model.verify().passed


def test_tensorrt_announces_an_engine_only_while_there_is_none(
    model_path, disguised, caplog, tmp_path
):
    digest = Model(model_path(), provider="tensorrt").digest
    folder = tmp_path / "cache" / "tensorrt" / digest
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert str(folder) in caplog.text
    (folder / "model.engine").touch()
    caplog.clear()
    Model(model_path(), provider="tensorrt")
    assert caplog.text == ""


def test_tensorrt_has_one_engine_for_all_batch_sizes(monkeypatch, tmp_path):
    monkeypatch.setenv("PTYCHONYX_CACHE", str(tmp_path))
    options = PROVIDERS["tensorrt"].options(TRAITS, None)
    assert options["trt_profile_min_shapes"] == "amplitude:1x1x8x8,scale:1"
    assert options["trt_profile_max_shapes"] == "amplitude:256x1x8x8,scale:1"
    assert options["trt_engine_cache_path"] == str(tmp_path / "tensorrt" / "0123")
    assert not any(key.endswith("p16_enable") for key in options)
    half = dataclasses.replace(TRAITS, precision="float16")
    assert PROVIDERS["tensorrt"].options(half, None)["trt_fp16_enable"] == "1"


def test_openvino_computes_in_float32_on_so_many_threads():
    assert PROVIDERS["openvino"].options(TRAITS, None) == {
        "device_type": "CPU",
        "precision": "FP32",
    }
    config = json.loads(PROVIDERS["openvino"].options(TRAITS, 3)["load_config"])
    assert config == {"CPU": {"INFERENCE_NUM_THREADS": 3}}


@pytest.mark.skipif(
    "OpenVINOExecutionProvider" in ort.get_available_providers(), reason="OpenVINO is installed"
)
def test_openvino_that_is_not_installed_names_its_wheel(model_path):
    with pytest.raises(ProviderError, match=r"openvino does not start.*ptychonyx\[openvino\]"):
        Model(model_path(), provider="openvino")
