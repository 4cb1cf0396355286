"""NPZ files, read one named array at a time; nothing is ever unpickled."""

from __future__ import annotations

import lzma
import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ScanError
from .arrays import Header, check_size
from .damage import damaged
from .npy import check_plain, read_npy_header

_ERRORS = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, KeyError),  # of the archive
    *(ValueError, EOFError, OSError),  # of an array in it
)

END_OF_ARCHIVE, NUM_MEMBERS = b"PK\x05\x06", slice(10, 12)
"""Signature of the last record of a ZIP file, and where it counts the members."""
MORE_MEMBERS = 2**16 - 1
"""That count in a file that keeps it elsewhere, for it may have more."""
MOST_TAIL_BYTES = 22 + 2**16
"""Longest last record, with the comment that may follow."""


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
            _check_directory(archive, path)
            self.names = tuple(name.removesuffix(".npy") for name in archive.namelist())

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def header(self, name: str) -> Header:
        """Return shape and dtype of an array without reading it.

        Raises
        ------
        ScanError
            If there is none, it is damaged or would need unpickling.
        """
        with self._member(name) as (member, info):
            shape, dtype = read_npy_header(member)
        header = Header(name, self.path, shape, dtype, info.compress_size)
        check_plain(header)
        if header.num_bytes > info.file_size:
            raise ScanError(
                f"{header} should have shape {shape}, but its {info.file_size} bytes are too few "
                "for that; it is damaged: copy the file again."
            )
        return header

    def read(self, name: str, part: int | None = None) -> NDArray[Any]:
        """Read an array, or one part along its first axis; its header should be checked before."""
        header = self.header(name)
        if part is not None:
            check_size(header)  # all parts have to be unpacked for one
        with self._member(name) as (member, _):
            array: NDArray[Any] = np.lib.format.read_array(member, allow_pickle=False)
            member.read(1)  # the end of the member, where its checksum is compared
        return array if part is None else array[part]

    @contextmanager
    def _member(self, name: str) -> Iterator[tuple[IO[bytes], zipfile.ZipInfo]]:
        if name not in self:
            raise ScanError(
                f"{self.path} has no array `{name}`; it holds: {', '.join(self.names)}."
            )
        with _damage_explained(self.path, name), zipfile.ZipFile(self.path) as archive:
            info = archive.getinfo(f"{name}.npy")
            with archive.open(info) as member:
                yield member, info


def _check_directory(archive: zipfile.ZipFile, path: Path) -> None:
    """Refuse an archive that does not list the members that it has.

    The list has no checksum of its own: a flipped byte in it could hide an array that a file may
    have, such as the bad pixels, or several at once.
    """
    members = archive.infolist()
    for info in members:
        archive.open(info).close()  # compares the name in the list with the one at the member
    with path.open("rb") as file:
        file.seek(-min(MOST_TAIL_BYTES, path.stat().st_size), os.SEEK_END)
        tail = file.read()
    end = tail[tail.rindex(END_OF_ARCHIVE) :]
    num = int.from_bytes(end[NUM_MEMBERS], "little")
    if num not in (len(members), MORE_MEMBERS):
        raise zipfile.BadZipFile(f"it has {num} members, but lists {len(members)}")


@contextmanager
def _damage_explained(path: Path, name: str | None = None) -> Iterator[None]:
    """Turn whatever zipfile, zlib and NumPy raise on a bad file into one clear error."""
    what = f"`{name}` of {path}" if name else str(path)
    try:
        yield
    except RuntimeError as error:  # encrypted, or compressed in a way that Python does not know
        raise ScanError(
            f"{path} cannot be unpacked ({error}); save it again with numpy.savez."
        ) from None
    except _ERRORS as error:
        raise damaged(what, path, "NPZ", error) from None
