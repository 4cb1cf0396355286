"""The fields of a Ptychodus product, in an HDF5 or NPZ file, under the flat names of the NPZ.

Attributes of `object` are `object_pixel_width_m` and so on, and what is in our own group is
`ptychonyx_…`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np

from ..product import MAPS
from .hdf5 import open_hdf5
from .npz import Npz

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


def read_fields(path: Path) -> Fields:
    """Read all fields that a product has.

    Raises
    ------
    ScanError
        If the file cannot be read.
    """
    return _read_npz(path) if path.suffix.lower() == ".npz" else _read_hdf5(path)


def write_fields(fields: Fields, suffix: str, out: BinaryIO) -> None:
    """Write all fields of a product; `suffix` is one of `WRITERS`."""
    WRITERS[suffix](fields, out)


def _read_hdf5(path: Path) -> Fields:
    with open_hdf5(path) as file:
        fields = dict(file.attrs)
        for name in DATASETS:
            if name in file:
                fields[name] = np.asarray(file[name])
                fields |= {f"{name}_{key}": value for key, value in file[name].attrs.items()}
        if OWN_GROUP in file:
            own = file[OWN_GROUP]
            fields |= {f"{OWN_GROUP}_{key}": value for key, value in own.attrs.items()}
            fields |= {f"{OWN_GROUP}_{key}": np.asarray(own[key]) for key in MAPS if key in own}
    return fields


def _write_hdf5(fields: Fields, out: BinaryIO) -> None:
    rest = dict(fields)
    with h5py.File(out, "w") as file:
        for name in (*DATASETS, *UNUSED_DATASETS):
            file[name] = rest.pop(name)
        for name, keys in DATASET_ATTRIBUTES.items():
            file[name].attrs.update({key: rest.pop(f"{name}_{key}") for key in keys})
        own = file.create_group(OWN_GROUP)
        for name in [name for name in rest if name.startswith(f"{OWN_GROUP}_")]:
            value, key = rest.pop(name), name.removeprefix(f"{OWN_GROUP}_")
            if key in MAPS:  # a dataset of our group; its other fields are attributes
                own.create_dataset(key, data=value, compression="lzf")
            else:
                own.attrs[key] = value
        file.attrs.update(rest)


def _read_npz(path: Path) -> Fields:
    file = Npz(path)
    return {name: file[name] for name in file.names}


def _write_npz(fields: Fields, out: BinaryIO) -> None:
    np.savez(out, allow_pickle=False, **fields)


WRITERS: dict[str, Callable[[Fields, BinaryIO], None]] = {
    ".h5": _write_hdf5,
    ".hdf5": _write_hdf5,
    ".npz": _write_npz,
}
"""Ending of a product's name -> what writes its flat fields."""
