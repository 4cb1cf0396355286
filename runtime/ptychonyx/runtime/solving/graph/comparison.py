"""The graph of one chunk of patterns: what `exit_waves.compare_batch` computes, for any provider.

Number of patterns and of modes are dynamic; the side of the windows, the noise and whether the probe's
part is wanted are not. In Fourier space images lie transposed, see `complex_nodes`; those that come in
are transposed first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ...model.graph.building import GraphBuilder
from ...noise import ROOT_TERMS
from ..options import Noise
from ..physics.exit_waves import LARGEST_POISSON_FACTOR, SMALLEST_AMPLITUDE, SMALLEST_RATE
from .complex_nodes import (
    Pair,
    from_interleaved,
    interleaved,
    scaled,
    squared,
    summed,
    summed_part,
    times,
    times_conjugate,
    transform,
    transform_back,
)

WINDOWS, SPECTRA, RAMPS, MEASURED, GOOD = "windows", "spectra", "ramps", "measured", "good"
BACKGROUND = "background"
OF_OBJECT, OF_PROBE, MISFITS = "of_object", "of_probe", "misfits"
Shapes = dict[str, tuple[int | str, ...]]
"""Name of an input or output -> its sides; a dynamic side has a name."""
PATTERNS, MODES = "patterns", "modes"
"""Dynamic sides, as `model.providers.DYNAMIC_SIDES` names them."""


def input_shapes(side: int) -> Shapes:
    """Return the inputs of the graph.

    Returns
    -------
    dict of name to shape
        Windows O_j and spectra of the probe, complex64 seen as float32; the two ramps of each pattern,
        down and across, that shift the probe by its fraction of a pixel; measured amplitudes with DC
        at [0, 0]; 0 where a pixel says nothing, else 1; and counts that no wave makes.
    """
    return {
        WINDOWS: (PATTERNS, side, side, 2),
        SPECTRA: (MODES, side, side, 2),
        RAMPS: (PATTERNS, 2, side, 2),
        MEASURED: (PATTERNS, side, side),
        GOOD: (PATTERNS, side, side),
        BACKGROUND: (PATTERNS, side, side),
    }


def output_shapes(side: int, *, with_probe: bool) -> Shapes:
    """Return the outputs of the graph.

    Returns
    -------
    dict of name to shape
        Σ_m P̄_jm δ_jm of each pattern; Σ_j Ō_j δ_jm with the shift of the probe undone, if it is
        wanted; Σ (A − a)² of each pattern.
    """
    of_probe: Shapes = {OF_PROBE: (MODES, side, side, 2)} if with_probe else {}
    return {OF_OBJECT: (PATTERNS, side, side, 2), **of_probe, MISFITS: (PATTERNS,)}


def comparison_graph(side: int, *, noise: Noise, with_probe: bool) -> bytes:
    """Return the graph as an ONNX file.

    Parameters
    ----------
    side : int
        N, side of the windows.
    noise : "amplitude", "unbiased" or "poisson"
        How a pixel's difference counts.
    with_probe : bool
        Whether the probe's part is computed, too.

    Examples
    --------
    >>> len(comparison_graph(16, noise="amplitude", with_probe=False)) < 20_000
    True
    """
    graph = GraphBuilder()
    windows = _on_mode_axis(graph, from_interleaved(graph, WINDOWS))
    ramp = _on_mode_axis(graph, _ramp(graph, side))
    spectra = _on_axis(graph, from_interleaved(graph, SPECTRA, to_transposed=True), 0)
    probes = transform_back(graph, times(graph, spectra, ramp), side)
    waves = transform(graph, times(graph, probes, windows), side)
    factor = _factor(graph, waves, noise)
    changes = transform_back(graph, scaled(graph, waves, factor), side)
    of_object = summed(graph, times_conjugate(graph, changes, probes), axis=1)
    interleaved(graph, of_object, axis=1, result=OF_OBJECT)
    if with_probe:
        seen = transform(graph, times_conjugate(graph, changes, windows), side)
        spectrum = summed(graph, times_conjugate(graph, seen, ramp), axis=0)
        of_probe = transform_back(graph, spectrum, side)
        interleaved(graph, of_probe, axis=0, result=OF_PROBE)
    return graph.to_bytes(input_shapes(side), output_shapes(side, with_probe=with_probe))


def _on_axis(graph: GraphBuilder, images: Pair, axis: int) -> Pair:
    """Add an axis of length 1."""
    place = graph.constant(np.array([axis]))
    return Pair(*(graph.add("Unsqueeze", part, place) for part in (images.real, images.imaginary)))


def _on_mode_axis(graph: GraphBuilder, images: Pair) -> Pair:
    """Turn images of patterns (k, N, N) into (k, 1, N, N), alike for all modes."""
    return _on_axis(graph, images, 1)


def _ramp(graph: GraphBuilder, side: int) -> Pair:
    """Add the ramp (k, N, N) of each pattern, transposed: the one across times the one down."""
    down, across = graph.split(RAMPS, [1, 1], axis=1)
    to_column = graph.constant(np.array([0, side, 1, 2]))
    column = from_interleaved(graph, graph.add("Reshape", across, to_column))
    return times(graph, column, from_interleaved(graph, down))


def _factor(graph: GraphBuilder, waves: Pair, noise: Noise) -> str:
    """Add a/A − 1, or its like for another noise, shape (k, 1, N, N), and the misfits."""
    measured, good, background = (
        graph.add("Transpose", name, settings={"perm": (0, 2, 1)})
        for name in (MEASURED, GOOD, BACKGROUND)
    )
    rate = summed_part(graph, squared(graph, waves), (1,), keeps=False)
    predicted = graph.add("Sqrt", graph.add("Add", rate, background))
    difference = graph.add("Mul", graph.add("Sub", measured, predicted), good)
    squares = graph.add("Mul", difference, difference)
    along = graph.constant(np.array([1, 2]))
    graph.add("ReduceSum", squares, along, settings={"keepdims": 0}, result=MISFITS)
    images = _Compared(difference, measured, predicted, good)
    factor = FACTORS[noise](graph, images)
    return graph.add("Unsqueeze", factor, graph.constant(np.array([1])))


@dataclass(frozen=True)
class _Compared:
    """Names of the images (k, N, N) that are compared, and of (a − A) times the good pixels."""

    difference: str
    measured: str
    predicted: str
    good: str


def _amplitude_factor(graph: GraphBuilder, images: _Compared) -> str:
    """Add (a − A)/(A + ε)."""
    return _over_amplitude(graph, images.difference, images)


def _unbiased_factor(graph: GraphBuilder, images: _Compared) -> str:
    """Add (a − ⟨√k⟩)/(A + ε); the mean root as `noise.mean_root` has it."""
    linear, square, more = ROOT_TERMS
    rate = graph.add("Mul", images.predicted, images.predicted)
    top = _polynomial(graph, rate, linear, square / 4)
    bottom = _polynomial(graph, rate, linear + more, square)
    root = graph.add("Sqrt", graph.add("Add", rate, graph.add("Div", top, bottom)))
    difference = graph.add("Sub", images.measured, graph.add("Div", rate, root))
    return _over_amplitude(graph, graph.add("Mul", difference, images.good), images)


def _polynomial(graph: GraphBuilder, rate: str, linear: float, square: float) -> str:
    """Add 1 + r (linear + r square)."""
    inner = graph.add("Mul", rate, _number(graph, square))
    inner = graph.add("Mul", rate, graph.add("Add", inner, _number(graph, linear)))
    return graph.add("Add", inner, _number(graph, 1))


def _over_amplitude(graph: GraphBuilder, difference: str, images: _Compared) -> str:
    safe = graph.add("Add", images.predicted, _number(graph, SMALLEST_AMPLITUDE))
    return graph.add("Div", difference, safe)


def _poisson_factor(graph: GraphBuilder, images: _Compared) -> str:
    """Add ½ (k − I)/(I + b), bounded."""
    sums = graph.add("Add", images.measured, images.predicted)
    counts = graph.add("Mul", images.difference, sums)
    rate = graph.add("Mul", images.predicted, images.predicted)
    twice = graph.add(
        "Mul", graph.add("Add", rate, _number(graph, SMALLEST_RATE)), _number(graph, 2)
    )
    return graph.add("Min", graph.add("Div", counts, twice), _number(graph, LARGEST_POISSON_FACTOR))


FACTORS: Mapping[Noise, Callable[[GraphBuilder, _Compared], str]] = {
    "amplitude": _amplitude_factor,
    "unbiased": _unbiased_factor,
    "poisson": _poisson_factor,
}


def _number(graph: GraphBuilder, value: float) -> str:
    return graph.constant(np.array([value], np.float32))
