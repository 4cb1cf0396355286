"""What is measured on a machine, and what is remembered of it."""

from __future__ import annotations

import json
import platform
import time
from functools import partial
from pathlib import Path

import pytest
from model_files import ModelPath

from ptychonyx.runtime.errors import ProviderError
from ptychonyx.runtime.model.tuning import (
    MatrixProduct,
    Measurement,
    Setting,
    benchmark,
    best,
    recall,
    remember,
    take_turns,
)

pytest.importorskip("onnx", reason="model files are built with the onnx package")
ort = pytest.importorskip("onnxruntime", reason="models run on onnxruntime")


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("PTYCHONYX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


quick_benchmark = partial(benchmark, yardstick=partial(MatrixProduct, side=64))
"""A benchmark beside a matrix product that takes a fraction of a second."""


def measured(provider: str, batch: int, rate: float) -> Measurement:
    return Measurement(Setting(provider, 2, batch), rate, 1.0, 2.0, 90.0)


def test_every_combination_is_measured(model_path: ModelPath) -> None:
    shares: list[float] = []
    path = model_path(num_operations=1000)
    found = quick_benchmark(
        path, batches=(1, 8), threads=(1,), seconds_each=0.01, progress=shares.append
    )
    assert {each.setting for each in found} == {Setting("cpu", 1, 1), Setting("cpu", 1, 8)}
    for each in found:
        assert 0 < each.p50_ms <= each.p99_ms
        assert each.patterns_per_s == pytest.approx(each.setting.batch_size / each.p50_ms * 1e3)
        assert each.percent_of_peak is not None
        assert each.percent_of_peak > 0
    assert found[0].patterns_per_s >= found[1].patterns_per_s
    assert 0 < shares[-1] <= 1


def test_an_older_model_has_no_share_of_the_peak(model_path: ModelPath) -> None:
    found = quick_benchmark(model_path(), batches=(2,), threads=(1,), seconds_each=0.0)
    assert [each.percent_of_peak for each in found] == [None]


def test_what_cannot_be_measured_is_refused(model_path: ModelPath) -> None:
    with pytest.raises(ValueError, match=r"`batches` is \[0\]"):
        benchmark(model_path(), batches=(0,))
    with pytest.raises(ValueError, match="no such execution provider"):
        benchmark(model_path(), providers=("gpu",))
    missing = {"OpenVINOExecutionProvider"} - set(ort.get_available_providers())
    if missing:
        with pytest.raises(ProviderError, match="openvino does not start"):
            benchmark(model_path(), providers=("openvino",))


def test_of_settings_nearly_as_fast_the_smallest_batch_wins() -> None:
    rates = {4: 90.0, 16: 99.0, 64: 99.5, 256: 100.0}
    assert best([measured("cpu", *each) for each in rates.items()]).setting.batch_size == 16


def test_the_winner_is_remembered_by_model_machine_and_provider(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert recall("a") is None
    remember("a", [measured("cpu", 16, 100.0), measured("cpu", 64, 50.0)])
    remember("a", [measured("cuda", 256, 900.0)])
    remember("b", [measured("cpu", 1, 10.0)])
    assert recall("a") == Setting("cuda", 2, 256)
    assert recall("a", "cpu") == Setting("cpu", 2, 16)
    assert recall("a", "tensorrt") is None
    assert recall("b") == Setting("cpu", 2, 1)
    monkeypatch.setattr(platform, "node", lambda: "another")
    assert recall("a") is None
    assert [path.name for path in cache.iterdir()] == ["benchmarks.json"]


def test_a_damaged_memory_is_as_good_as_none(cache: Path) -> None:
    cache.mkdir()
    for text in ("", "[1]", "{"):
        (cache / "benchmarks.json").write_text(text)
        assert recall("a") is None
    remember("a", [measured("cpu", 16, 100.0)])
    assert "a" in json.loads((cache / "benchmarks.json").read_text())


def test_turns_are_taken() -> None:
    order: list[str] = []
    names = ("a", "b", "c")
    times = take_turns({name: partial(order.append, name) for name in names}, seconds=0.0)
    num_turns = len(times["a"])
    assert num_turns >= 3
    assert order == [*names] * (1 + num_turns)  # once before, untimed
    assert {len(seconds) for seconds in times.values()} == {num_turns}


def test_turns_fill_the_time_and_tell_how_much_has_passed() -> None:
    shares: list[float] = []
    times = take_turns({0: lambda: time.sleep(0.01)}, seconds=0.2, progress=shares.append)
    assert sum(times[0]) > 0.1
    assert shares == sorted(shares)
    assert 0 < shares[-1] <= 1


ENTRY = {"provider": "cpu", "num_threads": 2, "batch_size": 16, "patterns_per_s": 5.0}


@pytest.mark.parametrize(
    "known",
    [
        {"a": 3},
        {"a": {"MACHINE": []}},
        {"a": {"MACHINE": {"cpu": "fast"}}},
        {"a": {"MACHINE": {"cpu": {"provider": "cpu"}}}},
        *(
            {"a": {"MACHINE": {"cpu": ENTRY | {field: value}}}}
            for field, value in (
                ("provider", "rm -rf"),
                ("num_threads", 0),
                ("batch_size", "16"),
                ("batch_size", 10**400),
                ("patterns_per_s", None),
                ("patterns_per_s", 10**400),
            )
        ),
    ],
)
def test_an_entry_of_another_shape_is_as_good_as_none(
    cache: Path, known: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ptychonyx.runtime.model.tuning._machine", lambda: "MACHINE")
    cache.mkdir()
    (cache / "benchmarks.json").write_text(json.dumps(known))
    assert recall("a") is None
    remember("a", [measured("cpu", 16, 100.0)])
    assert recall("a") == Setting("cpu", 2, 16)
