"""A file that is refused is refused before it takes memory."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_files import TinyModel, document_of, redescribe

onnx = pytest.importorskip("onnx", reason="model files are built with the onnx package")
pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").is_file(), reason="memory is asked for as on Linux"
)
helper, numpy_helper = onnx.helper, onnx.numpy_helper

MOST_MB = 400
OPEN = """
import re, sys
from ptychonyx.runtime.errors import ManifestError
from ptychonyx.runtime.model.session import Model
try:
    Model(sys.argv[1], provider="cpu")
except ManifestError as error:
    (peak_kb,) = re.findall(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())
    print(int(peak_kb) // 1024, error)
"""


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


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (node("ConstantOfShape", np.array([2**20, 2**10])), "ConstantOfShape"),
        (node("Expand", np.array([2**10, 2**10, 2**5, 2**5])), "Expand"),
        (node("Tile", np.array([1, 1, 2**12, 2**12])), "Tile"),
        (manifest_of("[" + "[]," * 33_000_000 + "[]]"), "characters"),
        (manifest_of('"' + "x" * 45_000_000 + "\\\\ud83d\\\\ude00" + '"'), "characters"),
        (manifest_of('{"float32":"' + "A" * 45_000_000 + '!"}'), "characters"),
    ],
    ids=["constant of shape", "expand", "tile", "100 MB of lists", "wide letters", "no base64"],
)
def test_a_refused_file_takes_little_memory(
    tiny_model: TinyModel, tmp_path: Path, change: Callable[[Any], None], match: str
) -> None:
    model = tiny_model()
    change(model)
    path = tmp_path / "huge.onnx"
    path.write_bytes(model.SerializeToString())
    done = subprocess.run(
        [sys.executable, "-c", OPEN, str(path)], capture_output=True, text=True, check=True
    )
    peak_mb, _, said = done.stdout.partition(" ")
    assert match in said
    assert int(peak_mb) < MOST_MB


def test_a_file_larger_than_any_of_ours_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.onnx"
    with path.open("wb") as file:
        file.truncate(2**31)
    done = subprocess.run(
        [sys.executable, "-c", OPEN, str(path)], capture_output=True, text=True, check=True
    )
    assert "2147483648 bytes; a model file has between 1 and 201326592" in done.stdout
    assert int(done.stdout.partition(" ")[0]) < MOST_MB
