"""The fields of a Ptychodus product, in an HDF5 or NPZ file, under the flat names of the NPZ.

Attributes of `object` are `object_pixel_width_m` and so on, and what is in our own group is
`ptychonyx_…`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ...product import MAPS
from ..storage.arrays import ArrayFile, Header
from ..storage.hdf5 import Hdf5
from ..storage.hdf5_writing import new_group, new_hdf5, write_dataset, write_text
from ..storage.kinds import kind_of
from ..storage.npz import Npz

Fields = dict[str, Any]

OWN_GROUP = "ptychonyx"
POSITION_KEYS = ("probe_position_y_m", "probe_position_x_m")
DATASETS = ("probe_position_indexes", *POSITION_KEYS, "probe", "object")
UNUSED_DATASETS = ("object_layer_spacing_m", "loss_epochs", "loss_values")
"""Ptychodus needs them; we do not read them."""
PIXEL_ATTRIBUTES = ("pixel_height_m", "pixel_width_m")
DATASET_ATTRIBUTES = {
    "probe": PIXEL_ATTRIBUTES,
    "object": (*PIXEL_ATTRIBUTES, "center_y_m", "center_x_m"),
}


def open_fields(path: Path) -> ArrayFile:
    """Open a product; of its arrays nothing is read yet.

    Raises
    ------
    ScanError
        If the file cannot be read.
    """
    return Npz(path) if kind_of(path) == "npz" else FlatHdf5(path)


class FlatHdf5:
    """Datasets and attributes of an HDF5 file, under the flat names of the NPZ.

    Parameters
    ----------
    path : path
    datasets : iterable of str
        Names at the root to look for; what is not a dataset may be an attribute.

    Raises
    ------
    ScanError
        If it is no HDF5 file, or a damaged one.
    """

    def __init__(self, path: Path, datasets: Iterable[str] = DATASETS) -> None:
        self.path = path
        self._file = file = Hdf5(path)
        own = file.names_in(OWN_GROUP)
        self._datasets = {name: name for name in datasets if name in file}
        self._datasets |= {f"{OWN_GROUP}_{key}": f"{OWN_GROUP}/{key}" for key in MAPS if key in own}
        attributes = file.attributes()
        for name in [*self._datasets, OWN_GROUP]:
            for key, value in file.attributes(self._datasets.get(name, name)).items():
                attributes[f"{name}_{key}"] = value
        self._attributes: dict[str, NDArray[Any]] = {
            name: np.asarray(value) for name, value in attributes.items()
        }
        self.names = (*self._datasets, *self._attributes)

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def header(self, name: str) -> Header:
        """Return shape and dtype of a field without reading it."""
        value = self._attributes.get(name)
        if value is not None and name not in self._datasets:
            return Header(name, self.path, value.shape, value.dtype)
        return replace(self._file.header(self._datasets.get(name, name)), name=name)

    def read(self, name: str, part: int | None = None) -> NDArray[Any]:
        """Read a field, or one part along its first axis; its header should be checked before."""
        if name in self._datasets:
            return self._file.read(self._datasets[name], part)
        value = self._attributes[name]
        return value if part is None else value[part]


def write_fields(fields: Fields, suffix: str, out: BinaryIO) -> None:
    """Write all fields of a product; `suffix` is one of `WRITERS`."""
    WRITERS[suffix](fields, out)


def _write_hdf5(fields: Fields, out: BinaryIO) -> None:
    rest = dict(fields)
    with new_hdf5(out) as file:
        for name in (*DATASETS, *UNUSED_DATASETS):
            write_dataset(file, name, rest.pop(name))
        for name, keys in DATASET_ATTRIBUTES.items():
            file[name].attrs.update({key: rest.pop(f"{name}_{key}") for key in keys})
        own = new_group(file, OWN_GROUP)
        for name in [name for name in rest if name.startswith(f"{OWN_GROUP}_")]:
            value, key = rest.pop(name), name.removeprefix(f"{OWN_GROUP}_")
            if key in MAPS:  # a dataset of our group; its other fields are attributes
                write_dataset(own, key, value, packed=True)
            elif isinstance(value, str):
                write_text(own, key, value)
            else:
                own.attrs[key] = value
        file.attrs.update(rest)


def _write_npz(fields: Fields, out: BinaryIO) -> None:
    np.savez(out, allow_pickle=False, **fields)


WRITERS: dict[str, Callable[[Fields, BinaryIO], None]] = {
    ".h5": _write_hdf5,
    ".hdf5": _write_hdf5,
    ".npz": _write_npz,
}
"""Ending of a product's name -> what writes its flat fields."""
