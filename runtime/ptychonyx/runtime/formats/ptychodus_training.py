"""Ptychodus' training data (since 1.7): patterns, pixel positions, probe and object in one HDF5."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
from numpy.typing import NDArray

from ..errors import ScanError
from ..files import write_atomically
from ..scan import Scan
from .hdf5 import Hdf5Patterns, dataset_names, open_hdf5, read_dataset
from .options import ScanOptions
from .placed_object import PlacedObject, as_object, as_probe
from .positions import corners_from_positions, positions_from_corners
from .positive import positive_or_unknown

POSITION_KEYS = ("probe_position_y_px", "probe_position_x_px")
WRITE_BATCH = 256


def recognises(path: Path) -> bool:
    """Tell whether an HDF5 file has positions in pixels."""
    names = dataset_names(path)
    return any(name in names for name in POSITION_KEYS)


def read_scan(path: Path, options: ScanOptions) -> Scan:
    """Read a scan; patterns stay on disk. The file does not say where its frame lies in metres."""
    origin = options.position_origin or "ptychodus"
    patterns = Hdf5Patterns(path)
    with open_hdf5(path) as file:
        axes = [read_dataset(file, name, path).astype(np.float64) for name in POSITION_KEYS]
        optional = {
            name: np.asarray(file[name])
            for name in ("probe", "object", "bad_pixels")
            if name in file
        }
        numbers = {
            name: _positive(file, name, path)
            for name in ("object_pixel_width_m", "photon_energy_eV", "detector_object_distance_m")
        }
    y, x = axes
    if len(y) != len(x):
        raise ScanError(
            f"{path} has {len(y)} `{POSITION_KEYS[0]}` but {len(x)} `{POSITION_KEYS[1]}`; each "
            "position needs both: correct the file."
        )
    positions_px = np.stack([y, x], axis=1)
    return Scan(
        patterns=patterns,
        quantity="counts",
        corners_px=corners_from_positions(positions_px, patterns.shape[-1], origin=origin),
        probe=_optional(as_probe, optional, "probe", path),
        object_=_optional(as_object, optional, "object", path),
        bad_pixels=optional["bad_pixels"].astype(np.bool_) if "bad_pixels" in optional else None,
        pixel_size_m=numbers["object_pixel_width_m"],
        photon_energy_eV=numbers["photon_energy_eV"],
        detector_distance_m=numbers["detector_object_distance_m"],
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
    num, side = scan.num_patterns, scan.window_px
    bad = np.zeros((side, side), np.bool_) if scan.bad_pixels is None else scan.bad_pixels
    in_object = scan.corners_px - np.array(scan.object_corner_px)
    positions_px = positions_from_corners(in_object, side, origin="ptychodus")
    pixel_m = scan.frame.pixel_size_m if scan.frame else (scan.pixel_size_m, scan.pixel_size_m)
    with h5py.File(out, "w") as file:
        patterns = file.create_dataset(
            "patterns",
            shape=(num, side, side),
            dtype=scan.patterns.dtype,
            chunks=(1, side, side),
            compression="lzf",
        )
        for start in range(0, num, WRITE_BATCH):
            stop = min(start + WRITE_BATCH, num)
            patterns[start:stop] = scan.patterns[start:stop]
        file["bad_pixels"] = bad
        if scan.probe is not None:
            file["probe"] = scan.probe
        file["object"] = scan.object_
        file[POSITION_KEYS[0]], file[POSITION_KEYS[1]] = positions_px.T.copy()
        file["object_pixel_height_m"], file["object_pixel_width_m"] = pixel_m
        file["detector_object_distance_m"] = scan.detector_distance_m
        file["photon_energy_eV"] = scan.photon_energy_eV


def read_object(path: Path) -> PlacedObject:
    """Read the object; it lies at (0, 0) in such files."""
    with open_hdf5(path) as file:
        object_ = read_dataset(file, "object", path)
        pixel_size_m = _positive(file, "object_pixel_width_m", path)
    return PlacedObject(
        as_object(object_, "object", path), pixel_size_m=pixel_size_m, name=path.stem
    )


def read_probe(path: Path) -> NDArray[np.complex64]:
    """Read the probe, modes first."""
    with open_hdf5(path) as file:
        probe = read_dataset(file, "probe", path)
    return as_probe(probe, "probe", path)


def _optional(
    convert: Any, arrays: dict[str, NDArray[Any]], name: str, path: Path
) -> NDArray[np.complex64] | None:
    converted: NDArray[np.complex64] | None = None
    if name in arrays and arrays[name].size:
        converted = convert(arrays[name], name, path)
    return converted


def _positive(file: h5py.File, name: str, path: Path) -> float | None:
    """Return a number, whether it is a dataset or an attribute; None if it is not positive."""
    source = file if name in file else file.attrs
    if name not in source:
        return None
    value = float(np.asarray(source[name][()] if name in file else source[name]).reshape(()))
    return positive_or_unknown(value, name, path)
