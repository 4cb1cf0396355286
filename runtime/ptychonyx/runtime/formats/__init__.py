"""One file for each file format, reading and writing it; what a file holds decides which one reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from ..errors import ScanError
from ..files import Output, check_outputs
from ..scan import Quantity, Scan
from . import npy, ptychodus_product, ptychodus_scan, ptychodus_training, ptychopinn_npz
from .linked_files import linked_files
from .options import ScanOptions
from .placed_object import PlacedObject as PlacedObject
from .positions import POSITION_ORIGINS as POSITION_ORIGINS
from .ptychodus_product import check_product_path as check_product_path
from .ptychodus_product import load_product as load_product
from .ptychodus_product import product_output as product_output
from .ptychodus_product import save_product as save_product
from .storage.npz import Npz

HDF5_SUFFIXES = (".h5", ".hdf5", ".hdf")


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
    """

    recognises: Callable[[Path], bool]
    read_scan: Callable[[Path, ScanOptions], Scan]
    read_object: Callable[[Path], PlacedObject]
    read_probe: Callable[[Path], NDArray[np.complex64]]
    files_of: Callable[[Path], tuple[Path, ...]] = lambda path: (path,)
    quantity: Quantity | None = None
    has_origin: bool = False
    has_patterns_apart: bool = False


def _is_hdf5(path: Path) -> bool:
    return path.is_dir() or path.suffix.lower() in HDF5_SUFFIXES


def _is_product_npz(path: Path) -> bool:
    return path.suffix.lower() == ".npz" and "probe_position_x_m" in Npz(path)


def _product_of(path: Path) -> Path:
    return path / ptychodus_scan.PRODUCT if path.is_dir() else path


PRODUCT_FORMAT = "Ptychodus product (HDF5 or NPZ)"

