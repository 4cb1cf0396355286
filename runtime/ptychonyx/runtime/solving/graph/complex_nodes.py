r"""Complex images in a graph of real numbers, and their Fourier transforms as matrix products.

ONNX has a Fourier transform, but not every provider computes it; every provider computes matrix
products. With W[n, k] = exp(−2πi·nk/N)/√N, which is symmetric, the orthonormal transform of an image X
is W·X·W. So rows are transformed by the product X·W, the result is transposed, and the product with W
transforms what were the columns. That leaves Fᵀ: in Fourier space all images of a graph lie
transposed, and a transform back turns them again.

The real and imaginary part of a row lie behind each other, as 2N numbers; then X·W is one product of
real matrices, with [[Re W, Im W], [−Im W, Re W]].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...model.graph.building import GraphBuilder


@dataclass(frozen=True)
class Pair:
    """The names of the real and of the imaginary part of a complex tensor."""

    real: str
    imaginary: str


def transform(graph: GraphBuilder, images: Pair, side: int) -> Pair:
    """Add the orthonormal Fourier transform of images (…, modes, N, N), which comes out transposed."""
    return _transform(graph, images, fourier_matrix(side))


def transform_back(graph: GraphBuilder, images: Pair, side: int) -> Pair:
    """Add the inverse transform of images that lie transposed; it comes out upright."""
    return _transform(graph, images, fourier_matrix(side, back=True))


def fourier_matrix(side: int, *, back: bool = False) -> NDArray[np.float32]:
    """Return what multiplies rows of N real and N imaginary parts, shape (2N, 2N).

    Examples
    --------
    >>> row = np.array([1, 2, 3, 4, 0, 0, 0, 1], np.float32)  # 1, 2, 3, 4 + 1j
    >>> found = row @ fourier_matrix(4)
    >>> expected = np.fft.fft([1, 2, 3, 4 + 1j], norm="ortho")
    >>> bool(np.allclose(found[:4] + 1j * found[4:], expected))
    True
    """
    numbers = np.arange(side)
    turns = np.outer(numbers, numbers) % side / side  # so that the angle keeps all its digits
    wave = np.exp((2j if back else -2j) * np.pi * turns) / np.sqrt(side)
    return np.block([[wave.real, wave.imag], [-wave.imag, wave.real]]).astype(np.float32)


def _transform(graph: GraphBuilder, images: Pair, matrix: NDArray[np.float32]) -> Pair:
    """Add the products of rows, of columns, and the transposition between them."""
    side = len(matrix) // 2
    name = graph.constant(matrix)
    parted = graph.constant(np.array([0, 0, side, 2, side]))
    together = graph.constant(np.array([0, 0, side, 2 * side]))
    rows = graph.add("Concat", images.real, images.imaginary, settings={"axis": 3})
    rows = graph.add("Reshape", graph.add("MatMul", rows, name), parted)
    columns = graph.add("Transpose", rows, settings={"perm": (0, 1, 4, 3, 2)})
    product = graph.add("MatMul", graph.add("Reshape", columns, together), name)
    return Pair(*graph.split(product, [side, side], axis=3))


def times(graph: GraphBuilder, first: Pair, second: Pair) -> Pair:
    """Add the product of two complex tensors."""
    real = _of_products(
        graph, "Sub", (first.real, second.real), (first.imaginary, second.imaginary)
    )
    imaginary = _of_products(
        graph, "Add", (first.real, second.imaginary), (first.imaginary, second.real)
    )
    return Pair(real, imaginary)


def times_conjugate(graph: GraphBuilder, first: Pair, second: Pair) -> Pair:
    """Add the product of a complex tensor with the conjugate of another."""
    real = _of_products(
        graph, "Add", (first.real, second.real), (first.imaginary, second.imaginary)
    )
    imaginary = _of_products(
        graph, "Sub", (first.imaginary, second.real), (first.real, second.imaginary)
    )
    return Pair(real, imaginary)


def scaled(graph: GraphBuilder, images: Pair, factor: str) -> Pair:
    """Add the product of a complex tensor with a real one."""
    return Pair(*(graph.add("Mul", part, factor) for part in (images.real, images.imaginary)))


def squared(graph: GraphBuilder, images: Pair) -> str:
    """Add |z|² of a complex tensor."""
    parts = (images.real, images.imaginary)
    return _of_products(graph, "Add", *((part, part) for part in parts))


def summed(graph: GraphBuilder, images: Pair, *, axis: int) -> Pair:
    """Add the sum of a complex tensor along an axis, whose length becomes 1."""
    parts = (images.real, images.imaginary)
    return Pair(*(summed_part(graph, part, (axis,), keeps=True) for part in parts))


def summed_part(graph: GraphBuilder, part: str, axes: tuple[int, ...], *, keeps: bool) -> str:
    """Add the sum of a real tensor along axes, which stay with length 1 or go."""
    along = graph.constant(np.array(axes))
    return graph.add("ReduceSum", part, along, settings={"keepdims": int(keeps)})


def from_interleaved(graph: GraphBuilder, name: str, *, to_transposed: bool = False) -> Pair:
    """Take complex64 images, seen as float32 (k, N, N, 2), apart; they may be transposed by it.

    The parts have the shape (k, N, N).
    """
    if to_transposed:
        name = graph.add("Transpose", name, settings={"perm": (0, 2, 1, 3)})
    parts = graph.split(name, [1, 1], axis=3)
    last = graph.constant(np.array([3]))
    return Pair(*(graph.add("Squeeze", part, last) for part in parts))


def interleaved(graph: GraphBuilder, images: Pair, *, axis: int, result: str) -> str:
    """Put images of the shape (…, N, N), whose length is 1 along an axis, together as (k, N, N, 2)."""
    without, last = graph.constant(np.array([axis])), graph.constant(np.array([3]))
    parts = [
        graph.add("Unsqueeze", graph.add("Squeeze", part, without), last)
        for part in (images.real, images.imaginary)
    ]
    return graph.add("Concat", *parts, settings={"axis": 3}, result=result)


def _of_products(
    graph: GraphBuilder, operator: str, first: tuple[str, str], second: tuple[str, str]
) -> str:
    return graph.add(operator, graph.add("Mul", *first), graph.add("Mul", *second))
