"""Ptychodus' training data (since 1.7): patterns, pixel positions, probe and object in one HDF5."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..errors import ScanError
from ..files import write_atomically
from ..scan import Scan
from .fields.flat_fields import FlatHdf5
from .options import ScanOptions
from .placed_object import PlacedObject, take_object, take_probe
from .positions import corners_from_positions, positions_from_corners
from .storage.arrays import column_length, read_column, read_mask, read_positive
from .storage.hdf5 import Hdf5, Hdf5Patterns
from .storage.hdf5_writing import new_hdf5, write_datasets, write_patterns

POSITION_KEYS = ("probe_position_y_px", "probe_position_x_px")
DATASETS = (
    *POSITION_KEYS,
    *("probe", "object", "bad_pixels"),
    *("object_pixel_width_m", "photon_energy_eV", "detector_object_distance_m"),
)


def recognises(path: Path) -> bool:
    """Tell whether an HDF5 file has positions in pixels."""
    names = Hdf5(path).names
    return any(name in names for name in POSITION_KEYS)


def read_scan(path: Path, options: ScanOptions) -> Scan:
    """Read a scan; patterns stay on disk. The file does not say where its frame lies in metres."""
    origin = options.position_origin or "ptychodus"
    patterns = Hdf5Patterns(path)
    file = FlatHdf5(path, DATASETS)
    num_y, num_x = (column_length(file.header(name)) for name in POSITION_KEYS)
    if num_y != num_x:
        raise ScanError(
            f"{path} has {num_y} `{POSITION_KEYS[0]}` but {num_x} `{POSITION_KEYS[1]}`; each "
            "position needs both: correct the file."
        )
    y, x = (read_column(file, name) for name in POSITION_KEYS)
    side = patterns.shape[-1]
    positions_px = np.stack([y, x], axis=1)
    return Scan(
        patterns=patterns,
        quantity="counts",
        corners_px=corners_from_positions(positions_px, side, origin=origin),
        probe=take_probe(file, "probe", side) if _has(file, "probe") else None,
        object_=take_object(file, "object") if _has(file, "object") else None,
        bad_pixels=read_mask(file, "bad_pixels", side) if "bad_pixels" in file else None,
        pixel_size_m=read_positive(file, "object_pixel_width_m"),
        photon_energy_eV=read_positive(file, "photon_energy_eV"),
        detector_distance_m=read_positive(file, "detector_object_distance_m"),
        position_origin=origin,
        name=path.stem,
    )


def write_scan(scan: Scan, path: str | Path) -> None:
    """Write a scan as one file that `train` reads, and Ptychodus since 1.7 opens.

    Where the scan's frame lies in metres, and its scan indexes, are not kept: the format has no
    place for them.

    Parameters
    ----------
    scan : Scan
        Counts, with object, pixel size, photon energy and detector distance; Ptychodus needs the
        probe, too, `train` does not.
    path : path

    Raises
    ------
    ScanError
        If the scan lacks one of these, or holds amplitudes.
    """
    if scan.quantity != "counts":
        raise ScanError(
            f"`quantity` is {scan.quantity!r}, but Ptychodus files hold counts; write an NPZ."
        )
    for name in ("object_", "pixel_size_m", "photon_energy_eV", "detector_distance_m"):
        if getattr(scan, name) is None:
            raise ScanError(f"The scan has no `{name}`, which the file needs; supply it.")
    write_atomically(Path(path), lambda out: _write(scan, out))


def _write(scan: Scan, out: BinaryIO) -> None:
    side = scan.window_px
    bad = np.zeros((side, side), np.bool_) if scan.bad_pixels is None else scan.bad_pixels
    in_object = scan.corners_px - np.array(scan.object_corner_px)
    positions_px = positions_from_corners(in_object, side, origin="ptychodus")
    pixel_m = scan.frame.pixel_size_m if scan.frame else (scan.pixel_size_m, scan.pixel_size_m)
    values = {
        "bad_pixels": bad,
        "object": scan.object_,
        POSITION_KEYS[0]: positions_px[:, 0],
        POSITION_KEYS[1]: positions_px[:, 1],
        "object_pixel_height_m": pixel_m[0],
        "object_pixel_width_m": pixel_m[1],
        "detector_object_distance_m": scan.detector_distance_m,
        "photon_energy_eV": scan.photon_energy_eV,
    }
    with new_hdf5(out) as file:
        write_patterns(file, scan, in_chunk=1)
        write_datasets(file, values if scan.probe is None else values | {"probe": scan.probe})


def read_object(path: Path) -> PlacedObject:
    """Read the object; it lies at (0, 0) in such files."""
    file = FlatHdf5(path, DATASETS)
    return PlacedObject(
        take_object(file, "object"),
        pixel_size_m=read_positive(file, "object_pixel_width_m"),
        name=path.stem,
    )


def read_probe(path: Path) -> NDArray[np.complex64]:
    """Read the probe, modes first."""
    return take_probe(Hdf5(path), "probe")


def _has(file: FlatHdf5, name: str) -> bool:
    return name in file and 0 not in file.header(name).shape
