"""One file for each file format, reading and writing it; what a file holds decides which one reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from ..errors import ScanError
from ..files import Output, check_outputs
from ..scan import Quantity, Scan
from . import ptychodus_product, ptychodus_scan, ptychodus_training, ptychopinn_npz
from .assembly.windows import cut_scan
from .beamline import cxi_writing
from .linked_files import linked_files
from .maps.mapped_scan import map_files as map_files
from .maps.template import map_template as map_template
from .options import ScanOptions
from .placed_object import PlacedObject as PlacedObject
from .positions import POSITION_ORIGINS as POSITION_ORIGINS
from .products import is_foreign_product
from .products import load_product as load_product
from .ptychodus_product import check_product_path as check_product_path
from .ptychodus_product import product_output as product_output
from .ptychodus_product import save_product as save_product
from .readers import PRODUCT_FORMAT, PTYCHOPINN_FORMAT, READERS, Reader, is_hdf5, reader_for

HDF5_SUFFIXES = (".h5", ".hdf5", ".hdf")
"""Endings of names by which a new file is HDF5."""

WRITERS: dict[str, Callable[[Scan, Path], None]] = {
    "ptychopinn": ptychopinn_npz.write_scan,
    "ptychodus": ptychodus_scan.write_scan,
    "ptychodus-training": ptychodus_training.write_scan,
    "cxi": cxi_writing.write_scan,
}
"""Format -> what writes a scan in it: an NPZ, a folder of two HDF5 files, one HDF5 file, CXI."""


def load_scan(
    path: str | Path,
    *,
    quantity: str | None = None,
    position_origin: str | None = None,
    patterns_path: str | Path | None = None,
    pattern_axis: str | None = None,
    map_path: str | Path | None = None,
    keys: Mapping[str, str] | None = None,
    crop_px: int | None = None,
    bin: int | None = None,
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
    map_path : path, optional
        YAML file that says where patterns, positions and the rest lie, see `map_template`.
    keys : mapping, optional
        The same in short: {"patterns": "dp", "positions_y": "ppY"}.
    crop_px : int, optional
        Cut windows of this side from the patterns, around the beam.
    bin : int, optional
        Sum so many pixels to one, in either direction.

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
        map_path=None if map_path is None else Path(map_path),
        keys=tuple((keys or {}).items()),
        crop_px=crop_px,
        bin=bin,
    )
    reader = reader_for(path, options)
    _check_choices(reader, path, options)
    try:
        scan = cut_scan(reader.read_scan(path, options), options.crop_px, options.bin)
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
        "ptychodus-training", .cxi is "cxi", and no ending is a folder, "ptychodus".

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
    ValueError: The scan's name scan.tif tells no format; end it in .npz, .h5, .cxi or nothing (a \
folder), or give `format`: ptychopinn, ptychodus, ptychodus-training, cxi.
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
    by_ending = {".npz": "ptychopinn", "": "ptychodus", ".cxi": "cxi"}
    by_ending |= dict.fromkeys(HDF5_SUFFIXES, "ptychodus-training")
    name = format or by_ending.get(path.suffix.lower())
    if name is None or name not in WRITERS:
        what = f"`format` is {format!r}" if format else f"The scan's name {path} tells no format"
        raise ValueError(
            f"{what}; end it in .npz, .h5, .cxi or nothing (a folder), or give `format`: "
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
    return reader_for(Path(path)).read_object(Path(path))


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
    return reader_for(Path(path)).read_probe(Path(path))


def is_result(path: Path) -> bool:
    """Tell whether a file is the result of a reconstruction: Ptychonyx' own, ptypy's, or in CXI.

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
    is_product = reader_for(path) is READERS[PRODUCT_FORMAT]
    if is_product and path.is_file():
        return ptychodus_product.is_result(path)
    return is_foreign_product(path)


def format_of(path: Path) -> str:
    """Return the name of the format of a file, one of `READERS`.

    Raises
    ------
    ScanError
        If it is of no known format, or cannot be read.
    """
    reader = reader_for(path)
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
        candidates = reader_for(path).files_of(path)
    except ScanError:  # loading it says why
        candidates = (path,)
    own = [file for file in candidates if file.is_file()]
    linked = [each for file in own if is_hdf5(file) for each in linked_files(file)]
    return sorted({*own, *linked})


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
            f"`quantity` is {options.quantity!r}, but files such as {path} hold {reader.quantity}; leave it "
            "out."
        )
    if reader.has_origin and options.position_origin is not None:
        raise ScanError(
            f"`position_origin` is {options.position_origin!r}, but positions of a Ptychodus product "
            f"are in metres, which leave no choice ({path}); leave it out."
        )
    if options.pattern_axis == "last" and reader is not READERS[PTYCHOPINN_FORMAT]:
        raise ScanError(
            f"`pattern_axis` is 'last', but the first axis counts the patterns of {path}, or a map says "
            "which (`axes`); leave it out."
        )
    if options.patterns_path is not None and not reader.has_patterns_apart:
        raise ScanError(
            f"{path} holds its own patterns; leave out the separate file {options.patterns_path}."
        )
