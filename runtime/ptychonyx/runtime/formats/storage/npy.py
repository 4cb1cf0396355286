"""The .npy format: a header, then one array; nothing is ever unpickled."""

from __future__ import annotations

import tokenize
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ScanError
from .arrays import Header, check_size
from .damage import damaged

HEADER_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
LITERAL_ERRORS = (
    *(TypeError, SyntaxError, MemoryError, RecursionError),  # what ast.literal_eval says it raises
    tokenize.TokenError,
)
"""What NumPy lets through on a damaged header, which it reads as a Python literal."""


def read_npy_header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Read shape and dtype of an array in the .npy format.

    Raises
    ------
    ValueError
        If it is none.
    """
    version = np.lib.format.read_magic(stream)
    if version not in HEADER_READERS:
        raise ValueError(f"its header has version {version}")
    try:
        shape, _, dtype = HEADER_READERS[version](stream)
    except LITERAL_ERRORS as error:
        raise ValueError(f"its header is damaged: {error}") from None
    if any(side < 0 for side in shape):
        raise ValueError(f"its shape is {shape}")
    return shape, dtype


def check_plain(header: Header) -> None:
    """Refuse an array of Python objects, which only unpickling could read."""
    if header.dtype.hasobject:
        raise ScanError(
            f"{header} has dtype {header.dtype}, which only unpickling could read, and that can "
            "run any code; real numbers are needed: save a plain numeric array."
        )


class Npy:
    """A .npy file, as a file of one array."""

    names = ("array",)

    def __init__(self, path: Path) -> None:
        self.path = path

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def header(self, name: str) -> Header:
        """Return shape and dtype of the array without reading it."""
        with self._damage_explained(), self.path.open("rb") as stream:
            shape, dtype = read_npy_header(stream)
        header = Header(name, self.path, shape, dtype, self.path.stat().st_size)
        check_plain(header)
        return header

    def read(self, name: str, part: int | None = None) -> NDArray[Any]:
        """Read the array, or one part along its first axis."""
        check_size(self.header(name))
        with self._damage_explained():
            array: NDArray[Any] = np.lib.format.open_memmap(self.path, mode="r")
        return np.array(array if part is None else array[part])

    @contextmanager
    def _damage_explained(self) -> Iterator[None]:
        try:
            yield
        except (ValueError, EOFError, OSError) as error:
            raise damaged(str(self.path), self.path, "NPY", error) from None
