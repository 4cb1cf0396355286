"""Arrays that a file may hold where another one is expected: of any kind, shape and value."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

DTYPES = (
    *("?", "u1", "i1", "u2", "i4", "u4", "i8", "u8", ">i4", ">f8", "<f2", "<f4", "<f8"),
    *("c8", "c16", ">c8", "S3", "V4"),
)
SIDES = (0, 1, 2, 3, 4, 7, 8, 16)
NUMBERS = (
    *(0, 1, -1, 2, 0.5, 1e-9, 8000.0, 2**31, 2**53 + 1, -(2**63), 2**64 - 1, 1e300, 5e-324),
    *(np.nan, np.inf, -np.inf),
)


def draw_array(rng: np.random.Generator, shape: tuple[int, ...] | None = None) -> NDArray[Any]:
    """Return an array of any dtype; of any shape up to four axes, if none is given."""
    if shape is None:
        shape = tuple(int(side) for side in rng.choice(SIDES, rng.integers(0, 5)))
    dtype = np.dtype(str(rng.choice(DTYPES)))
    with np.errstate(all="ignore"):
        if dtype.kind in "SV":
            return np.zeros(shape, dtype)
        scale = 10.0 ** rng.integers(-9, 6)
        values = np.asarray(rng.normal(size=shape) * scale)
        if rng.random() < 0.3 and values.size:
            values.flat[rng.integers(values.size)] = float(NUMBERS[rng.integers(len(NUMBERS))])
        return values.astype(dtype)


def vary_array(rng: np.random.Generator, array: NDArray[Any]) -> NDArray[Any]:
    """Return an array that is nearly the given one: another shape, dtype, or value."""
    change = int(rng.integers(8))
    if change == 0:
        return draw_array(rng)
    if change == 1:
        return draw_array(rng, array.shape)
    if change == 2 and array.ndim:
        return array[: max(0, len(array) - 1)]
    if change == 3:
        return array[None]
    if change == 4 and array.ndim:
        return array[..., None] if rng.random() < 0.5 else array.T
    if change == 5 and array.ndim:
        return np.concatenate([array, array[:1]])
    if change == 6 and array.dtype.kind in "fc" and array.size:
        changed = np.array(array)
        with np.errstate(all="ignore"):
            changed.flat[rng.integers(array.size)] = NUMBERS[rng.integers(len(NUMBERS))]
        return changed
    with np.errstate(all="ignore"):
        number = NUMBERS[rng.integers(len(NUMBERS))]
        return np.asarray(number) if rng.random() < 0.5 else np.full(array.shape, float(number))
