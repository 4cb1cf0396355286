"""Writing HDF5 so that a flipped byte is an error when it is read, and not another result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO

import h5py
import numpy as np
from numpy.typing import NDArray

from ...scan import Scan

FORMAT = ("v110", "v110")
"""Oldest and newest layout to write. Since HDF5 1.8 of 2008, headers and attributes have checksums; the
lists that say which piece of a dataset lies where have them since 1.10 of 2016."""
WRITE_BATCH = 256


@contextmanager
def new_hdf5(out: BinaryIO) -> Iterator[h5py.File]:
    """Write an HDF5 file whose headers, attributes and lists of chunks have checksums."""
    create = h5py.h5p.create(h5py.h5p.FILE_CREATE)
    create.set_obj_track_times(False)  # equal contents are equal bytes
    access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
    access.set_libver_bounds(h5py.h5f.LIBVER_V110, h5py.h5f.LIBVER_V110)
    access.set_fileobj_driver(h5py.h5fd.fileobj_driver, out)
    with h5py.File(h5py.h5f.create(b"new", h5py.h5f.ACC_TRUNC, create, access)) as file:
        yield file


def new_group(parent: h5py.Group, name: str) -> h5py.Group:
    """Make a group that does not note when it was made, as those of h5py do."""
    create = h5py.h5p.create(h5py.h5p.GROUP_CREATE)
    create.set_obj_track_times(False)  # equal contents are equal bytes
    return h5py.Group(h5py.h5g.create(parent.id, name.encode(), gcpl=create))


def write_dataset(group: h5py.Group, name: str, value: Any, *, packed: bool = False) -> None:
    """Write a dataset with a checksum.

    Parameters
    ----------
    group : h5py group
    name : str
    value : array or number
        A number lies in the dataset's header and shares its checksum, since HDF5 has none for it.
    packed : bool
        Whether to compress it.
    """
    if np.ndim(value) == 0:
        _write_number(group, name, np.asarray(value))
        return
    group.create_dataset(name, data=value, fletcher32=True, compression="lzf" if packed else None)


def _write_number(group: h5py.Group, name: str, value: NDArray[Any]) -> None:
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_layout(h5py.h5d.COMPACT)  # only the low level of h5py knows it
    properties.set_obj_track_times(False)  # equal contents are equal bytes
    kind, space = h5py.h5t.py_create(value.dtype), h5py.h5s.create(h5py.h5s.SCALAR)
    dataset = h5py.h5d.create(group.id, name.encode(), kind, space, properties)
    dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, value)


def write_text(group: h5py.Group, name: str, text: str) -> None:
    """Write a text as an attribute with a checksum.

    HDF5 keeps a text of variable length, which h5py writes by default, in a heap without one. One of
    fixed length lies in the header; h5py gives it back as bytes.
    """
    content = text.encode()
    kind = h5py.string_dtype("utf-8", max(1, len(content)))
    group.attrs.create(name, np.array(content, kind))


def write_datasets(group: h5py.Group, values: Mapping[str, Any]) -> None:
    """Write several datasets with checksums."""
    for name, value in values.items():
        write_dataset(group, name, value)


def write_patterns(
    file: h5py.Group, scan: Scan, *, in_chunk: int, name: str = "patterns"
) -> h5py.Dataset:
    """Write the patterns of a scan piece by piece, so that they need not fit into memory.

    Returns
    -------
    h5py dataset
    """
    num, side = scan.num_patterns, scan.window_px
    patterns = file.create_dataset(
        name,
        shape=(num, side, side),
        dtype=scan.patterns.dtype,
        chunks=(min(in_chunk, num), side, side),
        compression="lzf",
        fletcher32=True,
    )
    for start in range(0, num, WRITE_BATCH):
        stop = min(start + WRITE_BATCH, num)
        patterns[start:stop] = scan.patterns[start:stop]
    return patterns
