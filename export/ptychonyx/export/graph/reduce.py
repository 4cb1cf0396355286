"""The same network with fewer operations, whichever backend it comes from.

Three things are left out, none of which changes the result:

- pixels and channels outside of the receptive field of the central M×M;
- products with equal pixels: a 3×3 convolution after an upsampling reads every pixel four times.
  As in a polyphase filter, taps on equal pixels are added beforehand, and each of the four results
  of a pixel costs 2×2 products instead of 3×3;
- tensors that are zero in the central M×M, as the border of `ptychopinn`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from .receptive_field import BareGraph, Region, refuse

POLYPHASE_TAPS = np.array([[[1, 1, 0], [0, 0, 1]], [[1, 0, 0], [0, 1, 1]]], dtype=np.float64)
"""`[phase, neighbour, tap]` is 1 where that tap of a 3-tap kernel reads that neighbour, j or j + 1 of
the pixels before the upsampling. Phase 0 makes pixel 2j + 1 after it, phase 1 pixel 2j + 2."""


@dataclass(frozen=True)
class _Part:
    """A tensor of the new graph, and the region of the bare graph's tensor that it holds.

    If `is_polyphase`, its channels hold the four sub-images of a 2× upsampling, one after the other
    and not interleaved yet: elementwise nodes can be computed before that.
    """

    name: str
    region: Region
    is_polyphase: bool = False


def reduce_operations(
    graph: onnx.GraphProto, *, num_channels: int, window_px: int, patch_px: int
) -> onnx.GraphProto:
    """Return a graph that computes the central M×M of every output in fewer operations.

    Parameters
    ----------
    graph : GraphProto
        A bare network as `graph.canonical` leaves it: one input and outputs (batch, C, N, N).
    num_channels, window_px, patch_px : int
        C, N and M.

    Raises
    ------
    RuntimeError
        If the receptive field of an operator is not known.
    """
    bare = BareGraph(graph, window_px)
    start = (window_px - patch_px) // 2
    wanted = Region((0, num_channels), (start, start + patch_px))
    writer = _Writer(bare, bare.receptive_field(wanted))
    for output in bare.outputs:
        writer.write_output(output, wanted)
    return helper.make_graph(writer.nodes, "reduced", [], [], initializer=writer.constants)


class _Writer:
    """Writes the nodes of the new graph: each tensor once, when it is first asked for.

    Parameters
    ----------
    bare : BareGraph
        The bare network.
    needs : dict of str to Region
        Region of each of its tensors that the outputs depend on.
    """

    def __init__(self, bare: BareGraph, needs: dict[str, Region]) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._bare, self._needs = bare, needs
        self._written: dict[str, _Part] = {}
        self._cuts: dict[tuple[str, Region], _Part] = {}

    def write_output(self, output: str, wanted: Region) -> None:
        """Write the wanted region of an output under the output's own name."""
        name = self._exactly(self._bare.name(output), wanted).name
        for node in self.nodes:
            node.input[:] = [output if each == name else each for each in node.input]
            node.output[:] = [output if each == name else each for each in node.output]

    def _at_least(self, name: str) -> _Part:
        """Return a part that holds the region that is needed of a tensor."""
        if name not in self._written:
            node = self._bare.producers.get(name)
            if node is None:
                side_px, channels = self._bare.side_px(name), self._bare.num_channels[name]
                self._written[name] = _Part(name, Region((0, channels), (0, side_px)))
            else:
                write = WRITERS.get(node.op_type, _Writer._write_elementwise)
                self._written[name] = write(self, node)
        return self._written[name]

    def _exactly(self, name: str, region: Region) -> _Part:
        """Return a part that holds this region of a tensor and no more, interleaved."""
        part = self._at_least(name)
        if part.is_polyphase:
            interleaved = self._node("DepthToSpace", [part.name], blocksize=2, mode="DCR")
            part = self._written[name] = _Part(interleaved, part.region)
        if part.region == region:
            return part
        if (name, region) not in self._cuts:
            self._cuts[name, region] = self._cut(part, region)
        return self._cuts[name, region]

    def _cut(self, part: _Part, region: Region) -> _Part:
        held = part.region
        limits = [
            (axis, wanted[0] - whole[0], wanted[1] - whole[0])
            for axis, whole, wanted in (
                (1, held.channels, region.channels),
                (2, held.pixels, region.pixels),
                (3, held.pixels, region.pixels),
            )
            if whole != wanted
        ]
        axis, start, stop = (self._constant(row) for row in np.array(limits, dtype=np.int64).T)
        return _Part(self._node("Slice", [part.name, start, stop, axis]), region)

    def _input(self, node: onnx.NodeProto) -> tuple[_Part, Region]:
        """Return the only input of a node, cut to the region that is needed, and that region."""
        ((name, region),) = self._bare.inputs(node, self._needs[node.output[0]])
        return self._exactly(name, region), region

    def _write_convolution(self, node: onnx.NodeProto) -> _Part:
        need, side_px = self._needs[node.output[0]], self._bare.side_px(node.output[0])
        first, last = need.channels
        weight, *bias = (self._bare.constants[each][first:last] for each in node.input[1:] if each)
        if weight.shape[2:] != (3, 3):
            refuse(node, f"a kernel of {weight.shape[2:]}")
        part, region = self._input(node)
        # zeros around the image, only where the region touches its edge
        before, after = int(need.pixels[0] == 0), int(need.pixels[1] == side_px)
        pixels = need.pixels
        is_upsampled = self._bare.convolution_input(node).is_upsampled
        if is_upsampled:
            weight, bias = polyphase(weight), [np.tile(each, 4) for each in bias]
            start, stop = region.pixels
            pixels = (2 * (start - before) + 1, 2 * (stop + after) - 1)
        result = self._node(
            "Conv",
            [part.name, *map(self._constant, (weight, *bias))],
            kernel_shape=weight.shape[2:],
            pads=[before, before, after, after],
        )
        return _Part(result, Region(need.channels, pixels), is_polyphase=is_upsampled)

    def _write_pooling(self, node: onnx.NodeProto) -> _Part:
        part, _ = self._input(node)
        result = self._node("MaxPool", [part.name], kernel_shape=[2, 2], strides=[2, 2])
        return _Part(result, self._needs[node.output[0]])

    def _write_concatenation(self, node: onnx.NodeProto) -> _Part:
        need = self._needs[node.output[0]]
        parts = [self._exactly(*each).name for each in self._bare.inputs(node, need)]
        return _Part(self._node("Concat", parts, axis=1), need)

    def _write_upsampling(self, node: onnx.NodeProto) -> _Part:
        """Upsample for another reader than one convolution, as behind a skip connection."""
        part, region = self._input(node)
        scales = self._constant(np.array([1, 1, 2, 2], dtype=np.float32))
        result = self._node(
            "Resize",
            [part.name, "", scales],
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )
        start, stop = region.pixels
        return _Part(result, Region(region.channels, (2 * start, 2 * stop)))

    def _write_padding(self, node: onnx.NodeProto) -> _Part:
        need, pad_px = self._needs[node.output[0]], self._bare.pad_px(node)
        part, region = self._input(node)
        before = region.pixels[0] + pad_px - need.pixels[0]
        after = need.pixels[1] - region.pixels[1] - pad_px
        if not before and not after:
            return _Part(part.name, need)
        widths = np.array([0, 0, before, before, 0, 0, after, after], dtype=np.int64)
        return _Part(self._node("Pad", [part.name, self._constant(widths)]), need)

    def _write_elementwise(self, node: onnx.NodeProto) -> _Part:
        """Write a node whose inputs and output have the same pixels."""
        need = self._needs[node.output[0]]
        names = [name for name, _ in self._bare.inputs(node, need)]
        if not names:
            refuse(node, "a place that is not in front of a convolution")
        parts, mask = [self._at_least(name) for name in names], self._bare.mask(node)
        shapes = {(part.region, part.is_polyphase) for part in parts}
        if mask is not None or len(shapes) > 1:
            parts = [self._exactly(name, need) for name in names]
        if node.op_type == "Add" and len(parts) == 1:
            return parts[0]  # the other summands are zero here
        part_names = {name: part.name for name, part in zip(names, parts, strict=True)}
        inputs = []
        for name in node.input:
            array = self._bare.constants.get(name)
            if array is None:
                inputs.append(part_names[self._bare.name(name)])
            elif mask is not None and array.size == mask.size:
                inputs.append(self._constant(mask[slice(*need.pixels), slice(*need.pixels)]))
            else:
                inputs.append(self._constant(array))
        return dataclasses.replace(parts[0], name=self._node(node.op_type, inputs))

    def _node(self, op: str, inputs: list[str], **attributes: Any) -> str:
        name = f"reduced_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], **attributes))
        return name

    def _constant(self, array: NDArray[np.generic]) -> str:
        name = f"number_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name


