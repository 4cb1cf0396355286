"""The same network with fewer operations, whichever backend it comes from.

Three things are left out, none of which changes the result:

- pixels and channels that do not reach the central M×M;
- products with equal pixels: a 3×3 convolution after an upsampling reads every pixel four times.
  As in a polyphase filter, taps on equal pixels are added beforehand, and each of the four results
  of a pixel costs 2×2 products instead of 3×3;
- what is zero in the central M×M, as the border of `ptychopinn`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from .receptive_field import Region, Source, refuse

LATER_TAPS = np.array([[[1, 1, 0], [0, 0, 1]], [[1, 0, 0], [0, 1, 1]]], dtype=np.float64)
"""Of two neighbours j and j + 1 before upsampling, who is under each of the three taps that make
pixel 2j + 1 (first) and pixel 2j + 2 (second) after it."""


@dataclass(frozen=True)
class _Held:
    """A tensor of the new graph, and which part of the old one it holds.

    Interleaving is put off: of `is_phases`, the channels hold the four images of every other pixel.
    """

    name: str
    region: Region
    is_phases: bool = False


def reduce_operations(
    graph: onnx.GraphProto, *, num_channels: int, window_px: int, patch_px: int
) -> onnx.GraphProto:
    """Return a graph with the central M×M of every output, for fewer operations.

    Parameters
    ----------
    graph : GraphProto
        A bare network as `graph.canonical` leaves it: one input and outputs (batch, C, N, N).
    num_channels, window_px, patch_px : int
        C, N and M.

    Raises
    ------
    RuntimeError
        If an operator is not among those whose reach is known here.
    """
    source = Source(graph, window_px)
    start = (window_px - patch_px) // 2
    wanted = Region((0, num_channels), (start, start + patch_px))
    writer = _Writer(source, source.needs(wanted))
    for output in source.outputs:
        writer.finish(output, wanted)
    return helper.make_graph(writer.nodes, "reduced", [], [], initializer=writer.constants)


class _Writer:
    """Writes the nodes of the new graph; each tensor once, from the outputs back."""

    def __init__(self, source: Source, needs: dict[str, Region]) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._source, self._needs = source, needs
        self._done: dict[str, _Held] = {}
        self._parts: dict[tuple[str, Region], _Held] = {}

    def finish(self, output: str, wanted: Region) -> None:
        """Write an output under its own name."""
        name = self._part(self._source.name(output), wanted).name
        for node in self.nodes:
            node.input[:] = [output if each == name else each for each in node.input]
            node.output[:] = [output if each == name else each for each in node.output]

    def _hold(self, name: str) -> _Held:
        """Return what is needed of a tensor, written on the first call."""
        if name not in self._done:
            node = self._source.producers.get(name)
            if node is None:
                side_px, channels = self._source.side_px(name), self._source.num_channels[name]
                self._done[name] = _Held(name, Region((0, channels), (0, side_px)))
            else:
                write = {
                    "Concat": self._concatenate,
                    "Conv": self._convolve,
                    "MaxPool": self._pool,
                    "Pad": self._pad,
                    "Resize": self._upsample,
                }
                self._done[name] = write.get(node.op_type, self._apply)(node)
        return self._done[name]

    def _part(self, name: str, region: Region) -> _Held:
        """Return exactly this part of a tensor, as an image."""
        held = self._hold(name)
        if held.is_phases:
            interleaved = self._node("DepthToSpace", [held.name], blocksize=2, mode="DCR")
            held = self._done[name] = _Held(interleaved, held.region)
        if held.region == region:
            return held
        if (name, region) not in self._parts:
            limits = [
                (axis, part[0] - whole[0], part[1] - whole[0])
                for axis, whole, part in (
                    (1, held.region.channels, region.channels),
                    (2, held.region.pixels, region.pixels),
                    (3, held.region.pixels, region.pixels),
                )
                if whole != part
            ]
            numbers = np.array(limits, dtype=np.int64).T
            axis, start, stop = (self._constant(row) for row in numbers)
            cut = self._node("Slice", [held.name, start, stop, axis])
            self._parts[name, region] = _Held(cut, region)
        return self._parts[name, region]

    def _convolve(self, node: onnx.NodeProto) -> _Held:
        need, side_px = self._needs[node.output[0]], self._source.side_px(node.output[0])
        _, _, is_doubled = self._source.read_by(node)
        ((name, reach),) = self._source.reach(node, need)
        first, last = need.channels
        weight, *bias = (
            self._source.constants[each][first:last] for each in node.input[1:] if each
        )
        if weight.shape[2:] != (3, 3):
            refuse(node, f"a kernel of {weight.shape[2:]}")
        before, after = int(need.pixels[0] == 0), int(need.pixels[1] == side_px)
        pixels = need.pixels
        if is_doubled:
            weight, bias = polyphase(weight), [np.tile(each, 4) for each in bias]
            start, stop = reach.pixels
            pixels = (2 * (start - before) + 1, 2 * (stop + after) - 1)
        result = self._node(
            "Conv",
            [self._part(name, reach).name, *map(self._constant, (weight, *bias))],
            kernel_shape=weight.shape[2:],
            pads=[before, before, after, after],
        )
        return _Held(result, Region(need.channels, pixels), is_phases=is_doubled)

    def _pool(self, node: onnx.NodeProto) -> _Held:
        need = self._needs[node.output[0]]
        ((name, reach),) = self._source.reach(node, need)
        part = self._part(name, reach).name
        return _Held(self._node("MaxPool", [part], kernel_shape=[2, 2], strides=[2, 2]), need)

    def _concatenate(self, node: onnx.NodeProto) -> _Held:
        need = self._needs[node.output[0]]
        parts = [self._part(*each).name for each in self._source.reach(node, need)]
        return _Held(self._node("Concat", parts, axis=1), need)

    def _upsample(self, node: onnx.NodeProto) -> _Held:
        """Upsample what something else than one convolution reads, as behind a skip connection."""
        need = self._needs[node.output[0]]
        ((name, reach),) = self._source.reach(node, need)
        scales = self._constant(np.array([1, 1, 2, 2], dtype=np.float32))
        result = self._node(
            "Resize",
            [self._part(name, reach).name, "", scales],
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )
        start, stop = reach.pixels
        return _Held(result, Region(need.channels, (2 * start, 2 * stop)))

    def _pad(self, node: onnx.NodeProto) -> _Held:
        need, pad_px = self._needs[node.output[0]], self._source.pad_px(node)
        ((name, reach),) = self._source.reach(node, need)
        part = self._part(name, reach)
        before = reach.pixels[0] + pad_px - need.pixels[0]
        after = need.pixels[1] - reach.pixels[1] - pad_px
        if not before and not after:
            return _Held(part.name, need)
        widths = np.array([0, 0, before, before, 0, 0, after, after], dtype=np.int64)
        return _Held(self._node("Pad", [part.name, self._constant(widths)]), need)

    def _apply(self, node: onnx.NodeProto) -> _Held:
        need = self._needs[node.output[0]]
        names = [name for name, _ in self._source.reach(node, need)]
        if not names:
            refuse(node, "a place that is not in front of a convolution")
        held = [self._hold(name) for name in names]
        mask = self._source.mask(node)
        alike = all(
            (each.region, each.is_phases) == (held[0].region, held[0].is_phases) for each in held
        )
        if mask is not None or not alike:
            held = [self._part(name, need) for name in names]
        if node.op_type == "Add" and len(held) == 1:
            return held[0]
        results = dict(zip(names, held, strict=True))
        inputs = []
        for name in node.input:
            array = self._source.constants.get(name)
            if array is None:
                inputs.append(results[self._source.name(name)].name)
            elif mask is not None and array.size == mask.size:
                inputs.append(self._constant(mask[slice(*need.pixels), slice(*need.pixels)]))
            else:
                inputs.append(self._constant(array))
        result = self._node(node.op_type, inputs)
        return _Held(result, held[0].region, held[0].is_phases)

    def _node(self, op: str, inputs: list[str], **attributes: Any) -> str:
        name = f"reduced_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], **attributes))
        return name

    def _constant(self, array: NDArray[np.generic]) -> str:
        name = f"number_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name


def polyphase(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn a 3×3 kernel after an upsampling into four 2×2 kernels before it.

    Of an image of L×L pixels, without padding, the four results interleave to the 2L − 2 rows and
    columns that upsampling and the 3×3 kernel give.

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
        for rows in LATER_TAPS
        for columns in LATER_TAPS
    ]
    return np.concatenate(phases).astype(np.float32)
