"""A file that asks for much memory is refused before a session, and before its data are read."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_files import TinyModel, document_of, redescribe

from ptychonyx.runtime.errors import ManifestError
from ptychonyx.runtime.model.session import Model

onnx = pytest.importorskip("onnx", reason="model files are built with the onnx package")
helper, numpy_helper = onnx.helper, onnx.numpy_helper


def manifest_of(insert: str) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        redescribe(model, document_of(model).replace('"epochs":3', f'"epochs":{insert}'))

    return change


def node(op_type: str, constant: Any, **attributes: Any) -> Callable[[Any], None]:
    """Return a change that puts an operator between the network and its output."""

    def change(model: Any) -> None:
        model.graph.initializer.append(numpy_helper.from_array(constant, "size"))
        last = model.graph.node[-1]
        inputs = ["size"] if op_type == "ConstantOfShape" else ["scaled", "size"]
        model.graph.node.append(helper.make_node(op_type, inputs, ["huge"], **attributes))
        model.graph.node.append(helper.make_node("ReduceSum", ["huge"], ["sum"], keepdims=0))
        model.graph.node.append(helper.make_node("Add", [last.output[0], "sum"], ["whole"]))
        last.output[0], model.graph.node[-1].output[0] = "part", last.output[0]
        model.graph.node[-1].input[0] = "part"

    return change


HUGE: dict[str, tuple[Callable[[Any], None], str]] = {
    "constant of shape": (node("ConstantOfShape", np.array([2**20, 2**10])), "ConstantOfShape"),
    "expand": (node("Expand", np.array([2**10, 2**10, 2**5, 2**5])), "Expand"),
    "tile": (node("Tile", np.array([1, 1, 2**12, 2**12])), "Tile"),
    "100 MB of lists": (manifest_of("[" + "[]," * 33_000_000 + "[]]"), "characters"),
    "wide letters": (manifest_of('"' + "x" * 45_000_000 + "\\ud83d\\ude00" + '"'), "characters"),
    "no base64": (manifest_of('{"float32":"' + "A" * 45_000_000 + '!"}'), "characters"),
}


@pytest.mark.parametrize(("change", "match"), HUGE.values(), ids=HUGE)
def test_a_model_that_asks_for_much_memory_is_refused(
    tiny_model: TinyModel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Any], None],
    match: str,
) -> None:
    model = tiny_model()
    change(model)
    path = tmp_path / "huge.onnx"
    path.write_bytes(model.SerializeToString())
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # asking for a session would fail
    if match == "characters":
        monkeypatch.setattr(json, "loads", None)  # and so would objects of a long manifest
    with pytest.raises(ManifestError, match=match):
        Model(path, provider="cpu")


def test_a_file_larger_than_any_of_ours_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "huge.onnx"
    with path.open("wb") as file:
        file.truncate(2**31)
    monkeypatch.setattr(Path, "read_bytes", None)
    with pytest.raises(ManifestError, match=r"2147483648 bytes; .* between 1 and 201326592"):
        Model(path, provider="cpu")
