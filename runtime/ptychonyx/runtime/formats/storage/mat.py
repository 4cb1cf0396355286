"""MATLAB files: version 5, read as a whole, and version 7.3, which is HDF5 with reversed axes."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...errors import ScanError
from .arrays import Header, check_size
from .damage import damaged
from .hdf5 import Hdf5

DTYPES = {"double": "f8", "single": "f4", "logical": "u1", "char": "U1"} | {
    f"{kind}int{bits}": f"{kind[:1] or 'i'}{bits // 8}"
    for kind in ("", "u")
    for bits in (8, 16, 32, 64)
}
"""MATLAB's class -> dtype; structs and cells have none."""
HEADER_BYTES, TAG_BYTES = 128, 8
"""What a file begins with, and what each array begins with: its type and its length."""
COMPLEX_FIELDS = ("real", "imag")
_ERRORS = (
    *(zlib.error, EOFError, OSError, ValueError, TypeError),
    *(KeyError, IndexError, AttributeError, OverflowError, MemoryError, NotImplementedError),
)
"""What SciPy raises on damaged files, which it reads without much asking."""


def is_mat73(path: Path) -> bool:
    """Tell whether an HDF5 file was written by MATLAB."""
    with path.open("rb") as file:
        return file.read(19) == b"MATLAB 7.3 MAT-file"


class Mat5:
    """A MATLAB file of version 5 to 7: named arrays, and fields of structs as "struct/field".

    Raises
    ------
    ScanError
        If it is no such file, or a damaged one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fields: dict[str, NDArray[Any]] = {}
        with self._damage_explained():
            _check_length(path)
            import scipy.io  # not needed where no MATLAB file is

            self._listed = {name: (shape, kind) for name, shape, kind in scipy.io.whosmat(path)}
        for name, (_, kind) in self._listed.items():
            if kind == "struct":
                self._take_fields(name)
        plain = [name for name, (_, kind) in self._listed.items() if kind in DTYPES]
        self.names = (*plain, *self._fields)

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def header(self, name: str) -> Header:
        """Return shape and dtype of an array; whether it is complex only reading it tells."""
        if name in self._fields:
            array = self._fields[name]
            return Header(name, self.path, array.shape, array.dtype)
        if name not in self:
            raise ScanError(
                f"{self.path} has no array `{name}`; it holds: {', '.join(self.names) or 'nothing'}."
            )
        shape, kind = self._listed[name]
        return Header(name, self.path, tuple(shape), np.dtype(DTYPES[kind]))

    def read(self, name: str, part: int | None = None) -> NDArray[Any]:
        """Read an array, or one part along its first axis."""
        array = self._fields.get(name)
        if array is None:
            header = self.header(name)
            size = self.path.stat().st_size
            check_size(replace(header, stored_bytes=size), header.num_bytes)
            array = self._load(name)
        return array if part is None else array[part]

    def _load(self, name: str) -> NDArray[Any]:
        with self._damage_explained():
            import scipy.io

            return np.asarray(scipy.io.loadmat(self.path, variable_names=[name])[name])

    def _take_fields(self, name: str) -> None:
        """Keep the numeric fields of a struct, which are read at once since they are small."""
        struct = self._load(name)
        if struct.dtype.names is None or struct.size != 1:
            return
        for field in struct.dtype.names:
            value = struct[field].reshape(-1)[0]
            if isinstance(value, np.ndarray) and value.dtype.kind in "buifcU":
                self._fields[f"{name}/{field}"] = value

    @contextmanager
    def _damage_explained(self) -> Iterator[None]:
        from scipy.io.matlab import MatReadError

        try:
            yield
        except (MatReadError, *_ERRORS) as error:
            raise damaged(str(self.path), self.path, "MATLAB", error) from None


def _check_length(path: Path) -> None:
    """Refuse a file that ends within an array, which SciPy would leave out without a word."""
    size = path.stat().st_size
    with path.open("rb") as file:
        header = file.read(HEADER_BYTES)
        order: Literal["little", "big"] = "big" if header[-2:] == b"MI" else "little"
        place = HEADER_BYTES
        while place < size:
            file.seek(place)
            tag = file.read(TAG_BYTES)
            place += TAG_BYTES + int.from_bytes(tag[4:], order)
            if len(tag) < TAG_BYTES or place > size:
                raise EOFError(f"it ends at byte {size}, within an array that ends at {place}")


class Mat73:
    """A MATLAB file of version 7.3: HDF5, in which axes stand in reversed order.

    Shapes are MATLAB's own. Complex numbers are put together from their two parts.

    Raises
    ------
    ScanError
        If it is no HDF5 file, or a damaged one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = Hdf5(path)
        self.names = self._file.names

    def __contains__(self, name: str) -> bool:
        return name in self._file

    def header(self, name: str) -> Header:
        """Return shape and dtype of an array without reading it."""
        header = self._file.header(name)
        dtype = header.dtype
        if dtype.names == COMPLEX_FIELDS:
            dtype = np.result_type(dtype["real"], np.complex64)
        return replace(header, shape=header.shape[::-1], dtype=dtype)

    def read(self, name: str, part: int | None = None) -> NDArray[Any]:
        """Read an array, or one part along its first axis."""
        array = self._file.read(name).T
        if array.dtype.names == COMPLEX_FIELDS:
            array = array["real"] + 1j * array["imag"]
        return array if part is None else array[part]