READERS: dict[str, Reader] = {
    "Ptychodus training HDF5": Reader(
        lambda path: path.is_file() and _is_hdf5(path) and ptychodus_training.recognises(path),
        ptychodus_training.read_scan,
        ptychodus_training.read_object,
        ptychodus_training.read_probe,
        quantity="counts",
    ),
    PRODUCT_FORMAT: Reader(
        lambda path: _is_hdf5(path) or _is_product_npz(path),
        ptychodus_scan.read_scan,
        lambda path: ptychodus_product.read_object(_product_of(path)),
        lambda path: ptychodus_product.read_probe(_product_of(path)),
        ptychodus_scan.pair_of,
        quantity="counts",
        has_origin=True,
        has_patterns_apart=True,
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

WRITERS: dict[str, Callable[[Scan, Path], None]] = {
    "ptychopinn": ptychopinn_npz.write_scan,
    "ptychodus": ptychodus_scan.write_scan,
    "ptychodus-training": ptychodus_training.write_scan,
}
"""Format -> what writes a scan in it: an NPZ, a folder of two HDF5 files, one HDF5 file."""


def load_scan(
    path: str | Path,
    *,
    quantity: str | None = None,
    position_origin: str | None = None,
    patterns_path: str | Path | None = None,
    pattern_axis: str | None = None,
) -> Scan:
    """Open a scan; patterns are read when they are needed.

    Parameters
    ----------
    path : path
        PtychoPINN NPZ; Ptychodus' product (diffraction.h5 beside it), its diffraction.h5
        (product.h5 beside it), or their folder; Ptychodus' training HDF5.
    quantity : "counts" or "amplitude", optional
        What the patterns are; needed where a file does not say and the numbers do not tell.
    position_origin : "corner", "center" or "ptychodus", optional
        What pixel positions point at: the window's corner, its pixel N/2, or its point (N−1)/2. The
        format decides by default.
    patterns_path : path, optional
        Where the patterns of a Ptychodus product are, if not beside it.
    pattern_axis : "first" or "last", optional
        Which axis of the patterns in an NPZ counts them; needed where the shape does not tell.

    Returns
    -------
    Scan

    Raises
    ------
    ScanError
        If the file cannot be read or does not hold a usable scan.
    QuantityError
        If only the user can tell whether the patterns are counts or amplitudes.
    AxisError
        If only the user can tell which axis counts patterns.

    Examples
    --------
    >>> load_scan("nowhere.npz")
    Traceback (most recent call last):
    ...
    ptychonyx.runtime.errors.ScanError: There is no file nowhere.npz; check the path.
    """
    path = Path(path)
    options = ScanOptions(
        quantity=cast(Quantity | None, quantity),
        position_origin=position_origin,
        patterns_path=None if patterns_path is None else Path(patterns_path),
        pattern_axis=pattern_axis,
    )
    reader = _reader_for(path)
    _check_choices(reader, path, options)
    try:
        scan = reader.read_scan(path, options)
    except ScanError as error:
        _check_named(error, path, options, reader)
        raise
    name = (scan.name or path.stem).encode(errors="backslashreplace").decode()
    return replace(scan, name=name, source=str(path))  # no file format takes bytes that are no text


def save_scan(scan: Scan, path: str | Path, *, format: str | None = None) -> None:
    """Write a scan that `load_scan` reads.

    Parameters
    ----------
    scan : Scan
    path : path
        An NPZ or HDF5 file, or for "ptychodus" a folder.
    format : str, optional
        One of `WRITERS`; by default the path's ending decides: .npz is "ptychopinn", .h5 is
        "ptychodus-training", and no ending is a folder, "ptychodus".

    Raises
    ------
    ScanError
        If the scan lacks what the format needs.
    ValueError
        For another format or ending.

    Examples
    --------
    >>> scan = Scan(np.ones((2, 8, 8)), "counts", np.array([[0.0, 1.5], [3.0, 4.0]]))
    >>> save_scan(scan, "scan.tif")
    Traceback (most recent call last):
    ...
    ValueError: The scan's name scan.tif tells no format; end it in .npz, .h5 or nothing (a \
folder), or give `format`: ptychopinn, ptychodus, ptychodus-training.
    """
    path = Path(path)
    check_outputs([], scan_outputs(path, format))
    WRITERS[_format_for(path, format)](scan, path)


def scan_outputs(path: Path, format: str | None = None) -> list[Output]:
    """Return the files that `save_scan` writes, as `check_outputs` takes them.

    Raises
    ------
    ValueError
        For another format or ending.

    Examples
    --------
    >>> [output.path.as_posix() for output in scan_outputs(Path("scan"))]
    ['scan/diffraction.h5', 'scan/product.h5']
    """
    if _format_for(path, format) != "ptychodus":
        return [Output(path, what="scan")]
    names = (ptychodus_scan.PATTERNS, ptychodus_scan.PRODUCT)
    return [Output(path / name, is_folder_made=True, what="scan") for name in names]


def _format_for(path: Path, format: str | None) -> str:
    by_ending = {".npz": "ptychopinn", "": "ptychodus"}
    by_ending |= dict.fromkeys(HDF5_SUFFIXES, "ptychodus-training")
    name = format or by_ending.get(path.suffix.lower())
    if name is None or name not in WRITERS:
        what = f"`format` is {format!r}" if format else f"The scan's name {path} tells no format"
        raise ValueError(
            f"{what}; end it in .npz, .h5 or nothing (a folder), or give `format`: "
            f"{', '.join(WRITERS)}."
        )
    return name


def load_object(path: str | Path) -> PlacedObject:
    """Read the object of a product, a scan, a reference file or a bare array.

    Returns
    -------
    PlacedObject

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


def is_result(path: Path) -> bool:
    """Tell whether a file is the product of a reconstruction that Ptychonyx made.

    Raises
    ------
    ScanError
        If it is of no known format, or cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/star.npy", np.ones((4, 6)))
    ...     is_result(Path(folder, "star.npy"))
    False
    """
    is_product = _reader_for(path) is READERS[PRODUCT_FORMAT]
    return is_product and path.is_file() and ptychodus_product.is_result(path)


def format_of(path: Path) -> str:
    """Return the name of the format of a file, one of `READERS`.

    Raises
    ------
    ScanError
        If it is of no known format, or cannot be read.
    """
    reader = _reader_for(path)
    return next(name for name, each in READERS.items() if each is reader)


def files_of(path: Path) -> list[Path]:
    """Return every file that loading a scan may read: of Ptychodus' formats, both halves.

    Files to which an HDF5 file links are among them.

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
    own = [file for file in candidates if file.is_file()]
    linked = [each for file in own if _is_hdf5(file) for each in linked_files(file)]
    return sorted({*own, *linked})


def _reader_for(path: Path) -> Reader:
    if not path.exists():
        raise ScanError(f"There is no file {path}; check the path.")
    if not (path.is_file() or path.is_dir()):
        raise ScanError(
            f"{path} is a pipe or a device, but files are read at several places; write it to a file "
            "first."
        )
    for reader in READERS.values():
        if reader.recognises(path):
            return reader
    raise ScanError(
        f"{path} is of no known format; readable are: {', '.join(READERS)} (by the endings .npz, "
        f".npy, {', '.join(HDF5_SUFFIXES)}): convert or rename the file."
    )


def _check_named(error: ScanError, path: Path, options: ScanOptions, reader: Reader) -> None:
    """Raise an error that names the file, if this one does not: a `Scan` does not know of files."""
    message = str(error)
    is_named = str(path) in message or str(options.patterns_path) in message
    if not is_named and not any(str(file) in message for file in reader.files_of(path)):
        raise ScanError(f"{path}: {message}") from error


def _check_choices(reader: Reader, path: Path, options: ScanOptions) -> None:
    """Refuse what a format leaves no choice about."""
    if reader.quantity is not None and options.quantity not in (None, reader.quantity):
        raise ScanError(
            f"`quantity` is {options.quantity!r}, but Ptychodus files hold {reader.quantity} "
            f"({path}); leave it out."
        )
    if reader.has_origin and options.position_origin is not None:
        raise ScanError(
            f"`position_origin` is {options.position_origin!r}, but positions of a Ptychodus product "
            f"are in metres, which leave no choice ({path}); leave it out."
        )
    if options.pattern_axis == "last" and reader is not READERS["PtychoPINN NPZ"]:
        raise ScanError(
            f"`pattern_axis` is 'last', but the first axis counts the patterns of Ptychodus files "
            f"({path}); leave it out."
        )
    if options.patterns_path is not None and not reader.has_patterns_apart:
        raise ScanError(
            f"{path} holds its own patterns; leave out the separate file {options.patterns_path}."
        )