WRITERS: dict[str, Callable[[_Writer, onnx.NodeProto], _Part]] = {
    "Concat": _Writer._write_concatenation,
    "Conv": _Writer._write_convolution,
    "MaxPool": _Writer._write_pooling,
    "Pad": _Writer._write_padding,
    "Resize": _Writer._write_upsampling,
}
"""Operator -> method that writes it; all others are elementwise."""


def polyphase(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn a 3×3 kernel after an upsampling into four 2×2 kernels before it.

    Without padding, an image of L×L pixels gives four results of L − 1 rows and columns. Interleaved,
    they are the 2L − 2 rows and columns that the 3×3 kernel gives for the upsampled image.

    Parameters
    ----------
    weight : float32 array, shape (out, in, 3, 3)

    Returns
    -------
    float32 array, shape (4 · out, in, 2, 2)
        The kernels of pixels (2j + 1, 2k + 1), (2j + 1, 2k + 2), (2j + 2, 2k + 1), (2j + 2, 2k + 2);
        taps are added in float64.

    Examples
    --------
    >>> kernels = polyphase(np.arange(9, dtype=np.float32).reshape(1, 1, 3, 3))
    >>> kernels[0, 0].tolist()
    [[8.0, 7.0], [13.0, 8.0]]
    """
    phases = [
        np.einsum("oiyx,ly,mx->oilm", weight.astype(np.float64), rows, columns)
        for rows in POLYPHASE_TAPS
        for columns in POLYPHASE_TAPS
    ]
    return np.concatenate(phases).astype(np.float32)
