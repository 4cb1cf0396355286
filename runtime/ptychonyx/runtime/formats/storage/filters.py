"""Filters that pack the data of HDF5 files; detectors use some that HDF5 itself does not have."""

from __future__ import annotations

import importlib
from contextlib import suppress
from pathlib import Path

import h5py

from ...errors import ScanError


def check_filters(dataset: h5py.Dataset, path: Path) -> None:
    """Refuse a dataset that is packed with a filter that is not installed, and name the filter.

    Raises
    ------
    ScanError
        Says what to install.
    """
    properties = dataset.id.get_create_plist()
    for number in range(properties.get_nfilters()):
        code, _, _, name = properties.get_filter(number)
        if not _is_available(code):
            label = name.decode("utf-8", "replace") or "unnamed"
            raise ScanError(
                f"`{dataset.name.strip('/')}` of {path} is packed with the filter {label!r} (number "
                f"{code}), which is not installed; it is needed to unpack it: pip install hdf5plugin"
            )


def filter_names(dataset: h5py.Dataset) -> tuple[str, ...]:
    """Return the names of the filters that a dataset is packed with, in HDF5's words."""
    properties = dataset.id.get_create_plist()
    names = []
    for number in range(properties.get_nfilters()):
        code, _, _, name = properties.get_filter(number)
        label = name.decode("utf-8", "replace").split(";")[0].split(" http")[0].strip()
        names.append(label or f"filter {code}")
    return tuple(names)


def _is_available(code: int) -> bool:
    if h5py.h5z.filter_avail(code):
        return True
    with suppress(ImportError):  # its import makes its filters known to HDF5
        importlib.import_module("hdf5plugin")
    return bool(h5py.h5z.filter_avail(code))
