"""What a part of a network's output depends on: which pixels and channels of every tensor.

Images are square and cropped alike along both axes, so one interval of pixels describes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

Interval = tuple[int, int]
"""From the first, up to and without the last."""

LAYOUT = ("Reshape", "Transpose")
"""What tf2onnx leaves between (batch, channels, y, x) and (batch, y, x, channels)."""
ELEMENTWISE = ("Add", "Greater", "Mul", "Relu", "Sigmoid", "Softplus", "Tanh", "Where")


@dataclass(frozen=True)
class Region:
    """A part of a tensor, in its own channels and pixels."""

    channels: Interval
    pixels: Interval

    def hull(self, other: Region | None) -> Region:
        """Return the smallest part that holds both."""
        if other is None:
            return self
        return Region(_hull(self.channels, other.channels), _hull(self.pixels, other.pixels))


class Source:
    """A bare graph: who makes a tensor, how large it is, and where it can differ from zero."""

    def __init__(self, graph: onnx.GraphProto, window_px: int) -> None:
        self.constants = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
        self.producers: dict[str, onnx.NodeProto] = {}
        made = {name for node in graph.node for name in node.output}
        read = {name for node in graph.node for name in node.input}
        self.outputs = sorted(made - read)
        (first,) = read - made - set(self.constants) - {""}
        self._names: dict[str, str] = {}
        everywhere = np.ones((window_px, window_px), dtype=np.bool_)
        self.num_channels = {first: self._num_inputs(graph)}
        self.supports = {first: everywhere}
        for node in graph.node:
            (name,) = node.output
            if node.op_type in LAYOUT:
                self._names[name] = self.name(node.input[0])
                continue
            if node.op_type == "Cast" and node.input[0] in self.constants:
                # torch folds casts of small constants only
                self.constants[name] = self.constants[node.input[0]].astype(np.float32)
                continue
            self.producers[name] = node
            self.num_channels[name] = self._count_channels(node)
            self.supports[name] = self._support(node)

    def _num_inputs(self, graph: onnx.GraphProto) -> int:
        """Return the channels of the input, as the first convolution reads them."""
        readers = [node for node in graph.node if node.op_type == "Conv"]
        return int(self.constants[readers[0].input[1]].shape[1]) if readers else 1

    def name(self, name: str) -> str:
        """Return the tensor itself for a change of its layout."""
        return self._names.get(name, name)

    def tensors(self, node: onnx.NodeProto) -> list[str]:
        """Return the inputs of a node that are no constants."""
        return [self.name(name) for name in node.input if name and name not in self.constants]

    def side_px(self, name: str) -> int:
        """Return the side of the image that a tensor is."""
        return len(self.supports[name])

    def is_zero(self, name: str, pixels: Interval) -> bool:
        """Tell whether these pixels are zero, whatever the weights and the input."""
        return not self.supports[name][slice(*pixels), slice(*pixels)].any()

    def mask(self, node: onnx.NodeProto) -> NDArray[np.float32] | None:
        """Return the constant that an elementwise node multiplies pixels with, if there is one."""
        side_px = self.side_px(self.tensors(node)[0])
        for name in node.input:
            if name in self.constants and self.constants[name].size == side_px**2:
                return self.constants[name].reshape(side_px, side_px)
        return None

    def channel_start(self, node: onnx.NodeProto) -> int:
        """Return where a Slice begins; only channels are ever sliced in a bare network."""
        start, _, axes, *step = (self.constants[name].tolist() for name in node.input[1:])
        if axes != [1] or step not in ([], [[1]]):
            refuse(node, f"axes {axes} and step {step}")
        return int(start[0])

    def pad_px(self, node: onnx.NodeProto) -> int:
        """Return the zeros that a Pad puts on each side."""
        widths = self.constants[node.input[1]].reshape(2, 4)
        if widths[:, :2].any() or np.ptp(widths[:, 2:]):
            refuse(node, f"widths {widths.tolist()}")
        return int(widths[0, 2])

    def read_by(self, node: onnx.NodeProto) -> tuple[str, int, bool]:
        """Return what a convolution reads: tensor, first channel, and whether it is upsampled."""
        name, start, is_doubled = self.name(node.input[0]), 0, False
        while (producer := self.producers.get(name)) is not None:
            if producer.op_type == "Slice":
                start += self.channel_start(producer)
            elif producer.op_type == "Resize" and not is_doubled:
                is_doubled = True
            else:
                break
            name = self.name(producer.input[0])
        return name, start, is_doubled

    def needs(self, wanted: Region) -> dict[str, Region]:
        """Return which part of each tensor the wanted part of the outputs depends on."""
        needs = {self.name(output): wanted for output in self.outputs}
        for name, node in reversed(self.producers.items()):
            if name in needs and not self.is_zero(name, needs[name].pixels):
                for each, region in self.reach(node, needs[name]):
                    needs[each] = region.hull(needs.get(each))
        return needs

    def reach(self, node: onnx.NodeProto, need: Region) -> Iterator[tuple[str, Region]]:
        """Yield the tensors, and the parts of them, that a part of a node's output depends on."""
        (start, stop), side_px = need.pixels, self.side_px(node.output[0])
        if node.op_type == "Conv":
            name, first, is_doubled = self.read_by(node)
            pixels = (max(start - 1, 0), min(stop + 1, side_px))
            if is_doubled:
                pixels = (pixels[0] // 2, -(-pixels[1] // 2))
            num_in = self.constants[node.input[1]].shape[1]
            yield name, Region((first, first + num_in), pixels)
        elif node.op_type == "MaxPool":
            yield self.tensors(node)[0], Region(need.channels, (2 * start, 2 * stop))
        elif node.op_type == "Pad":
            (name,), pad_px = self.tensors(node), self.pad_px(node)
            pixels = (max(start - pad_px, 0), min(stop - pad_px, self.side_px(name)))
            yield name, Region(need.channels, pixels)
        elif node.op_type == "Resize":
            yield self.tensors(node)[0], Region(need.channels, (start // 2, -(-stop // 2)))
        elif node.op_type == "Concat":
            first = 0
            for name in self.tensors(node):
                last = first + self.num_channels[name]
                channels = (max(need.channels[0], first), min(need.channels[1], last))
                if channels[0] < channels[1]:
                    part = (channels[0] - first, channels[1] - first)
                    yield name, Region(part, need.pixels)
                first = last
        elif node.op_type in ELEMENTWISE:
            for name in self.tensors(node):
                if not self.is_zero(name, need.pixels):
                    yield name, need

    def _count_channels(self, node: onnx.NodeProto) -> int:
        if node.op_type == "Conv":
            return int(self.constants[node.input[1]].shape[0])
        if node.op_type == "Slice":
            stop = int(self.constants[node.input[2]][0])
            return min(stop, self.num_channels[self.name(node.input[0])]) - self.channel_start(node)
        if node.op_type == "Concat":
            return sum(self.num_channels[name] for name in self.tensors(node))
        return self.num_channels[self.tensors(node)[0]]

    def _support(self, node: onnx.NodeProto) -> NDArray[np.bool_]:
        inputs = [self.supports[name] for name in self.tensors(node)]
        (first, *_), op = inputs, node.op_type
        if op in ("Concat", "Conv", "Slice", "Sigmoid", "Softplus", "Greater", "Where"):
            return np.ones_like(first)
        if op in ("Relu", "Tanh"):
            return first
        if op == "Add":
            return np.logical_or.reduce(inputs)
        if op == "Mul":
            mask = self.mask(node)
            return np.logical_and.reduce(inputs if mask is None else [*inputs, mask != 0])
        if op == "Pad":
            return np.pad(first, self.pad_px(node))
        if op == "MaxPool":
            return np.ones((len(first) // 2,) * 2, dtype=np.bool_)
        if op == "Resize":
            if self.constants[node.input[-1]].tolist() != [1, 1, 2, 2]:
                refuse(node, f"scales {self.constants[node.input[-1]].tolist()}")
            return np.ones((2 * len(first),) * 2, dtype=np.bool_)
        return refuse(node, "no rule")


def _hull(one: Interval, other: Interval) -> Interval:
    return min(one[0], other[0]), max(one[1], other[1])


def refuse(node: onnx.NodeProto, what: str) -> NoReturn:
    """Stop at an operator that nobody has taught this module."""
    raise RuntimeError(
        f"The exported network has {node.op_type} with {what}, whose reach is not known; teach "
        "`ptychonyx.export.graph.reduce` about it."
    )
