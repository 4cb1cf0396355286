"""One file for each file format; sniffing decides which one reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import ScanError
from ..scan import Quantity, Scan
from . import ptychodus_hdf5, ptychopinn_npz
from .ptychodus_hdf5 import write_ptychodus as write_ptychodus
from .ptychopinn_npz import write_ptychopinn_npz as write_ptychopinn_npz

POSITION_ORIGINS = ("corner", "centre", "ptychodus")
"""What a pixel position points at: the window's corner, pixel N/2, or the point (N−1)/2."""


@dataclass(frozen=True)
class ObjectFile:
    """An object read from any file that has one.

    Attributes
    ----------
    object_ : complex64 array, shape (H, W)
    corner_px : (float, float)
        Its top-left pixel (y, x) in the scan's frame.
    coverage : int32 array, shape (H, W), or None
        Patches that saw each pixel; 0 where nothing is known.
    pixel_size_m : float or None
    name : str
    """

    object_: NDArray[np.complex64]
    corner_px: tuple[float, float]
    coverage: NDArray[np.int32] | None
    pixel_size_m: float | None
    name: str


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
    """

    recognises: Callable[[Path], bool]
    read_scan: Callable[[Path, Quantity | None, str | None, Path | None], Scan]
    read_object: Callable[[Path], ObjectFile]
    read_probe: Callable[[Path], NDArray[np.complex64]]


READERS: dict[str, Reader] = {
    "PtychoPINN NPZ": Reader(
        lambda path: path.suffix == ".npz",
        ptychopinn_npz.read_scan,
        lambda path: ObjectFile(*ptychopinn_npz.read_object(path)),
        ptychopinn_npz.read_probe,
    ),
    "Ptychodus HDF5": Reader(
        lambda path: path.suffix in (".h5", ".hdf5") or path.is_dir(),
        ptychodus_hdf5.read_scan,
        lambda path: ObjectFile(*ptychodus_hdf5.read_object(path)),
        ptychodus_hdf5.read_probe,
    ),
}


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
        PtychoPINN NPZ; or Ptychodus' product.h5 (diffraction.h5 beside it), or their folder.
    quantity : "counts" or "amplitude", optional
        What the patterns are; needed where a file does not say and the numbers do not tell.
    position_origin : "corner", "centre" or "ptychodus", optional
        What pixel positions point at; the format decides by default.
    patterns_path : path, optional
        Where the patterns of a Ptychodus product are, if not beside it.

    Raises
    ------
    ScanError
        If the file cannot be read or does not hold a usable scan.

    Examples
    --------
    >>> load_scan("nowhere.npz")
    Traceback (most recent call last):
    ...
    ptychonyx.runtime.errors.ScanError: There is no file nowhere.npz; check the path.
    """
    _check_word("quantity", quantity, ("counts", "amplitude"))
    _check_word("position_origin", position_origin, POSITION_ORIGINS)
    path = Path(path)
    reader = _reader_for(path)
    known: Quantity | None = None
    if quantity is not None:
        known = "counts" if quantity == "counts" else "amplitude"
    extra = Path(patterns_path) if patterns_path is not None else None
    scan = reader.read_scan(path, known, position_origin, extra)
    return replace(scan, name=scan.name or path.stem, source=str(path))


def load_object(path: str | Path) -> ObjectFile:
    """Read the object of a product, a scan or a reference file.

    Raises
    ------
    ScanError
        If there is none.
    """
    return _reader_for(Path(path)).read_object(Path(path))


def load_probe(path: str | Path) -> NDArray[np.complex64]:
    """Read the probe (modes, N, N) of any file that has one.

    Raises
    ------
    ScanError
        If there is none.
    """
    return _reader_for(Path(path)).read_probe(Path(path))


def _reader_for(path: Path) -> Reader:
    if not path.exists():
        raise ScanError(f"There is no file {path}; check the path.")
    for reader in READERS.values():
        if reader.recognises(path):
            return reader
    raise ScanError(
        f"{path} is of no known format; readable are: {', '.join(READERS)} (by the endings .npz, "
        ".h5, .hdf5)."
    )


def _check_word(name: str, value: str | None, words: tuple[str, ...]) -> None:
    if value is not None and value not in words:
        quoted = ", ".join(f'"{word}"' for word in words)
        raise ScanError(f"`{name}` is {value!r}, expected one of: {quoted}.")
