"""Which format a file is of, by what it holds, and what reads it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import ScanError, UnknownFormatError
from ..scan import Quantity, Scan
from . import npy, ptychodus_product, ptychodus_scan, ptychodus_training, ptychopinn_npz
from .beamline import finders
from .beamline.finders import Finder
from .fields.flat_fields import DATASETS
from .maps import mapped_scan
from .options import ScanOptions
from .placed_object import PlacedObject
from .storage.hdf5 import Hdf5
from .storage.kinds import ENDINGS, kind_of
from .storage.npz import Npz

PRODUCT_FORMAT, PTYCHOPINN_FORMAT = "Ptychodus product (HDF5 or NPZ)", "PtychoPINN NPZ"
PRODUCT_NAMES = ("patterns", *DATASETS)
"""Datasets of which a Ptychodus file has at least one."""


@dataclass(frozen=True)
class Reader:
    """How one format is recognised and read.

    Attributes
    ----------
    recognises : callable
        Path -> whether this format fits.
    read_scan : callable
        (path, options) -> Scan.
    read_object, read_probe : callable
        Path -> what the file holds, or ScanError.
    files_of : callable
        Path -> the files that reading a scan opens.
    quantity : "counts" or None
        What the patterns of this format always are; None if the user may have to say.
    has_origin : bool
        Whether positions are in metres, which leaves no choice of what they point at.
    has_patterns_apart : bool
        Whether patterns are in a file of their own, which the user may name.
    has_keys : bool
        Whether the user may say under which names things lie.
    """

    recognises: Callable[[Path], bool]
    read_scan: Callable[[Path, ScanOptions], Scan]
    read_object: Callable[[Path], PlacedObject]
    read_probe: Callable[[Path], NDArray[np.complex64]]
    files_of: Callable[[Path], tuple[Path, ...]] = lambda path: (path,)
    quantity: Quantity | None = None
    has_origin: bool = False
    has_patterns_apart: bool = False
    has_keys: bool = False


def is_hdf5(path: Path) -> bool:
    """Tell whether a path is an HDF5 file, by its first bytes, or a folder of such files."""
    return path.is_dir() or kind_of(path) == "hdf5"


def _is_product(path: Path) -> bool:
    if path.is_dir():
        return True
    if kind_of(path) == "npz":
        return "probe_position_x_m" in Npz(path)
    return is_hdf5(path) and any(name in PRODUCT_NAMES for name in Hdf5(path).names)


def _product_of(path: Path) -> Path:
    return path / ptychodus_scan.PRODUCT if path.is_dir() else path


def _of_beamline(finder: Finder) -> Reader:
    return Reader(
        finder.recognises,
        partial(finders.read_scan, finder),
        finder.read_object,
        finder.read_probe,
        finder.files_of,
        quantity=finder.quantity,
        has_patterns_apart=True,
    )


READERS: dict[str, Reader] = {
    **{name: _of_beamline(finder) for name, finder in finders.FINDERS.items()},
    "Ptychodus training HDF5": Reader(
        lambda path: path.is_file() and is_hdf5(path) and ptychodus_training.recognises(path),
        ptychodus_training.read_scan,
        ptychodus_training.read_object,
        ptychodus_training.read_probe,
        quantity="counts",
    ),
    PRODUCT_FORMAT: Reader(
        _is_product,
        ptychodus_scan.read_scan,
        lambda path: ptychodus_product.read_object(_product_of(path)),
        lambda path: ptychodus_product.read_probe(_product_of(path)),
        ptychodus_scan.pair_of,
        quantity="counts",
        has_origin=True,
        has_patterns_apart=True,
    ),
    PTYCHOPINN_FORMAT: Reader(
        lambda path: kind_of(path) == "npz",
        ptychopinn_npz.read_scan,
        ptychopinn_npz.read_object,
        ptychopinn_npz.read_probe,
    ),
    "NumPy array": Reader(
        lambda path: kind_of(path) == "npy",
        npy.read_scan,
        npy.read_object,
        npy.read_probe,
    ),
    "HDF5 of no known layout": Reader(
        is_hdf5,
        mapped_scan.refuse_scan,
        mapped_scan.refuse_object,
        mapped_scan.refuse_probe,
    ),
}
"""Format name -> reader, asked in this order."""

BY_MAP = Reader(
    lambda path: False,
    mapped_scan.read_scan,
    mapped_scan.refuse_object,
    mapped_scan.refuse_probe,
    has_patterns_apart=True,
    has_keys=True,
)
"""What reads a scan by a map, whatever its format is."""


def reader_for(path: Path, options: ScanOptions | None = None) -> Reader:
    """Return the reader of a file.

    Raises
    ------
    ScanError
        If there is no such file, or it is of no known format: `UnknownFormatError`.
    """
    if not path.exists():
        raise ScanError(f"There is no file {path}; check the path.")
    if not (path.is_file() or path.is_dir()):
        raise ScanError(
            f"{path} is a pipe or a device, but files are read at several places; write it to a file "
            "first."
        )
    if options is not None and (options.map_path is not None or options.keys):
        return BY_MAP
    for reader in READERS.values():
        if reader.recognises(path):
            return reader
    raise UnknownFormatError(
        f"{path} is of no known format; readable are: {', '.join(READERS)} (HDF5, NPZ, NPY and MATLAB "
        f"files, {', '.join(ENDINGS)}): convert it, or give the folder or file that holds the scan."
    )
