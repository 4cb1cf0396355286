"""From the input of a model file to the input that a foreign network was trained on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

QUANTITIES = ("amplitude", "intensity", "log")
SCALINGS = ("none", "scan", "maximum", "divide", "standardise")
NUMBERS_OF = {"divide": 1, "standardise": 2}
"""Scaling -> how many numbers it takes."""
LEAST_MAXIMUM = 1e-20
"""Added to a maximum before it divides: a pattern without light stays zero."""


@dataclass(frozen=True)
class InputRule:
    """Say what a foreign network was trained on.

    The steps, in order: counts below `threshold` become 0; with scaling `scan` the amplitude is
    multiplied by the scan's input scale; the quantity is taken; blocks of pixels are averaged; for
    `log` ln(1 + counts) is taken; the other scalings follow.

    Attributes
    ----------
    quantity : "amplitude", "intensity" or "log"
        sqrt(counts), counts, or ln(1 + counts).
    scaling : str
        "none", "scan", "maximum" (each pattern by its own), "divide:D" or "standardise:MEAN,STD".
    block_px : int
        Side of the blocks of the patterns that are averaged to one pixel of the network's input.
    threshold : float
        In counts.

    Raises
    ------
    ValueError
        If a field is not one of those.

    Examples
    --------
    >>> InputRule("intensity", "divide:5").numbers
    (5.0,)
    """

    quantity: str
    scaling: str
    block_px: int = 1
    threshold: float = 0.0

    def __post_init__(self) -> None:
        if self.quantity not in QUANTITIES:
            raise ValueError(f"`input` is {self.quantity!r}; give one of {', '.join(QUANTITIES)}.")
        wrong = ValueError(
            f"`scaling` is {self.scaling!r}; give none, scan, maximum, divide:D or "
            "standardise:MEAN,STD with finite numbers, D and STD positive."
        )
        try:
            numbers = self.numbers
        except ValueError:
            raise wrong from None
        if self.kind not in SCALINGS or len(numbers) != NUMBERS_OF.get(self.kind, 0):
            raise wrong
        if not all(map(math.isfinite, numbers)) or (numbers and not numbers[-1] > 0):
            raise wrong
        if not 0 <= self.threshold < math.inf:
            raise ValueError(f"`threshold` is {self.threshold}; give counts of 0 or more.")

    @property
    def kind(self) -> str:
        """The scaling without its numbers."""
        return self.scaling.partition(":")[0]

    @property
    def numbers(self) -> tuple[float, ...]:
        """The numbers of the scaling."""
        _, colon, numbers = self.scaling.partition(":")
        return tuple(map(float, numbers.split(","))) if colon else ()

    def describe(self) -> str:
        """Return the rule in words, for the manifest."""
        blocks = f", mean of {self.block_px}×{self.block_px} pixels" if self.block_px > 1 else ""
        below = f", 0 below {self.threshold:g} counts" if self.threshold else ""
        return f"{self.quantity}{below}{blocks}, scaling {self.scaling}"


class NodeWriter:
    """Collects the nodes and constants of a head or a tail."""

    def __init__(self, prefix: str) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._prefix = prefix

    def add(self, operator: str, *inputs: str, output: str = "", **settings: Any) -> str:
        """Add an operator; return the name of its result."""
        name = output or f"{self._prefix}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, [*inputs], [name], name=name, **settings))
        return name

    def number(self, value: float) -> str:
        """Return the name of a constant."""
        return self.array(np.array(value, dtype=np.float32))

    def array(self, array: NDArray[np.generic]) -> str:
        """Return the name of a constant array."""
        name = f"{self._prefix}_constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return name


def head_of(rule: InputRule, names: tuple[str, str, str], side_px: int) -> NodeWriter:
    """Return the nodes from amplitude and scale to the features of a network.

    Parameters
    ----------
    rule : InputRule
    names : (str, str, str)
        Names of amplitude, scale and features.
    side_px : int
        Side of the network's input.
    """
    amplitude, scale, features = names
    head = NodeWriter("head")
    value = amplitude
    if rule.threshold:
        is_kept = head.add("Greater", value, head.number(_below(rule.threshold)))
        value = head.add("Where", is_kept, value, head.number(0.0))
    if rule.kind == "scan":
        value = head.add("Mul", value, scale)
    if rule.quantity != "amplitude":
        value = head.add("Mul", value, value)
    if rule.block_px > 1:
        block = [rule.block_px] * 2
        value = head.add("AveragePool", value, kernel_shape=block, strides=block)
    if rule.quantity == "log":
        value = head.add("Log", head.add("Add", value, head.number(1.0)))
    if rule.kind == "maximum":
        highest = head.add("MaxPool", value, kernel_shape=[side_px] * 2, strides=[1, 1])
        value = head.add("Div", value, head.add("Add", highest, head.number(LEAST_MAXIMUM)))
    if rule.kind == "standardise":
        value = head.add("Sub", value, head.number(rule.numbers[0]))
    divisor = rule.numbers[-1] if rule.numbers else 1.0
    head.add("Div", value, head.number(divisor), output=features)
    return head


def _below(threshold: float) -> float:
    """Return the largest amplitude in float32 whose counts lie below a threshold."""
    return float(np.nextafter(np.float32(np.sqrt(threshold)), np.float32(-1)))


def features_of(
    rule: InputRule, amplitude: NDArray[np.float32], scale: float
) -> NDArray[np.float32]:
    """Compute in NumPy what the head computes: the other side of the proof.

    Parameters
    ----------
    rule : InputRule
    amplitude : float32 array, shape (B, 1, N, N)
    scale : float

    Returns
    -------
    float32 array, shape (B, 1, n, n)

    Examples
    --------
    >>> features_of(InputRule("intensity", "maximum"), np.full((1, 1, 2, 2), 3, np.float32), 1.0).max()
    np.float32(1.0)
    """
    value = amplitude.astype(np.float64)
    value = np.where(amplitude > np.float32(_below(rule.threshold)), value, 0.0)
    value = value * (scale if rule.kind == "scan" else 1.0)
    value = value if rule.quantity == "amplitude" else value**2
    batch, channels, side_px, _ = value.shape
    small, block = side_px // rule.block_px, rule.block_px
    value = value.reshape(batch, channels, small, block, small, block).mean(axis=(3, 5))
    value = np.log1p(value) if rule.quantity == "log" else value
    if rule.kind == "maximum":
        value = value / (value.max(axis=(2, 3), keepdims=True) + LEAST_MAXIMUM)
    if rule.kind == "standardise":
        value = value - rule.numbers[0]
    return (value / (rule.numbers[-1] if rule.numbers else 1.0)).astype(np.float32)
