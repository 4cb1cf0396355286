"""The receptive field of a network's output: which pixels and channels of each tensor it depends on.

Images are square, and the same pixels are cut along both axes, so one interval describes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, NoReturn

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

Interval = tuple[int, int]
"""First index, and the index behind the last."""
Support = NDArray[np.bool_]
"""(side, side): True where a pixel of a tensor can differ from zero, in any channel."""

LAYOUT = ("Reshape", "Transpose")
"""tf2onnx leaves these between (batch, channels, y, x) and (batch, y, x, channels)."""


@dataclass(frozen=True)
class Region:
    """A part of a tensor: an interval of its channels and one of its pixels."""

    channels: Interval
    pixels: Interval

    def hull(self, other: Region | None) -> Region:
        """Return the smallest region that holds both.

        Examples
        --------
        >>> Region((0, 1), (4, 6)).hull(Region((2, 3), (5, 9)))
        Region(channels=(0, 3), pixels=(4, 9))
        """
        if other is None:
            return self
        return Region(_hull(self.channels, other.channels), _hull(self.pixels, other.pixels))


class ConvolutionInput(NamedTuple):
    """The tensor that a convolution reads, behind slices of channels and an upsampling.

    Attributes
    ----------
    name : str
    first_channel : int
        The first channel that is read.
    is_upsampled : bool
        Whether the convolution reads it after a 2× upsampling.
    """

    name: str
    first_channel: int
    is_upsampled: bool


class BareGraph:
    """A bare network: its nodes and constants, and the shape and support of each tensor.

    Parameters
    ----------
    graph : GraphProto
        A bare network as `graph.canonical` leaves it.
    window_px : int
        N, the side of its input.

    Attributes
    ----------
    constants : dict of str to array
    producers : dict of str to NodeProto
        Tensor -> the node that computes it, in the order of the graph.
    outputs : list of str
    num_channels : dict of str to int
    supports : dict of str to bool array, shape (side, side)
        False where all channels are zero, whatever the weights and the input are.

    Raises
    ------
    RuntimeError
        If an operator has no rule in `OPERATORS`.
    """

    def __init__(self, graph: onnx.GraphProto, window_px: int) -> None:
        self.constants = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
        self.producers: dict[str, onnx.NodeProto] = {}
        made = {name for node in graph.node for name in node.output}
        read = {name for node in graph.node for name in node.input}
        self.outputs = sorted(made - read)
        (first,) = read - made - set(self.constants) - {""}
        self._names: dict[str, str] = {}
        self.num_channels = {first: self._num_inputs(graph)}
        self.supports = {first: np.ones((window_px, window_px), dtype=np.bool_)}
        for node in graph.node:
            self._add(node)

    def _num_inputs(self, graph: onnx.GraphProto) -> int:
        """Return the channels of the input, as the first convolution reads them."""
        readers = [node for node in graph.node if node.op_type == "Conv"]
        return int(self.constants[readers[0].input[1]].shape[1]) if readers else 1

    def _add(self, node: onnx.NodeProto) -> None:
        (name,) = node.output
        if node.op_type in LAYOUT:
            self._names[name] = self.name(node.input[0])
        elif node.op_type == "Cast" and node.input[0] in self.constants:
            # torch folds casts of small constants only
            self.constants[name] = self.constants[node.input[0]].astype(np.float32)
        else:
            operator = self._operator(node)
            self.producers[name] = node
            self.num_channels[name] = operator.num_channels(self, node)
            self.supports[name] = operator.support(self, node)

    def _operator(self, node: onnx.NodeProto) -> Operator:
        return OPERATORS[node.op_type] if node.op_type in OPERATORS else refuse(node, "no rule")

    def name(self, name: str) -> str:
        """Return the tensor that a name stands for: a change of layout names its input again."""
        return self._names.get(name, name)

    def tensors(self, node: onnx.NodeProto) -> list[str]:
        """Return the inputs of a node that are not constants."""
        return [self.name(name) for name in node.input if name and name not in self.constants]

    def side_px(self, name: str) -> int:
        """Return the side of a tensor's images."""
        return len(self.supports[name])

    def is_zero(self, name: str, pixels: Interval) -> bool:
        """Tell whether these pixels are zero, whatever the weights and the input are."""
        return not self.supports[name][slice(*pixels), slice(*pixels)].any()

    def mask(self, node: onnx.NodeProto) -> NDArray[np.float32] | None:
        """Return the constant image (side, side) among the inputs of a node, if there is one."""
        side_px = self.side_px(self.tensors(node)[0])
        for name in node.input:
            if name in self.constants and self.constants[name].size == side_px**2:
                return self.constants[name].reshape(side_px, side_px)
        return None

    def first_channel(self, node: onnx.NodeProto) -> int:
        """Return the first channel that a Slice keeps; a bare network slices nothing else."""
        start, _, axes, *step = (self.constants[name].tolist() for name in node.input[1:])
        if axes != [1] or step not in ([], [[1]]):
            refuse(node, f"axes {axes} and step {step}")
        return int(start[0])

    def pad_px(self, node: onnx.NodeProto) -> int:
        """Return the number of zeros that a Pad puts on each side of an image."""
        widths = self.constants[node.input[1]].reshape(2, 4)
        if widths[:, :2].any() or np.ptp(widths[:, 2:]):
            refuse(node, f"widths {widths.tolist()}")
        return int(widths[0, 2])

    def convolution_input(self, node: onnx.NodeProto) -> ConvolutionInput:
        """Return what a convolution reads, without the slices and the upsampling between."""
        name, first_channel, is_upsampled = self.name(node.input[0]), 0, False
        while (producer := self.producers.get(name)) is not None:
            if producer.op_type == "Slice":
                first_channel += self.first_channel(producer)
            elif producer.op_type == "Resize" and not is_upsampled:
                is_upsampled = True
            else:
                break
            name = self.name(producer.input[0])
        return ConvolutionInput(name, first_channel, is_upsampled)

    def receptive_field(self, wanted: Region) -> dict[str, Region]:
        """Return the region of each tensor that a region of the outputs depends on.

        Tensors that it does not depend on are left out.
        """
        needs = {self.name(output): wanted for output in self.outputs}
        for name, node in reversed(self.producers.items()):
            if name in needs and not self.is_zero(name, needs[name].pixels):
                for each, region in self.inputs(node, needs[name]):
                    needs[each] = region.hull(needs.get(each))
        return needs

    def inputs(self, node: onnx.NodeProto, region: Region) -> Iterator[tuple[str, Region]]:
        """Yield the tensors that a region of a node's output depends on, and their regions.

        A convolution reads what is in front of its slices and its upsampling.
        """
        return self._operator(node).inputs(self, node, region)


