"""Shape of what an operator gives, from the shapes of what it reads."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from .onnx_file import DTYPES, INTS, Node, Tensor
from .safety import MAX_RANK

Sides = tuple[int, ...]
"""Shape of an intermediate result."""


class UnfitError(ValueError):
    """The inputs of an operator do not fit it; the message says why."""


def shape_of(node: Node, known: Mapping[str, Sides], constants: Mapping[str, Tensor]) -> Sides:
    """Return the shape of an operator's result.

    Parameters
    ----------
    node : Node
    known : mapping of name to shape
        Shapes of inputs, constants and the results of operators before it.
    constants : mapping of name to Tensor

    Raises
    ------
    UnfitError
        If its inputs do not fit it, or it must be run to know.
    """
    if len(node.outputs) != 1 or not node.inputs:
        raise UnfitError(f"it has {len(node.inputs)} inputs and {len(node.outputs)} outputs")
    for name in node.inputs:
        if name and name not in known:
            raise UnfitError(f"it reads `{name[:40]}`, which nothing before it gives")
    try:
        result = RESULTS.get(node.op_type, _broadcast)(Call(node, known, constants))
    except (ValueError, IndexError, KeyError, OverflowError, ZeroDivisionError) as error:
        raise UnfitError(f"its inputs do not fit: {error}") from error
    if len(result) > MAX_RANK or min(result, default=0) < 0:
        raise UnfitError(f"its result would have shape {result[: MAX_RANK + 1]}")
    return result


class Call:
    """An operator with what is known about its inputs."""

    def __init__(
        self, node: Node, known: Mapping[str, Sides], constants: Mapping[str, Tensor]
    ) -> None:
        self._node, self._known, self._constants = node, known, constants

    def shapes(self) -> list[Sides]:
        """Return the shapes of the inputs that are given."""
        return [self._known[name] for name in self._node.inputs if name]

    def shape(self, place: int = 0) -> Sides:
        """Return the shape of an input."""
        return self._known[self._node.inputs[place]]

    def image(self) -> tuple[int, int, Sides]:
        """Return batch, channels and pixels of the first input, an image."""
        batch, channels, height, width = self.shape()
        return batch, channels, (height, width)

    def has(self, place: int) -> bool:
        """Tell whether an optional input is given."""
        return len(self._node.inputs) > place and self._node.inputs[place] != ""

    def numbers(self, place: int) -> list[float]:
        """Return the elements of an input, which must be a constant."""
        tensor = self._constants.get(self._node.inputs[place])
        if tensor is None:
            raise UnfitError(f"its input {place} is no constant")
        if len(tensor.raw) > 8 * 2 * MAX_RANK:
            raise UnfitError(f"its input {place} has {tensor.dims} elements")
        values: list[float] = np.frombuffer(tensor.raw, DTYPES[tensor.data_type]).tolist()
        return values

    def whole(self, place: int) -> list[int]:
        """Return the elements of an input, a constant row of whole numbers."""
        return [int(value) for value in self.numbers(place)]

    def ints(self, name: str, default: list[int]) -> list[int]:
        """Return an attribute that is a whole number or a row of them."""
        for attribute in self._node.attributes:
            if attribute.name == name:
                if isinstance(attribute.value, bytes):
                    raise UnfitError(f"`{name}` is no whole number")
                if attribute.kind == INTS and len(attribute.value) != len(default):
                    raise UnfitError(f"`{name}` has {len(attribute.value)} numbers")
                return list(attribute.value)
        return default


def _broadcast(call: Call) -> Sides:
    """Return the shape of an elementwise result."""
    return _broadcast_shapes(call.shapes())


def _broadcast_shapes(shapes: list[Sides]) -> Sides:
    rank = max(map(len, shapes))
    padded = [(1,) * (rank - len(shape)) + shape for shape in shapes]
    result = []
    for sides in zip(*padded, strict=True):
        others = {side for side in sides if side != 1}
        if len(others) > 1:
            raise UnfitError(f"its inputs have shapes {shapes}")
        result.append(others.pop() if others else 1)
    return tuple(result)


def _same(call: Call) -> Sides:
    return call.shape()


def _matrix_product(call: Call) -> Sides:
    first, second = call.shape(0), call.shape(1)
    if min(len(first), len(second)) < 2 or first[-1] != second[-2]:
        raise UnfitError(f"its inputs have shapes {[first, second]}")
    return (*_broadcast_shapes([first[:-2], second[:-2]]), first[-2], second[-1])


def _windows(call: Call, kernel: Sides) -> Sides:
    """Return the pixels that a window of this size gives, put on an image step by step."""
    pads, strides = call.ints("pads", [0] * 4), call.ints("strides", [1, 1])
    dilations = call.ints("dilations", [1, 1])
    if min(*strides, *dilations, *kernel) < 1 or min(pads) < 0:
        raise UnfitError("its kernel, strides, dilations or pads are no counts of pixels")
    _, _, pixels = call.image()
    return tuple(
        (pixels[axis] + pads[axis] + pads[axis + 2] - dilations[axis] * (kernel[axis] - 1) - 1)
        // strides[axis]
        + 1
        for axis in (0, 1)
    )


def _convolution(call: Call) -> Sides:
    num_out, num_in, *kernel = call.shape(1)
    batch, channels, _ = call.image()
    (group,) = call.ints("group", [1])
    if channels != group * num_in:
        raise UnfitError(f"its image has {channels} channels, its kernel {num_in}")
    return (batch, num_out, *_windows(call, tuple(kernel)))


def _pooling(call: Call) -> Sides:
    batch, channels, _ = call.image()
    return (batch, channels, *_windows(call, tuple(call.ints("kernel_shape", [1, 1]))))


def _depth_to_space(call: Call) -> Sides:
    batch, channels, (height, width) = call.image()
    (block,) = call.ints("blocksize", [1])
    if block < 1 or channels % block**2:
        raise UnfitError(f"its blocks are {block}×{block}")
    return batch, channels // block**2, block * height, block * width


def _concatenation(call: Call) -> Sides:
    shapes = call.shapes()
    (axis,) = call.ints("axis", [0])
    axis %= len(shapes[0])
    others = {(*shape[:axis], *shape[axis + 1 :]) for shape in shapes}
    if len(others) > 1:
        raise UnfitError(f"its inputs have shapes {shapes}")
    sides = list(shapes[0])
    sides[axis] = sum(shape[axis] for shape in shapes)
    return tuple(sides)


def _slice(call: Call) -> Sides:
    sides = list(call.shape())
    starts, stops = call.whole(1), call.whole(2)
    axes = call.whole(3) if call.has(3) else list(range(len(starts)))
    steps = call.whole(4) if call.has(4) else [1] * len(starts)
    for start, stop, axis, step in zip(starts, stops, axes, steps, strict=True):
        sides[axis] = len(range(sides[axis])[slice(start, stop, step)])
    return tuple(sides)


def _unsqueeze(call: Call) -> Sides:
    sides, axes = list(call.shape()), call.whole(1)
    rank = len(sides) + len(axes)
    for axis in sorted(axis % rank for axis in axes):
        sides.insert(axis, 1)
    return tuple(sides)


def _tile(call: Call) -> Sides:
    return tuple(a * b for a, b in zip(call.shape(), call.whole(1), strict=True))


def _reshape(call: Call) -> Sides:
    given, wanted = call.shape(), call.whole(1)
    if call.ints("allowzero", [0]) != [0] or min(wanted, default=0) < -1 or wanted.count(-1) > 1:
        raise UnfitError(f"it asks for shape {wanted}")
    sides = [given[axis] if side == 0 else side for axis, side in enumerate(wanted)]
    if -1 in sides:
        place = sides.index(-1)
        rest = math.prod(side for side in sides if side != -1)
        sides[place] = math.prod(given) // max(rest, 1)
    if math.prod(sides) != math.prod(given):
        raise UnfitError(f"shape {given} cannot become {wanted}")
    return tuple(sides)


def _sum(call: Call) -> Sides:
    sides = call.shape()
    if not call.has(1):
        return (1,) * len(sides)
    axes = {axis % len(sides) for axis in call.whole(1)}
    (keeps,) = call.ints("keepdims", [1])
    kept = [(1 if axis in axes else side, axis) for axis, side in enumerate(sides)]
    return tuple(side for side, axis in kept if keeps or axis not in axes)


def _padding(call: Call) -> Sides:
    sides, pads = call.shape(), call.whole(1)
    axes = call.whole(3) if call.has(3) else list(range(len(sides)))
    added = dict.fromkeys(range(len(sides)), 0)
    for axis, before, after in zip(axes, pads[: len(axes)], pads[len(axes) :], strict=True):
        added[axis % len(sides)] = before + after
    return tuple(side + added[axis] for axis, side in enumerate(sides))


def _resize(call: Call) -> Sides:
    if call.has(3):
        wanted = call.whole(3)
        if len(wanted) != len(call.shape()):
            raise UnfitError(f"it asks for {wanted}")
        return tuple(wanted)
    scales = call.numbers(2)
    return tuple(math.floor(side * scale) for side, scale in zip(call.shape(), scales, strict=True))


RESULTS: dict[str, Callable[[Call], Sides]] = {
    "AveragePool": _pooling,
    "Cast": _same,
    "Concat": _concatenation,
    "Conv": _convolution,
    "DepthToSpace": _depth_to_space,
    "DequantizeLinear": _same,
    "MatMul": _matrix_product,
    "MaxPool": _pooling,
    "Pad": _padding,
    "QuantizeLinear": _same,
    "ReduceSum": _sum,
    "Reshape": _reshape,
    "Resize": _resize,
    "Slice": _slice,
    "Tile": _tile,
    "Unsqueeze": _unsqueeze,
}
"""Operator -> shape of its result; of all others it is that of its inputs, broadcast."""
