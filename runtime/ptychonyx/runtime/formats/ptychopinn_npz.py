"""PtychoPINN's NPZ: patterns, pixel positions, probe and object in one file.

Ptychodus 1.7 writes the same keys with `bad_pixels` added and its own position convention.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import QuantityError, ScanError
from ..scan import Quantity, Scan

PATTERN_KEYS = ("diff3d", "diffraction")
OBJECT_KEYS = ("objectGuess", "object")
PROBE_KEYS = ("probeGuess", "probe_modes", "probe")
NUM_SAMPLED = 16
"""Patterns looked at to tell counts from amplitudes."""


def read_scan(
    path: Path, quantity: Quantity | None, position_origin: str | None, patterns_path: Path | None
) -> Scan:
    """Read a scan. Patterns stay on disk until they are sliced for the first time."""
    if patterns_path is not None:
        raise ScanError(
            f"{path} holds its own patterns; leave out the separate file {patterns_path}."
        )
    file = _Npz(path)
    y, x = _positions(file)
    patterns = _Patterns(file, _first_key(file, PATTERN_KEYS, "diffraction patterns"), len(y))
    origin = position_origin or ("ptychodus" if "bad_pixels" in file.keys else "centre")
    offset = POSITION_OFFSETS[origin](patterns.shape[1])
    object_ = _object(file)
    return Scan(
        patterns=patterns,
        quantity=quantity or _sniff_quantity(path, patterns),
        corners_px=np.stack([y, x], axis=1) - offset,
        probe=_probe(file),
        object_=object_,
        bad_pixels=file["bad_pixels"].astype(np.bool_) if "bad_pixels" in file.keys else None,
        pixel_size_m=_scalar(file, "pixel_size_m"),
        photon_energy_eV=_scalar(file, "photon_energy_eV"),
        detector_distance_m=_scalar(file, "detector_distance_m"),
        position_origin=origin,
        name=path.stem,
    )


def read_object(
    path: Path,
) -> tuple[NDArray[np.complex64], tuple[float, float], NDArray[np.int32] | None, float | None, str]:
    """Read object, corner, coverage, pixel size and name."""
    file = _Npz(path)
    object_ = _object(file)
    if object_ is None:
        raise ScanError(f"{path} holds no object; expected one of: {', '.join(OBJECT_KEYS)}.")
    corner = (0.0, 0.0)
    if "ptychonyx_object_corner_px" in file.keys:
        y, x = file["ptychonyx_object_corner_px"].tolist()
        corner = (float(y), float(x))
    coverage = None
    if "ptychonyx_coverage" in file.keys:
        coverage = file["ptychonyx_coverage"].astype(np.int32)
    pixel_size_m = _scalar(file, "pixel_size_m") or _scalar(file, "object_pixel_width_m")
    return object_, corner, coverage, pixel_size_m, path.stem


def read_probe(path: Path) -> NDArray[np.complex64]:
    """Read the probe, modes first."""
    probe = _probe(_Npz(path))
    if probe is None:
        raise ScanError(f"{path} holds no probe; expected one of: {', '.join(PROBE_KEYS)}.")
    return probe


def write_ptychopinn_npz(scan: Scan, path: Path) -> None:
    """Write a scan as PtychoPINN NPZ: `diff3d` as stored, positions at pixel N/2 of the window.

    The object must lie at (0, 0) in the scan's frame, since the format has no place for a corner.
    """
    if scan.object_ is not None and tuple(scan.object_corner_px) != (0.0, 0.0):
        raise ScanError(
            f"The object's corner is {scan.object_corner_px}, but this format needs (0, 0); shift "
            "`corners_px` by it."
        )
    centres = scan.corners_px + scan.window_px // 2
    arrays: dict[str, Any] = {
        "diff3d": scan.patterns[0 : scan.num_patterns],
        "ycoords": centres[:, 0],
        "xcoords": centres[:, 1],
        "ycoords_start": centres[:, 0],
        "xcoords_start": centres[:, 1],
        "scan_index": np.zeros(scan.num_patterns, dtype=np.int64),
    }
    optional = {
        "probeGuess": scan.probe,
        "objectGuess": scan.object_,
        "pixel_size_m": scan.pixel_size_m,
        "photon_energy_eV": scan.photon_energy_eV,
        "detector_distance_m": scan.detector_distance_m,
    }
    arrays |= {name: value for name, value in optional.items() if value is not None}
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


POSITION_OFFSETS: dict[str, Callable[[int], float]] = {
    "corner": lambda window_px: 0.0,
    "centre": lambda window_px: window_px / 2,
    "ptychodus": lambda window_px: (window_px - 1) / 2,
}


class _Npz(Mapping[str, NDArray[Any]]):
    """An NPZ file that explains what is wrong with it; it never unpickles."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with np.load(path, allow_pickle=False) as file:
                if not hasattr(file, "files"):
                    raise ScanError(f"{path} is a bare array, not an NPZ of named arrays.")
                self.keys_found = tuple(file.files)
        except (zipfile.BadZipFile, EOFError, ValueError, OSError) as error:
            if isinstance(error, ScanError):
                raise
            raise ScanError(
                f"{path} is not a readable NPZ file ({error}); it may be truncated: copy it again."
            ) from None

    @property
    def keys(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.keys_found

    def __iter__(self) -> Any:
        return iter(self.keys_found)

    def __len__(self) -> int:
        return len(self.keys_found)

    def __getitem__(self, key: str) -> NDArray[Any]:
        try:
            with np.load(self.path, allow_pickle=False) as file:
                array: NDArray[Any] = file[key]
        except ValueError as error:
            raise ScanError(
                f"`{key}` of {self.path} cannot be read ({error}); it must be a plain numeric array."
            ) from None
        except (zipfile.BadZipFile, EOFError, zlib.error, OSError) as error:
            raise ScanError(
                f"`{key}` of {self.path} is damaged ({error}); copy the file again."
            ) from None
        return array

    def header(self, key: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
        """Return shape and dtype without reading the data."""
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(f"{key}.npy") as member:
                version = np.lib.format.read_magic(member)
                read: Any = {
                    (1, 0): np.lib.format.read_array_header_1_0,
                    (2, 0): np.lib.format.read_array_header_2_0,
                }[version]
                shape, _, dtype = read(member)
        except (zipfile.BadZipFile, EOFError, zlib.error, ValueError, KeyError) as error:
            raise ScanError(
                f"`{key}` of {self.path} is damaged ({error}); copy the file again."
            ) from None
        if dtype.kind not in "buif":
            raise ScanError(f"`{key}` of {self.path} has dtype {dtype}; real numbers are needed.")
        return shape, dtype


class _Patterns:
    """Patterns of an NPZ member: decompressed as a whole at the first slice, then kept."""

    def __init__(self, file: _Npz, key: str, num_positions: int) -> None:
        self._file, self._key = file, key
        shape, self.dtype = file.header(key)
        if len(shape) == 4 and shape[-1] == 1:
            shape = shape[:-1]
        if len(shape) != 3:
            raise ScanError(
                f"`{key}` of {file.path} has shape {shape}, expected (n, N, N) or (N, N, n)."
            )
        self._is_last = shape[0] != num_positions and shape[-1] == num_positions
        if self._is_last:
            shape = (shape[2], shape[0], shape[1])
        if shape[0] != num_positions:
            raise ScanError(
                f"`{key}` of {file.path} holds {shape[0]} patterns, but there are {num_positions} "
                "positions; each pattern needs one."
            )
        self.shape = shape

    @cached_property
    def _array(self) -> NDArray[Any]:
        array = self._file[self._key]
        if array.ndim == 4:
            array = array[..., 0]
        return np.ascontiguousarray(array.transpose(2, 0, 1)) if self._is_last else array

    def __getitem__(self, key: slice, /) -> NDArray[Any]:
        part: NDArray[Any] = self._array[key]
        return part


def _positions(file: _Npz) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    for key in ("ycoords", "xcoords"):
        if key not in file.keys:
            raise ScanError(
                f"{file.path} has no `{key}`; a PtychoPINN NPZ needs ycoords and xcoords (pixels). "
                f"It holds: {', '.join(file.keys)}."
            )
    y = file["ycoords"].astype(np.float64).reshape(-1)
    x = file["xcoords"].astype(np.float64).reshape(-1)
    if len(y) != len(x):
        raise ScanError(f"{file.path} has {len(y)} `ycoords` but {len(x)} `xcoords`.")
    return y, x


def _first_key(file: _Npz, names: tuple[str, ...], what: str) -> str:
    for name in names:
        if name in file.keys:
            return name
    raise ScanError(
        f"{file.path} holds no {what}; expected one of: {', '.join(names)}; "
        f"it holds: {', '.join(file.keys)}."
    )


def _probe(file: _Npz) -> NDArray[np.complex64] | None:
    for key in PROBE_KEYS:
        if key in file.keys:
            probe = file[key].astype(np.complex64)
            while probe.ndim > 3:
                probe = probe[0]  # orthogonal relaxation modes: the first is the probe
            return probe[None] if probe.ndim == 2 else probe
    return None


def _object(file: _Npz) -> NDArray[np.complex64] | None:
    for key in OBJECT_KEYS:
        if key in file.keys:
            object_ = file[key].astype(np.complex64)
            if object_.ndim == 3:
                object_ = object_[0]
            if object_.ndim != 2:
                raise ScanError(
                    f"`{key}` of {file.path} has shape {object_.shape}, expected (H, W)."
                )
            return object_
    return None


def _scalar(file: _Npz, key: str) -> float | None:
    return float(file[key]) if key in file.keys else None


def _sniff_quantity(path: Path, patterns: _Patterns) -> Quantity:
    if patterns.shape[0] == 0:
        return "counts"  # an empty scan is refused for being empty
    step = max(1, patterns.shape[0] // NUM_SAMPLED)
    sampled = np.asarray(patterns[0 : patterns.shape[0] : step], dtype=np.float64)
    finite = sampled[np.isfinite(sampled)]
    if np.any(finite != np.round(finite)):
        return "amplitude"
    if finite.size and finite.max() > 1:
        raise QuantityError(
            f"{path}: every sampled value is an integer (largest {finite.max():g}), so the patterns "
            "may be counts, or amplitudes that were rounded. Say which:\n"
            f"  ptychonyx COMMAND {path} --quantity counts\n"
            f"  ptychonyx COMMAND {path} --quantity amplitude"
        )
    raise (
        QuantityError(
            f"{path}: the sampled patterns hold nothing but 0 and 1; say what they are:\n"
            f"  ptychonyx COMMAND {path} --quantity counts\n"
            f"  ptychonyx COMMAND {path} --quantity amplitude"
        )
        if finite.size and finite.max() > 0
        else ScanError(
            f"{path}: all sampled diffraction patterns are zero; check which array holds the patterns."
        )
    )