def _hull(one: Interval, other: Interval) -> Interval:
    return min(one[0], other[0]), max(one[1], other[1])


def refuse(node: onnx.NodeProto, what: str) -> NoReturn:
    """Raise for an operator, or a use of it, whose receptive field is not known here.

    Raises
    ------
    RuntimeError
        Always; names the operator.
    """
    raise RuntimeError(
        f"The exported network has {node.op_type} with {what}, so its receptive field is not known; "
        "add a rule to `ptychonyx.export.graph.receptive_field.OPERATORS`."
    )


Inputs = Iterator[tuple[str, Region]]


def _convolution_inputs(graph: BareGraph, node: onnx.NodeProto, region: Region) -> Inputs:
    start, stop = region.pixels
    name, first, is_upsampled = graph.convolution_input(node)
    pixels = (max(start - 1, 0), min(stop + 1, graph.side_px(node.output[0])))
    num_in = graph.constants[node.input[1]].shape[1]
    yield name, Region((first, first + num_in), _halved(pixels) if is_upsampled else pixels)


def _halved(pixels: Interval) -> Interval:
    """Return the pixels before a 2× upsampling that these come from.

    Examples
    --------
    >>> _halved((3, 7))
    (1, 4)
    """
    return pixels[0] // 2, -(-pixels[1] // 2)


def _pool_inputs(graph: BareGraph, node: onnx.NodeProto, region: Region) -> Inputs:
    start, stop = region.pixels
    yield graph.tensors(node)[0], Region(region.channels, (2 * start, 2 * stop))


def _upsampling_inputs(graph: BareGraph, node: onnx.NodeProto, region: Region) -> Inputs:
    yield graph.tensors(node)[0], Region(region.channels, _halved(region.pixels))


def _pad_inputs(graph: BareGraph, node: onnx.NodeProto, region: Region) -> Inputs:
    (name,), pad_px = graph.tensors(node), graph.pad_px(node)
    start, stop = region.pixels
    pixels = (max(start - pad_px, 0), min(stop - pad_px, graph.side_px(name)))
    yield name, Region(region.channels, pixels)


