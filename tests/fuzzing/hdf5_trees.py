"""Changes of what an HDF5 file holds: datasets, attributes, groups and links."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from .arrays import draw_array, vary_array

TEXTS = ("", "text", "σ", "1", "nan", '{"residual": "low"}', "[[[[", '{"passes": 1e999}', "\ud800")

MOST_VARIED = 10**6
"""Most elements of a dataset that is read in order to vary it; some are made huge."""


def spoil_hdf5(path: Path, rng: np.random.Generator) -> None:
    """Change one to three members of an HDF5 file."""
    with h5py.File(path, "r+") as file:
        for _ in range(int(rng.integers(1, 4))):
            names: list[str] = []
            file.visit(names.append)
            if not names:
                return
            name = sorted(names)[rng.integers(len(names))]
            EDITS[int(rng.integers(len(EDITS)))](file, name, rng)


def _vary(file: h5py.File, name: str, rng: np.random.Generator) -> None:
    """Replace a dataset by a like one, and keep its attributes."""
    try:
        member = file[name]
        attributes = dict(member.attrs)
        is_small = isinstance(member, h5py.Dataset) and (member.size or 0) <= MOST_VARIED
        given = np.asarray(member[()]) if is_small else None
    except (OSError, KeyError, AttributeError):  # what an edit before has spoilt
        return
    array = draw_array(rng) if given is None or given.dtype.kind == "O" else vary_array(rng, given)
    del file[name]
    options: dict[str, Any] = {}
    if array.ndim and array.size and rng.random() < 0.4:
        options = {"chunks": True, "compression": ("gzip", "lzf")[rng.integers(2)]}
    file.create_dataset(name, data=array, **options)
    file[name].attrs.update(attributes)


def _vary_attribute(file: h5py.File, name: str, rng: np.random.Generator) -> None:
    """Replace an attribute of a member, or of the file."""
    owner = file if rng.random() < 0.5 or name not in file else file[name]
    keys = sorted(owner.attrs)
    if not keys:
        return
    key = keys[rng.integers(len(keys))]
    del owner.attrs[key]
    choice = int(rng.integers(6))
    if choice == 0:
        owner.attrs.create(key, TEXTS[rng.integers(len(TEXTS) - 1)])
    elif choice == 1:
        owner.attrs.create(key, np.bytes_(b"\xff\xfe"))
    elif choice == 2:
        owner.attrs[key] = h5py.Empty("f8")
    elif choice == 3:
        owner.attrs[key] = draw_array(rng, ())
    elif choice == 4:
        owner.attrs[key] = draw_array(rng, (int(rng.integers(0, 4)),))


def _drop(file: h5py.File, name: str, rng: np.random.Generator) -> None:
    del file[name]


def _special(file: h5py.File, name: str, rng: np.random.Generator) -> None:
    """Replace a member by something that is no plain dataset."""
    del file[name]
    SPECIAL[int(rng.integers(len(SPECIAL)))](file, name)


def _huge(file: h5py.File, name: str) -> None:
    file.create_dataset(name, shape=(2**40, 8, 8), dtype="f4", chunks=(1, 8, 8))


def _virtual(file: h5py.File, name: str) -> None:
    layout = h5py.VirtualLayout(shape=(4, 8, 8), dtype="f8")
    layout[:2] = h5py.VirtualSource(".", "probe", shape=(2, 8, 8))
    file.create_virtual_dataset(name, layout)


def _raw(file: h5py.File, name: str) -> None:
    file.create_dataset(name, (4, 8, 8), "u1", external=[("/etc/passwd", 0, 256)])


def _enum(file: h5py.File, name: str) -> None:
    file.create_dataset(name, (4,), h5py.enum_dtype({"ON": 1, "OFF": 0}, "i4"))


SPECIAL: tuple[Callable[[h5py.File, str], Any], ...] = (
    lambda file, name: file.create_group(name),
    lambda file, name: file.create_group(name).attrs.update(a=1),
    lambda file, name: file.__setitem__(name, h5py.SoftLink("/nowhere")),
    lambda file, name: file.__setitem__(name, h5py.SoftLink(f"/{name}")),
    lambda file, name: file.__setitem__(name, h5py.SoftLink("/")),
    lambda file, name: file.__setitem__(name, h5py.ExternalLink("nowhere.h5", "/")),
    lambda file, name: file.__setitem__(name, h5py.ExternalLink("/etc/passwd", "/")),
    lambda file, name: file.__setitem__(name, np.dtype("f8")),
    lambda file, name: file.create_dataset(name, data=h5py.Empty("f8")),
    lambda file, name: file.create_dataset(name, data="σ"),
    lambda file, name: file.create_dataset(name, (4,), h5py.string_dtype()),
    lambda file, name: file.create_dataset(name, (4,), h5py.ref_dtype),
    lambda file, name: file.create_dataset(name, (4,), h5py.vlen_dtype(np.float64)),
    lambda file, name: file.create_dataset(name, (4,), np.dtype([("a", "f4"), ("b", "f4")])),
    lambda file, name: file.create_dataset(name, (4,), np.dtype(("f8", (8, 8)))),
    *(_huge, _virtual, _raw, _enum),
)
EDITS: tuple[Callable[[h5py.File, str, np.random.Generator], None], ...] = (
    *(_vary, _vary, _vary, _vary_attribute, _vary_attribute, _drop, _special),
)
