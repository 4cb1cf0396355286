"""NPZ files, read one named array at a time; nothing is ever unpickled."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ScanError
from .positive import positive_or_unknown

_HEADER_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


class Npz:
    """An NPZ file that says what is wrong with it.

    Raises
    ------
    ScanError
        If it is no ZIP file, or a truncated one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise ScanError(f"There is no file {path}; check the path.")
        with _damage_explained(path), zipfile.ZipFile(path) as archive:
            self.names = tuple(name.removesuffix(".npy") for name in archive.namelist())

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Read one array, of any plain dtype."""
        self.header(name)
        with self._member(name) as member:
            array: NDArray[Any] = np.lib.format.read_array(member, allow_pickle=False)
            member.read(1)  # the end of the member, where its checksum is compared
        return array

    def header(self, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """Return shape and dtype of an array without reading it."""
        with self._member(name) as member:
            version = np.lib.format.read_magic(member)
            if version not in _HEADER_READERS:
                raise ValueError(f"its header has version {version}")
            shape, _, dtype = _HEADER_READERS[version](member)
        if dtype.hasobject:
            raise ScanError(
                f"`{name}` of {self.path} has dtype {dtype}, which only unpickling could read, and "
                "that can run any code; real numbers are needed: save a plain numeric array."
            )
        with zipfile.ZipFile(self.path) as archive:
            num_bytes = archive.getinfo(f"{name}.npy").file_size
        if math.prod(shape) * dtype.itemsize > num_bytes:
            raise ScanError(
                f"`{name}` of {self.path} should have shape {shape}, but its {num_bytes} bytes are "
                "too few for that; it is damaged: copy the file again."
            )
        return shape, dtype

    def reals(self, name: str) -> NDArray[np.float64]:
        """Read an array of real numbers as float64."""
        array = self[name]
        if array.dtype.kind not in "buif":
            raise ScanError(
                f"`{name}` of {self.path} has dtype {array.dtype}; real numbers are needed: "
                "correct the file."
            )
        return array.astype(np.float64)

    def positive(self, *names: str) -> float | None:
        """Return the first single number of these names that is there, or None if not positive."""
        for name in names:
            if name in self:
                values = self.reals(name)
                if values.size != 1:
                    raise ScanError(
                        f"`{name}` of {self.path} has shape {values.shape}; one number is needed."
                    )
                value = float(values.reshape(()))
                return positive_or_unknown(value, name, self.path)
        return None

    @contextmanager
    def _member(self, name: str) -> Iterator[IO[bytes]]:
        if name not in self:
            raise ScanError(
                f"{self.path} has no array `{name}`; it holds: {', '.join(self.names)}."
            )
        with (
            _damage_explained(self.path, name),
            zipfile.ZipFile(self.path) as archive,
            archive.open(f"{name}.npy") as member,
        ):
            yield member


@contextmanager
def _damage_explained(path: Path, name: str | None = None) -> Iterator[None]:
    """Turn whatever zipfile, zlib and NumPy raise on a bad file into one clear error."""
    try:
        yield
    except ScanError:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, KeyError) as error:
        what = f"`{name}` of {path}" if name else str(path)
        raise ScanError(
            f"{what} is not a readable NPZ file ({error}); an undamaged file is needed: it may be "
            "truncated, copy it again."
        ) from None
    except RuntimeError as error:  # encrypted, or compressed in a way that Python does not know
        raise ScanError(
            f"{path} cannot be unpacked ({error}); save it again with numpy.savez."
        ) from None
