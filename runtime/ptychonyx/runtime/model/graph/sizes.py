"""How large the intermediate results of a graph are, computed before a session reserves them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from .onnx_file import Node, OnnxError, OnnxFile
from .shapes import Sides, UnfitError, shape_of

MAX_NUMBERS_PER_INPUT = 8_000
"""Most numbers that all intermediate results together may have for each number of the largest input.
The `unet` with filters 1 has 930, in int8 twice as many; it grows with the filters."""


def check_sizes(file: OnnxFile, inputs: Mapping[str, Sides]) -> None:
    """Refuse a graph whose intermediate results are large beyond what its input explains.

    Parameters
    ----------
    file : OnnxFile
        Found safe by `check_safe`.
    inputs : mapping of name to shape
        Shapes of the inputs, with a number for each dynamic side.

    Raises
    ------
    OnnxError
        Names the operator whose result exceeds the bound, or whose inputs do not fit it.
    """
    allowed = MAX_NUMBERS_PER_INPUT * max(map(math.prod, inputs.values()))
    total = 0
    for node, shape in results(file, inputs):
        total += math.prod(shape)
        if total > allowed:
            raise OnnxError(
                f"{_named(node)} makes its intermediate results larger than {allowed} numbers, the "
                f"most for inputs of shapes {[*inputs.values()]}"
            )


def results(file: OnnxFile, inputs: Mapping[str, Sides]) -> Iterator[tuple[Node, Sides]]:
    """Yield each operator of a graph with the shape of its result.

    Raises
    ------
    OnnxError
        Names an operator whose inputs do not fit it.
    """
    constants = {tensor.name: tensor for tensor in file.tensors}
    known = {name: tensor.dims for name, tensor in constants.items()} | dict(inputs)
    for node in file.nodes:
        try:
            shape = shape_of(node, known, constants)
        except UnfitError as error:
            raise OnnxError(f"{_named(node)} cannot be run ({error})") from error
        known[node.outputs[0]] = shape
        yield node, shape


def _named(node: Node) -> str:
    return f"its operator {node.op_type} (`{''.join(node.outputs)[:40]}`)"
