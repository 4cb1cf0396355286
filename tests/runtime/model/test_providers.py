"""Each provider is asked for with the options that keep the network's values."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from ptychonyx.runtime.model.providers import AUTO, PROVIDERS, ModelTraits

TRAITS = ModelTraits("0123", "float32", {"amplitude": ("batch", 1, 8, 8), "scale": (1,)})


def test_the_table_refers_to_itself() -> None:
    assert set(AUTO) <= PROVIDERS.keys()
    for spec in PROVIDERS.values():
        assert set(spec.fallbacks) <= PROVIDERS.keys()


def test_tensorrt_has_one_engine_for_all_batch_sizes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PTYCHONYX_CACHE", str(tmp_path))
    options = PROVIDERS["tensorrt"].options(TRAITS, None)
    assert options["trt_profile_min_shapes"] == "amplitude:1x1x8x8,scale:1"
    assert options["trt_profile_max_shapes"] == "amplitude:256x1x8x8,scale:1"
    assert options["trt_engine_cache_path"] == str(tmp_path / "tensorrt" / "0123")
    assert not any(key.endswith("p16_enable") for key in options)
    half = dataclasses.replace(TRAITS, precision="float16")
    assert PROVIDERS["tensorrt"].options(half, None)["trt_fp16_enable"] == "1"


def test_openvino_computes_in_float32_on_so_many_threads() -> None:
    assert PROVIDERS["openvino"].options(TRAITS, None) == {
        "device_type": "CPU",
        "precision": "FP32",
    }
    config = json.loads(PROVIDERS["openvino"].options(TRAITS, 3)["load_config"])
    assert config == {"CPU": {"INFERENCE_NUM_THREADS": 3}}


def test_cuda_computes_in_float32() -> None:
    assert PROVIDERS["cuda"].options(TRAITS, None) == {"use_tf32": "0"}
