"""PtychoPINN's NPZ: patterns, pixel positions, probe and object in one file.

Ptychodus 1.7 writes the same keys with its own position convention. What tells such a file is all that
it holds: a mask alone, which anyone may add, never moves positions.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..errors import AxisError, QuantityError, ScanError
from ..files import write_atomically
from ..scan import Quantity, Scan
from .options import ScanOptions
from .placed_object import PlacedObject, take_object, take_probe
from .positions import POSITION_ORIGINS, corners_from_positions, positions_from_corners
from .storage.arrays import (
    REALS,
    check_fits,
    check_kind,
    column_length,
    read_column,
    read_mask,
    read_positive,
    read_text,
)
from .storage.npz import Npz

PATTERN_KEYS = ("diff3d", "diffraction")
POSITION_KEYS = (("ycoords", "xcoords"), ("ycoords_start", "xcoords_start"))
OBJECT_KEYS = ("objectGuess", "object")
PROBE_KEYS = ("probeGuess", "probe_modes", "probe")
ORIGIN_KEY = "position_origin"
"""What positions point at, in files that we wrote."""
PTYCHODUS_KEYS = (
    *("bad_pixels", "scan_index", "probeGuess", "objectGuess"),
    *(name for names in POSITION_KEYS for name in names),
)
"""Ptychodus 1.7 writes all of these, with a probe (modes, N, N) and positions in double precision."""
NUM_SAMPLED = 16
"""Patterns looked at to tell counts from amplitudes."""
METRES_BELOW = 1e-3
"""Positions that are all smaller than this are metres: no scan is a thousandth of a pixel wide."""


def read_scan(path: Path, options: ScanOptions) -> Scan:
    """Read a scan. Patterns stay on disk until they are sliced for the first time.

    Without `quantity`, a sample of the patterns is read to tell.
    """
    file = Npz(path)
    names = _find_positions(file)
    key = _find(file, PATTERN_KEYS, "diffraction patterns")
    patterns = NpzPatterns(file, key, column_length(file.header(names[0])), options.pattern_axis)
    side = patterns.shape[1]
    bad_pixels = read_mask(file, "bad_pixels", side) if "bad_pixels" in file else None
    positions_px = _read_positions(file, names)
    origin = options.position_origin or _origin_of(file)
    return Scan(
        patterns=patterns,
        quantity=options.quantity or _sniff_quantity(path, patterns, bad_pixels),
        corners_px=corners_from_positions(positions_px, side, origin=origin),
        probe=_read_probe(file, side),
        object_=_read_object(file),
        bad_pixels=bad_pixels,
        pixel_size_m=read_positive(file, "pixel_size_m"),
        photon_energy_eV=read_positive(
            file, "photon_energy_eV", "probe_energy_eV", "probe_energy_ev"
        ),
        detector_distance_m=read_positive(
            file, "detector_distance_m", "detector_object_distance_m"
        ),
        position_origin=origin,
        name=path.stem,
    )


def read_object(path: Path) -> PlacedObject:
    """Read the object; it lies at (0, 0) in such files."""
    file = Npz(path)
    object_ = _read_object(file)
    if object_ is None:
        raise ScanError(
            f"{path} holds no object; expected one of: {', '.join(OBJECT_KEYS)}; it holds: "
            f"{', '.join(file.names)}."
        )
    return PlacedObject(object_, pixel_size_m=read_positive(file, "pixel_size_m"), name=path.stem)


def read_probe(path: Path) -> NDArray[np.complex64]:
    """Read the probe, modes first."""
    file = Npz(path)
    probe = _read_probe(file)
    if probe is None:
        raise ScanError(
            f"{path} holds no probe; expected one of: {', '.join(PROBE_KEYS)}; it holds: "
            f"{', '.join(file.names)}."
        )
    return probe


def write_scan(scan: Scan, path: str | Path) -> None:
    """Write a scan as PtychoPINN NPZ, with what it knows about pixel size, energy and distance.

    `diff3d` is as stored; the format has no word for whether that is counts or amplitudes. It has
    the object at (0, 0), so positions are written relative to it. They point at pixel N/2 of the
    window; in a file with `bad_pixels` at (N−1)/2, the convention of such files.

    Parameters
    ----------
    scan : Scan
    path : path
        The file appears whole or not at all.

    Examples
    --------
    >>> import tempfile
    >>> scan = Scan(np.ones((2, 8, 8)), "counts", np.array([[0.0, 1.5], [3.0, 4.0]]))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_scan(scan, f"{folder}/scan.npz")
    ...     read_scan(Path(f"{folder}/scan.npz"), ScanOptions("counts")).corners_px.tolist()
    [[0.0, 1.5], [3.0, 4.0]]
    """
    origin = "center" if scan.bad_pixels is None else "ptychodus"
    corners_px = scan.corners_px - np.array(scan.object_corner_px)
    y, x = positions_from_corners(corners_px, scan.window_px, origin=origin).T
    arrays: dict[str, Any] = {
        "diff3d": scan.patterns[0 : scan.num_patterns],
        "ycoords": y,
        "xcoords": x,
        "ycoords_start": y,
        "xcoords_start": x,
        "scan_index": np.zeros(scan.num_patterns, dtype=np.int64),
        ORIGIN_KEY: np.array(origin),
    }
    optional = {
        "probeGuess": scan.probe,
        "objectGuess": scan.object_,
        "bad_pixels": scan.bad_pixels,
        "pixel_size_m": scan.pixel_size_m,
        "photon_energy_eV": scan.photon_energy_eV,
        "detector_distance_m": scan.detector_distance_m,
    }
    arrays |= {name: value for name, value in optional.items() if value is not None}

    def write(out: BinaryIO) -> None:
        np.savez_compressed(out, allow_pickle=False, **arrays)

    write_atomically(Path(path), write)


class NpzPatterns:
    """Patterns of an NPZ member: decompressed as a whole at the first slice, then kept.

    The axes may be (n, N, N) or (N, N, n), and the axis that counts patterns is as long as there are
    positions.

    Parameters
    ----------
    file : Npz
    key : str
        Name of the array.
    num_positions : int
    axis : "first" or "last", optional
        The axis that counts patterns; needed where both could.

    Raises
    ------
    AxisError
        If both could.
    ScanError
        If the array is no stack of images, empty, or too large.
    """

    def __init__(self, file: Npz, key: str, num_positions: int, axis: str | None = None) -> None:
        self._file, self._key = file, key
        header = file.header(key)
        self.dtype, stored = header.dtype, header.shape
        check_kind(header, REALS)
        shape = stored[:-1] if len(stored) == 4 and stored[-1] == 1 else stored
        if len(shape) != 3:
            raise ScanError(
                f"{header} has shape {stored}, expected (n, N, N) or (N, N, n): correct the file."
            )
        if axis is None and len(stored) == 3 and set(shape) == {num_positions} != {0}:
            raise AxisError(file.path, key, stored)
        is_last = shape[0] != num_positions and shape[2] == num_positions
        self._is_last = is_last if axis is None else axis == "last"
        self.shape: tuple[int, ...] = (shape[2], *shape[:2]) if self._is_last else shape
        if self.shape[0] != num_positions:
            raise ScanError(
                f"{header} holds {self.shape[0]} patterns, but there are {num_positions} positions; its "
                f"shape {stored} needs one pattern for each position along the first or the last "
                "axis: correct the file."
            )
        if 0 in self.shape:
            raise ScanError(
                f"The scan is empty: {header} has shape {stored}; at least one pattern is needed: "
                "check how the file was made."
            )
        check_fits(header)

    @cached_property
    def _array(self) -> NDArray[Any]:
        array = self._file.read(self._key)
        if array.ndim == 4:
            array = array[..., 0]
        return np.ascontiguousarray(array.transpose(2, 0, 1)) if self._is_last else array

    def __getitem__(self, key: slice | NDArray[np.int64], /) -> NDArray[Any]:
        """Return the patterns of one slice, or of some indexes."""
        part: NDArray[Any] = self._array[key]
        return part


def _find_positions(file: Npz) -> tuple[str, str]:
    """Return the names of y and x, by preference where the beam was measured to be."""
    complete = [names for names in POSITION_KEYS if all(name in file for name in names)]
    if not complete:
        missing = [name for name in POSITION_KEYS[0] if name not in file]
        raise ScanError(
            f"{file.path} has no `{missing[0]}`; a PtychoPINN NPZ needs ycoords and xcoords, in "
            f"pixels. It holds: {', '.join(file.names)}."
        )
    names = complete[0]
    num_y, num_x = (column_length(file.header(name)) for name in names)
    if num_y != num_x:
        raise ScanError(
            f"{file.path} has {num_y} `{names[0]}` but {num_x} `{names[1]}`; each position needs "
            "both: correct the file."
        )
    return names


def _read_positions(file: Npz, names: tuple[str, str]) -> NDArray[np.float64]:
    """Return positions (n, 2) as (y, x)."""
    y, x = (read_column(file, name) for name in names)
    largest = max(np.abs(y).max(initial=0), np.abs(x).max(initial=0))
    if 0 < largest < METRES_BELOW:
        raise ScanError(
            f"The positions of {file.path} are at most {largest:.3g}, which must be metres; pixels "
            "are needed: divide them by the object's pixel size."
        )
    return np.stack([y, x], axis=1)


def _origin_of(file: Npz) -> str:
    """Return what positions point at: what the file says, or by the program that wrote it."""
    if ORIGIN_KEY in file:
        origin = read_text(file, ORIGIN_KEY)
        if origin not in POSITION_ORIGINS:
            raise ScanError(
                f"{file.path}: `{ORIGIN_KEY}` is {origin!r}, expected one of: "
                f"{', '.join(POSITION_ORIGINS)}; correct the file."
            )
        return origin
    is_ptychodus = (
        all(name in file for name in PTYCHODUS_KEYS)
        and len(file.header("probeGuess").shape) == 3
        and file.header("xcoords").dtype == np.float64
    )
    return "ptychodus" if is_ptychodus else "center"


def _find(file: Npz, names: tuple[str, ...], what: str) -> str:
    for name in names:
        if name in file:
            return name
    raise ScanError(
        f"{file.path} holds no {what}; expected one of: {', '.join(names)}; it holds: "
        f"{', '.join(file.names)}."
    )


def _read_probe(file: Npz, window_px: int | None = None) -> NDArray[np.complex64] | None:
    for name in PROBE_KEYS:
        if name in file:
            return take_probe(file, name, window_px)
    return None


def _read_object(file: Npz) -> NDArray[np.complex64] | None:
    for name in OBJECT_KEYS:
        if name in file:
            return take_object(file, name)
    return None


def _sniff_quantity(
    path: Path, patterns: NpzPatterns, bad_pixels: NDArray[np.bool_] | None
) -> Quantity:
    """Tell amplitudes by their fractions; whole numbers could be either, so the user must say."""
    step = max(1, patterns.shape[0] // NUM_SAMPLED)
    good = _good_values(patterns[::step], bad_pixels)
    if good.max(initial=0) == 0:  # nothing in the sample, but perhaps elsewhere
        good = _good_values(patterns[:], bad_pixels)
    if np.any(good != np.round(good)):
        return "amplitude"
    largest = good.max(initial=0)
    if largest == 0:
        raise ScanError(
            f"{path}: all sampled diffraction patterns are zero or not finite in good pixels; "
            "check which array of the file holds the patterns, and the bad pixels."
        )
    raise QuantityError(path, float(largest))


def _good_values(
    patterns: NDArray[Any], bad_pixels: NDArray[np.bool_] | None
) -> NDArray[np.float64]:
    """Return finite values of good pixels; a mask of a wrong shape is for `Scan` to refuse."""
    if bad_pixels is not None and bad_pixels.shape == patterns.shape[1:]:
        patterns = patterns[:, ~bad_pixels]
    values = patterns.astype(np.float64)
    return np.asarray(values[np.isfinite(values)])
