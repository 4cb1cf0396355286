"""One file for each file format; sniffing decides which one reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import ScanError
from ..scan import Quantity, Scan
from . import npy, ptychodus_hdf5, ptychodus_product, ptychodus_training_hdf5, ptychopinn_npz
from .npz import Npz
from .object_file import ObjectFile as ObjectFile
from .positions import POSITION_ORIGINS as POSITION_ORIGINS
from .ptychodus_hdf5 import write_ptychodus as write_ptychodus
from .ptychodus_training_hdf5 import write_training_hdf5 as write_training_hdf5
from .ptychopinn_npz import write_ptychopinn_npz as write_ptychopinn_npz

HDF5_SUFFIXES = (".h5", ".hdf5", ".hdf")


@dataclass(frozen=True)
class Reader:
    """How one format is recognised and read.

    Attributes
    ----------
    recognises : callable
        Path -> whether this format fits.
    read_scan : callable
        (path, quantity, position_origin, patterns_path) -> Scan.
    read_object, read_probe : callable
        Path -> what the file holds, or ScanError.
    files_of : callable
        Path -> the files that reading a scan opens.
    """

    recognises: Callable[[Path], bool]
    read_scan: Callable[[Path, Quantity | None, str | None, Path | None], Scan]
    read_object: Callable[[Path], ObjectFile]
    read_probe: Callable[[Path], NDArray[np.complex64]]
    files_of: Callable[[Path], tuple[Path, ...]] = lambda path: (path,)


def _is_hdf5(path: Path) -> bool:
    return path.is_dir() or path.suffix.lower() in HDF5_SUFFIXES


def _is_product_npz(path: Path) -> bool:
    return path.suffix.lower() == ".npz" and "probe_position_x_m" in Npz(path)


def _product_of(path: Path) -> Path:
    return path / ptychodus_hdf5.PRODUCT if path.is_dir() else path


READERS: dict[str, Reader] = {
    "Ptychodus training HDF5": Reader(
        lambda path: path.is_file() and _is_hdf5(path) and ptychodus_training_hdf5.recognises(path),
        ptychodus_training_hdf5.read_scan,
        ptychodus_training_hdf5.read_object,
        ptychodus_training_hdf5.read_probe,
    ),
    "Ptychodus product (HDF5 or NPZ)": Reader(
        lambda path: _is_hdf5(path) or _is_product_npz(path),
        ptychodus_hdf5.read_scan,
        lambda path: ptychodus_product.read_object(_product_of(path)),
        lambda path: ptychodus_product.read_probe(_product_of(path)),
        ptychodus_hdf5.pair_of,
    ),
    "PtychoPINN NPZ": Reader(
        lambda path: path.suffix.lower() == ".npz",
        ptychopinn_npz.read_scan,
        ptychopinn_npz.read_object,
        ptychopinn_npz.read_probe,
    ),
    "NumPy array": Reader(
        lambda path: path.suffix.lower() == ".npy",
        npy.read_scan,
        npy.read_object,
        npy.read_probe,
    ),
}
"""Format name -> reader, asked in this order."""


def load_scan(
    path: str | Path,
    *,
    quantity: str | None = None,
    position_origin: str | None = None,
    patterns_path: str | Path | None = None,
) -> Scan:
    """Open a scan; patterns are read when they are needed.

    Parameters
    ----------
    path : path
        PtychoPINN NPZ; Ptychodus' product (diffraction.h5 beside it), its diffraction.h5
        (product.h5 beside it), or their folder; Ptychodus' training HDF5.
    quantity : "counts" or "amplitude", optional
        What the patterns are; needed where a file does not say and the numbers do not tell.
    position_origin : "corner", "centre" or "ptychodus", optional
        What pixel positions point at: the window's corner, its pixel N/2, or its point (N−1)/2. The
        format decides by default.
    patterns_path : path, optional
        Where the patterns of a Ptychodus product are, if not beside it.

    Returns
    -------
    Scan

    Raises
    ------
    ScanError
        If the file cannot be read or does not hold a usable scan.
    QuantityError
        If only the user can tell whether the patterns are counts or amplitudes.

    Examples
    --------
    >>> load_scan("nowhere.npz")
    Traceback (most recent call last):
    ...
    ptychonyx.runtime.errors.ScanError: There is no file nowhere.npz; check the path.
    """
    _check_word("quantity", quantity, ("counts", "amplitude"))
    _check_word("position_origin", position_origin, tuple(POSITION_ORIGINS))
    path = Path(path)
    reader = _reader_for(path)
    known: Quantity | None = None
    if quantity is not None:
        known = "counts" if quantity == "counts" else "amplitude"
    extra = Path(patterns_path) if patterns_path is not None else None
    scan = reader.read_scan(path, known, position_origin, extra)
    return replace(scan, name=scan.name or path.stem, source=str(path))


def load_object(path: str | Path) -> ObjectFile:
    """Read the object of a product, a scan, a reference file or a bare array.

    Returns
    -------
    ObjectFile

    Raises
    ------
    ScanError
        If there is none.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/star.npy", np.ones((4, 6)))
    ...     load_object(f"{folder}/star.npy").object_.shape
    (4, 6)
    """
    return _reader_for(Path(path)).read_object(Path(path))


def load_probe(path: str | Path) -> NDArray[np.complex64]:
    """Read the probe of any file that has one.

    Returns
    -------
    complex64 array, shape (modes, N, N)

    Raises
    ------
    ScanError
        If there is none.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/probe.npy", np.ones((8, 8)))
    ...     load_probe(f"{folder}/probe.npy").shape
    (1, 8, 8)
    """
    return _reader_for(Path(path)).read_probe(Path(path))


def files_of(path: Path) -> list[Path]:
    """Return every file that loading a scan may read: of Ptychodus' formats, both halves.

    Files that do not exist are left out, and of an unreadable file only itself is named.

    Examples
    --------
    >>> files_of(Path("nowhere.npz"))
    []
    """
    try:
        candidates = _reader_for(path).files_of(path)
    except ScanError:  # loading it says why
        candidates = (path,)
    return sorted(file for file in candidates if file.is_file())


def _reader_for(path: Path) -> Reader:
    if not path.exists():
        raise ScanError(f"There is no file {path}; check the path.")
    for reader in READERS.values():
        if reader.recognises(path):
            return reader
    raise ScanError(
        f"{path} is of no known format; readable are: {', '.join(READERS)} (by the endings .npz, "
        f".npy, {', '.join(HDF5_SUFFIXES)}): convert or rename the file."
    )


def _check_word(name: str, value: str | None, words: tuple[str, ...]) -> None:
    if value is not None and value not in words:
        quoted = ", ".join(f'"{word}"' for word in words)
        raise ScanError(f"`{name}` is {value!r}, expected one of: {quoted}.")
