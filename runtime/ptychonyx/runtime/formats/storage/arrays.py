"""Arrays of a file: what their headers promise is checked before memory is taken for them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ...errors import ScanError
from ...memory import as_gigabytes, largest_bytes, machine_bytes
from .positive import positive_or_unknown

REALS = "buif"
WHOLE = "bui"
NUMBERS = "buifc"
MAX_POSITIONS = 10_000_000
LARGEST_PACKED = 500
"""Nothing measured packs better; zeros pack 1000 to 1, so a small file can ask for much memory."""
ALWAYS_BYTES = 2**26
"""Arrays up to this size may pack as well as they do."""


@dataclass(frozen=True)
class Header:
    """What a file says about an array before it is read.

    Attributes
    ----------
    name : str
    path : Path
        The file.
    shape : tuple of int
    dtype : numpy dtype
    stored_bytes : int or None
        What it takes in the file; None if that cannot be told.
    """

    name: str
    path: Path
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    stored_bytes: int | None = None

    @property
    def num_bytes(self) -> int:
        """What the array takes in memory."""
        return math.prod(self.shape) * self.dtype.itemsize

    def __str__(self) -> str:
        return f"`{self.name}` of {self.path}"


class ArrayFile(Protocol):
    """A file of named arrays, whatever its format."""

    @property
    def path(self) -> Path:
        """Return where it is."""

    @property
    def names(self) -> tuple[str, ...]:
        """Return what it holds."""

    def __contains__(self, name: str) -> bool:
        """Tell whether it has an array of this name."""

    def header(self, name: str) -> Header:
        """Return shape and dtype of an array without reading it."""

    def read(self, name: str, part: int | None = None) -> NDArray[Any]:
        """Read an array, or one part along its first axis."""


def check_kind(header: Header, kinds: str, what: str = "real numbers") -> None:
    """Refuse text, references and everything else that is not of these kinds of numbers."""
    if header.dtype.kind not in kinds:
        raise ScanError(f"{header} has dtype {header.dtype}; {what} are needed: correct the file.")


def check_size(header: Header, more_bytes: int = 0) -> None:
    """Refuse an array that takes too much memory, or more than its file can honestly hold.

    Parameters
    ----------
    header : Header
    more_bytes : int
        What converting it takes beside it.
    """
    needed = header.num_bytes + more_bytes
    if needed > largest_bytes():
        raise ScanError(
            f"{header} has shape {header.shape} and dtype {header.dtype}, which take "
            f"{as_gigabytes(needed)} of memory; at most {as_gigabytes(largest_bytes())} are "
            "allowed: check the file, or set PTYCHONYX_MEMORY_GB to more."
        )
    stored = header.stored_bytes
    if stored is not None and header.num_bytes > max(ALWAYS_BYTES, LARGEST_PACKED * stored):
        raise ScanError(
            f"{header} has shape {header.shape}, but only {stored} bytes in the file, which unpack "
            f"to {as_gigabytes(header.num_bytes)} of the same; numbers that were measured are "
            "needed: check how the file was made."
        )


def check_fits(header: Header) -> None:
    """Refuse patterns that have to be read as a whole, and do not fit into this machine."""
    if header.num_bytes > machine_bytes():
        raise ScanError(
            f"{header} has shape {header.shape} and dtype {header.dtype}, which take "
            f"{as_gigabytes(header.num_bytes)} and have to be unpacked as a whole; this machine has "
            f"{as_gigabytes(machine_bytes())}: write the scan as HDF5, which is read in pieces."
        )


def column_length(header: Header) -> int:
    """Return the number of values of a column, (n,) or (n, 1).

    Raises
    ------
    ScanError
        If it is a single number or a table, or holds no real numbers.
    """
    check_kind(header, REALS)
    num = math.prod(header.shape)
    if not header.shape or num != max(header.shape):
        raise ScanError(
            f"{header} has shape {header.shape}, expected (n,): one number for each pattern; "
            "correct the file."
        )
    if num > MAX_POSITIONS:
        raise ScanError(
            f"{header} has {num} values; at most {MAX_POSITIONS} positions can be used: check the "
            "file, or split the scan."
        )
    check_size(header)
    return num


def read_column(file: ArrayFile, name: str) -> NDArray[np.float64]:
    """Read a column of real numbers.

    Returns
    -------
    float64 array, shape (n,)

    Raises
    ------
    ScanError
        See `column_length`.
    """
    column_length(file.header(name))
    return file.read(name).reshape(-1).astype(np.float64)


def read_indexes(file: ArrayFile, name: str) -> NDArray[np.int64]:
    """Read a column of whole numbers.

    Returns
    -------
    int64 array, shape (n,)
    """
    header = file.header(name)
    check_kind(header, WHOLE, "whole numbers")
    column_length(header)
    return file.read(name).reshape(-1).astype(np.int64)


def read_mask(file: ArrayFile, name: str, window_px: int) -> NDArray[np.bool_]:
    """Read a mask of the patterns, shape (N, N), True where it is not 0."""
    header = file.header(name)
    check_kind(header, REALS)
    if header.shape != (window_px, window_px):
        raise ScanError(
            f"{header.path}: `{name}` has shape {header.shape}, expected ({window_px}, "
            f"{window_px}) as the patterns: correct the file."
        )
    return np.asarray(file.read(name) != 0)


def read_number(file: ArrayFile, name: str, kinds: str = REALS) -> float:
    """Read a single number of these kinds."""
    header = file.header(name)
    if math.prod(header.shape) != 1 or header.dtype.kind not in kinds:
        raise ScanError(
            f"{header} has shape {header.shape} and dtype {header.dtype}; one number is needed: "
            "correct the file."
        )
    return float(file.read(name).reshape(()))


def read_positive(file: ArrayFile, *names: str) -> float | None:
    """Return the first number of these names that is there, or None if it is not positive."""
    for name in names:
        if name in file:
            return positive_or_unknown(read_number(file, name), name, file.path)
    return None


def read_text(file: ArrayFile, name: str) -> str | None:
    """Read a text, or None if there is none or it is empty.

    Raises
    ------
    ScanError
        If something else is there.
    """
    if name not in file or 0 in file.header(name).shape:
        return None
    values = file.read(name).reshape(-1)
    if len(values) == 1 and isinstance(values[0], bytes):
        return values[0].decode("utf-8", "replace") or None
    if len(values) == 1 and isinstance(values[0], str):
        return str(values[0]) or None
    header = file.header(name)
    raise ScanError(
        f"{header} has shape {header.shape} and dtype {header.dtype}; one text is needed: correct "
        "the file."
    )