def _concatenation_inputs(graph: BareGraph, node: onnx.NodeProto, region: Region) -> Inputs:
    first = 0
    for name in graph.tensors(node):
        last = first + graph.num_channels[name]
        start, stop = max(region.channels[0], first), min(region.channels[1], last)
        if start < stop:
            yield name, Region((start - first, stop - first), region.pixels)
        first = last


def _same_inputs(graph: BareGraph, node: onnx.NodeProto, region: Region) -> Inputs:
    for name in graph.tensors(node):
        if not graph.is_zero(name, region.pixels):
            yield name, region


def _no_inputs(graph: BareGraph, node: onnx.NodeProto, region: Region) -> Inputs:
    """Yield nothing for a Slice: the convolution behind it reads through it."""
    yield from ()


def _everywhere(graph: BareGraph, node: onnx.NodeProto) -> Support:
    return np.ones_like(graph.supports[graph.tensors(node)[0]])


def _as_the_input(graph: BareGraph, node: onnx.NodeProto) -> Support:
    return graph.supports[graph.tensors(node)[0]]


def _where_any(graph: BareGraph, node: onnx.NodeProto) -> Support:
    return np.logical_or.reduce([graph.supports[name] for name in graph.tensors(node)])


def _where_all(graph: BareGraph, node: onnx.NodeProto) -> Support:
    supports, mask = [graph.supports[name] for name in graph.tensors(node)], graph.mask(node)
    return np.logical_and.reduce(supports if mask is None else [*supports, mask != 0])


def _padded(graph: BareGraph, node: onnx.NodeProto) -> Support:
    return np.pad(graph.supports[graph.tensors(node)[0]], graph.pad_px(node))


def _half_as_large(graph: BareGraph, node: onnx.NodeProto) -> Support:
    return np.ones((graph.side_px(graph.tensors(node)[0]) // 2,) * 2, dtype=np.bool_)


def _twice_as_large(graph: BareGraph, node: onnx.NodeProto) -> Support:
    scales = graph.constants[node.input[-1]].tolist()
    if scales != [1, 1, 2, 2]:
        refuse(node, f"scales {scales}")
    return np.ones((2 * graph.side_px(graph.tensors(node)[0]),) * 2, dtype=np.bool_)


def _channels_of_the_input(graph: BareGraph, node: onnx.NodeProto) -> int:
    return graph.num_channels[graph.tensors(node)[0]]


def _channels_of_the_kernel(graph: BareGraph, node: onnx.NodeProto) -> int:
    return int(graph.constants[node.input[1]].shape[0])


def _channels_of_all_inputs(graph: BareGraph, node: onnx.NodeProto) -> int:
    return sum(graph.num_channels[name] for name in graph.tensors(node))


def _channels_of_the_slice(graph: BareGraph, node: onnx.NodeProto) -> int:
    stop = int(graph.constants[node.input[2]][0])
    return min(stop, _channels_of_the_input(graph, node)) - graph.first_channel(node)


@dataclass(frozen=True)
class Operator:
    """Rules for one ONNX operator.

    Attributes
    ----------
    inputs : callable
        Yields the tensors, and their regions, that a region of the output depends on.
    support : callable
        Returns where the output can differ from zero.
    num_channels : callable
        Returns the number of channels of the output.
    """

    inputs: Callable[[BareGraph, onnx.NodeProto, Region], Inputs]
    support: Callable[[BareGraph, onnx.NodeProto], Support]
    num_channels: Callable[[BareGraph, onnx.NodeProto], int] = _channels_of_the_input


OPERATORS = {
    "Add": Operator(_same_inputs, _where_any),
    "Concat": Operator(_concatenation_inputs, _everywhere, _channels_of_all_inputs),
    "Conv": Operator(_convolution_inputs, _everywhere, _channels_of_the_kernel),
    "Greater": Operator(_same_inputs, _everywhere),
    "MaxPool": Operator(_pool_inputs, _half_as_large),
    "Mul": Operator(_same_inputs, _where_all),
    "Pad": Operator(_pad_inputs, _padded),
    "Relu": Operator(_same_inputs, _as_the_input),
    "Resize": Operator(_upsampling_inputs, _twice_as_large),
    "Sigmoid": Operator(_same_inputs, _everywhere),
    "Slice": Operator(_no_inputs, _everywhere, _channels_of_the_slice),
    "Softplus": Operator(_same_inputs, _everywhere),
    "Tanh": Operator(_same_inputs, _as_the_input),
    "Where": Operator(_same_inputs, _everywhere),
}
"""Operator -> its rules; a convolution is 3×3 with zeros around, a pooling and an upsampling are 2×."""
