"""Changes of what an NPZ holds: arrays that are missing, of another kind, or written in another way."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .arrays import draw_array, vary_array


@dataclass(frozen=True)
class Archive:
    """Members of an NPZ file by name, and the arrays that they hold in the whole one."""

    members: dict[str, bytes]
    arrays: dict[str, NDArray[Any]]


HEADERS = (
    "{'descr': '<f8', 'fortran_order': False, 'shape': (%d, 8, 8), }",
    "{'descr': '|O', 'fortran_order': False, 'shape': (4,), }",
    "{'descr': '<f8', 'fortran_order': True, 'shape': (4, %d), }",
    "{'descr': [('a', '<f4'), ('b', '<i2')], 'fortran_order': False, 'shape': (4,), }",
    "{'descr': '<M8[s]', 'fortran_order': False, 'shape': (%d,), }",
    "{'descr': '<U%d', 'fortran_order': False, 'shape': (4,), }",
    "{'descr': '<f8', 'shape': (4,), }",
    "{'descr': '<f8', 'fortran_order': 'no', 'shape': [4], }",
    "((((((((%d",
    "{'descr': '<f16', 'fortran_order': False, 'shape': (True, %d), }",
)


def spoil_npz(path: Path, rng: np.random.Generator) -> None:
    """Change one to three arrays of an NPZ file, or how it is packed."""
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    arrays = {name: np.load(io.BytesIO(content)) for name, content in members.items()}
    archive = Archive(members, arrays)
    for _ in range(int(rng.integers(1, 4))):
        name = sorted(members)[rng.integers(len(members))]
        EDITS[int(rng.integers(len(EDITS)))](archive, name, rng)
    methods = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    with zipfile.ZipFile(path, "w", methods[rng.integers(len(methods))]) as file:
        for name, content in members.items():
            file.writestr(zipfile.ZipInfo(name), content)


def _vary(archive: Archive, name: str, rng: np.random.Generator) -> None:
    given = archive.arrays.get(name)
    array = draw_array(rng) if given is None else vary_array(rng, given)
    archive.members[name] = _packed(array)


def _drop(archive: Archive, name: str, rng: np.random.Generator) -> None:
    del archive.members[name]


def _rename(archive: Archive, name: str, rng: np.random.Generator) -> None:
    names = ("../probe.npy", "bad_pixels.npy", "σ.npy", "diffraction.npy", "probe", "a/b.npy")
    archive.members[names[rng.integers(len(names))]] = archive.members.pop(name)


def _header(archive: Archive, name: str, rng: np.random.Generator) -> None:
    text = HEADERS[rng.integers(len(HEADERS))]
    number = (0, 1, 4, -4, 2**31, 2**62)[rng.integers(6)]
    header = (text % number if "%d" in text else text).encode().ljust(117) + b"\n"
    version = bytes([int(rng.integers(1, 4)), 0])
    width = 2 if version[0] == 1 else 4
    length = len(header).to_bytes(width, "little")
    archive.members[name] = b"\x93NUMPY" + version + length + header + rng.bytes(256)


def _noise(archive: Archive, name: str, rng: np.random.Generator) -> None:
    archive.members[name] = rng.bytes(int(rng.integers(200)))


def _cut(archive: Archive, name: str, rng: np.random.Generator) -> None:
    archive.members[name] = archive.members[name][: rng.integers(len(archive.members[name]) + 1)]


def _packed(array: NDArray[Any]) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


EDITS: tuple[Callable[[Archive, str, np.random.Generator], None], ...] = (
    *(_vary, _vary, _vary, _vary, _drop, _rename, _header, _noise, _cut),
)
