"""Changes of an ONNX file's graph and of its manifest, which leave it a well-formed file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from model_files import document_of, redescribe

from ptychonyx.runtime.model.graph.safety import OPERATORS

WORDS = ("", "float32", "solver", "patches", "σ\u0000", "1.9", "x" * 20_000)
NUMBERS = (0, 1, -1, 3, 8, 2**31, 2**64, 10**400, 0.5, 1e-300, 1e300, float("nan"), float("inf"))


def spoil_manifest(path: Path, rng: np.random.Generator) -> None:
    """Replace one to three values of a manifest, and its sha256 by the new one."""
    model = _load(path)
    document = json.loads(document_of(model))
    for _ in range(int(rng.integers(1, 4))):
        document = _change(document, rng)
    redescribe(model, json.dumps(document))
    path.write_bytes(model.SerializeToString())


def _change(value: Any, rng: np.random.Generator) -> Any:
    """Return a JSON value with a change at one place, near or deep."""
    if isinstance(value, dict) and value and rng.random() < 0.95:
        key = sorted(value)[rng.integers(len(value))]
        if rng.random() < 0.05:
            return {name: each for name, each in value.items() if name != key}
        return value | {key: _change(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.7:
        place = int(rng.integers(len(value)))
        return [*value[:place], _change(value[place], rng), *value[place + 1 :]]
    if isinstance(value, int | float) and rng.random() < 0.5:
        return value * (1, 2, 1 + 1e-6)[rng.integers(3)]
    if isinstance(value, str) and value and rng.random() < 0.5:
        place = int(rng.integers(len(value)))
        return value[:place] + "A" + value[place + 1 :]
    return _draw_value(rng)


def _draw_value(rng: np.random.Generator) -> Any:
    choices: tuple[Callable[[], Any], ...] = (
        lambda: None,
        lambda: bool(rng.integers(2)),
        lambda: NUMBERS[rng.integers(len(NUMBERS))],
        lambda: WORDS[rng.integers(len(WORDS))],
        lambda: [_draw_value(rng) for _ in range(rng.integers(3))],
        lambda: {WORDS[rng.integers(4)]: _draw_value(rng)},
        lambda: {"shape": [2, 8], "float32": "AAAA"},
        lambda: {"shape": [2**40] * 4, "float32": ""},
    )
    return choices[rng.integers(len(choices))]()


def spoil_graph(path: Path, rng: np.random.Generator) -> None:
    """Change one to three operators, constants, inputs or outputs of a graph."""
    model = _load(path)
    for _ in range(int(rng.integers(1, 4))):
        GRAPH_EDITS[int(rng.integers(len(GRAPH_EDITS)))](model, rng)
    path.write_bytes(model.SerializeToString())


def _load(path: Path) -> Any:
    onnx = pytest.importorskip("onnx", reason="model files are changed with the onnx package")
    return onnx.load_model_from_string(path.read_bytes())


def _pick(items: Any, rng: np.random.Generator) -> Any:
    return items[int(rng.integers(len(items)))]


def _names(model: Any) -> list[str]:
    tensors = [*model.graph.input, *model.graph.output, *model.graph.initializer]
    return [
        *("", "σ"),
        *(each.name for each in tensors),
        *(name for node in model.graph.node for name in node.output),
    ]


def _rewire(model: Any, rng: np.random.Generator) -> None:
    if model.graph.node:
        node = _pick(model.graph.node, rng)
        ends = node.input if rng.random() < 0.7 else node.output
        if ends:
            ends[int(rng.integers(len(ends)))] = _pick(_names(model), rng)


def _other_operator(model: Any, rng: np.random.Generator) -> None:
    if model.graph.node:
        _pick(model.graph.node, rng).op_type = _pick(sorted(OPERATORS), rng)


def _one_operator_more(model: Any, rng: np.random.Generator) -> None:
    """Put an operator of any kind between two that are there."""
    if not model.graph.node:
        return
    node, names = _pick(model.graph.node, rng), _names(model)
    more = model.graph.node.add()
    more.op_type = _pick(sorted(OPERATORS), rng)
    more.output.append(node.output[0] if node.output else "new")
    more.input.extend(_pick(names, rng) for _ in range(int(rng.integers(1, 4))))
    for name in sorted(OPERATORS[more.op_type])[: rng.integers(3)]:
        _draw_attribute(more.attribute.add(name=name), rng)
    if node.output:
        more.input[0] = node.output[0] = f"{node.output[0]}_before"
    order = list(model.graph.node)
    del model.graph.node[:]
    place = order.index(node)
    model.graph.node.extend([*order[: place + 1], more, *order[place + 1 : -1]])


def _draw_attribute(attribute: Any, rng: np.random.Generator) -> None:
    kind = int(rng.integers(4))
    if kind == 0:
        attribute.type, attribute.i = 2, int(_pick((0, 1, -1, 2, 2**40, -(2**63)), rng))
    elif kind == 1:
        attribute.type = 7
        attribute.ints.extend(int(rng.integers(-2, 5)) for _ in range(rng.integers(5)))
    elif kind == 2:
        attribute.type, attribute.s = 3, _pick((b"", b"linear", b"nearest", b"\xff"), rng)
    else:
        attribute.type, attribute.f = 1, float(_pick((0.0, 1.5, np.inf, np.nan), rng))


def _attribute(model: Any, rng: np.random.Generator) -> None:
    found = [each for node in model.graph.node for each in node.attribute]
    if found:
        _draw_attribute(_pick(found, rng), rng)


def _constant(model: Any, rng: np.random.Generator) -> None:
    if not model.graph.initializer:
        return
    tensor = _pick(model.graph.initializer, rng)
    change = int(rng.integers(4))
    if change == 0:
        tensor.data_type = int(rng.integers(0, 20))
    elif change == 1:
        tensor.dims.append(_pick((0, 1, 2, 2**40), rng))
    elif change == 2 and tensor.raw_data:
        tensor.raw_data = rng.bytes(len(tensor.raw_data))
    elif tensor.raw_data:
        tensor.raw_data = tensor.raw_data[:-1]


def _drop(model: Any, rng: np.random.Generator) -> None:
    graph = model.graph
    items = _pick((graph.node, graph.initializer, graph.input, graph.output), rng)
    if items:
        del items[int(rng.integers(len(items)))]


def _version(model: Any, rng: np.random.Generator) -> None:
    if rng.random() < 0.5:
        model.ir_version = int(_pick((0, 1, 3, 8, 13, 2**40), rng))
    elif model.opset_import:
        model.opset_import[0].version = int(_pick((0, 1, 7, 17, 19, 99, 2**40), rng))


def _side(model: Any, rng: np.random.Generator) -> None:
    values = [*model.graph.input, *model.graph.output]
    sides = [each for value in values for each in value.type.tensor_type.shape.dim]
    if sides:
        _pick(sides, rng).dim_value = int(_pick((0, 1, -1, 7, 2**40), rng))


GRAPH_EDITS: tuple[Callable[[Any, np.random.Generator], None], ...] = (
    *(_rewire, _rewire, _other_operator, _one_operator_more, _one_operator_more, _attribute),
    *(_constant, _constant, _drop, _version, _side),
)
