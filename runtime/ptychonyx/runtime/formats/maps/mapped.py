"""What a map finds in a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ScanError
from ..assembly.dark_frames import WithoutDark, mean_dark
from ..assembly.found import Found, Positions
from ..assembly.units import energy_factor, length_factor
from ..placed_object import take_object, take_probe
from ..positions import POSITION_ORIGINS
from ..storage.arrays import REALS, ArrayFile, check_kind, check_size
from .map_file import Place, PositionPlaces, ScanMap
from .opening import Frames, open_arrays, open_frames

PIXELS = ("px", "pixel", "pixels")


@dataclass(frozen=True)
class Source:
    """The file that a map speaks of, where it names no other.

    Attributes
    ----------
    path : Path
    """

    path: Path

    def file(self, place: Place) -> ArrayFile:
        """Open the file in which something lies."""
        return open_arrays(place.file or self.path)


def apply_map(found: Found, scan_map: ScanMap) -> Found:
    """Return what was found, changed by a map.

    Parameters
    ----------
    found : Found
        What the format of the file itself says; a map with patterns starts from nothing.
    scan_map : ScanMap

    Raises
    ------
    ScanError
        If something does not lie where the map says, or is not what it should be.
    """
    source = Source(found.path)
    places = scan_map.places
    positions, position_indexes = found.positions, found.position_indexes
    if scan_map.positions is not None:
        positions, position_indexes = _positions(source, scan_map.positions)
    if "patterns" in places:
        num = None if positions is None else len(positions.values)
        found = replace(_with_frames(source, found, places["patterns"], num), name=found.name)
    found = replace(found, positions=positions, position_indexes=position_indexes)
    if scan_map.quantity is not None:
        found = replace(found, quantity=scan_map.quantity)
    for name, read in READERS.items():
        if name in places:
            found = read(source, found, places[name])
    if "dark" in places:
        found = _without_dark(source, found, places["dark"])
    return found


def _with_frames(source: Source, found: Found, place: Place, num: int | None) -> Found:
    path = place.file or source.path
    frames: Frames = open_frames(path, place.path, place.axes, num)
    indexes = None if place.indexes is None else _indexes(open_arrays(path), place.indexes)
    kind = found.kind if place.file is None else f"{found.kind} with patterns in {path.name}"
    return Found(found.path, kind, frames=frames, frame_indexes=indexes)


def _positions(
    source: Source, places: PositionPlaces
) -> tuple[Positions, NDArray[np.int64] | None]:
    if places.table is not None and places.y is None:
        place, values = places.table, _table(source, places.table, places.columns)
        units = (place.unit, place.unit)
    elif places.y is not None and places.x is not None:
        place = places.y
        values = _two_columns(source, places.y, places.x)
        units = (places.y.unit, places.x.unit)
    else:
        raise ScanError(
            f"The positions of {source.path} have no x or no y; both are needed: name both."
        )
    are_pixels = [unit is not None and unit.lower() in PIXELS for unit in units]
    if any(are_pixels) != all(are_pixels):
        raise ScanError(
            f"The positions of {source.path} are in {units[0]} and {units[1]}; both in pixels, or both in "
            "a length, are needed: correct the map."
        )
    if not all(are_pixels):
        what = f"`positions` of {source.path}"
        own = _unit_in_file(source, place)
        values = values * [length_factor(unit or own or "m", what) for unit in units]
    values = values * np.array(places.sign)
    if places.is_swapped:
        values = values[:, ::-1]
    origin = place.origin or "center"
    if origin not in POSITION_ORIGINS:
        raise ScanError(
            f"`origin` of the positions is {origin!r}, expected one of: {', '.join(POSITION_ORIGINS)}."
        )
    indexes = None if place.indexes is None else _indexes(source.file(place), place.indexes)
    return Positions(np.ascontiguousarray(values), not all(are_pixels), origin), indexes


def _unit_in_file(source: Source, place: Place) -> str | None:
    """Return the attribute `units` of a dataset."""
    file = source.file(place)
    attributes: Callable[[str], dict[str, Any]] | None = getattr(file, "attributes", None)
    unit = None if attributes is None else attributes(place.path[0]).get("units")
    if isinstance(unit, bytes):
        unit = unit.decode(errors="replace")
    return unit if isinstance(unit, str) else None


def _table(source: Source, place: Place, columns: str | None) -> NDArray[np.float64]:
    """Return y and x of a table (n, k) or (k, n) with named columns."""
    file, letters = source.file(place), columns or "yx"
    if len(place.path) == 2:
        apart = [replace(place, path=(name,)) for name in place.path]
        return _two_columns(source, apart[0], apart[1])
    values = _real(file, place.path[0]).squeeze()
    if columns is None and values.ndim == 2 and 3 in values.shape:
        letters = "xyz"
    if values.ndim != 2 or len(letters) not in values.shape or not {"x", "y"} <= set(letters):
        raise ScanError(
            f"`{place.path[0]}` of {file.path} has shape {values.shape}, which does not fit the columns "
            f"{letters!r}; one row for each position is needed: say its `columns` in the map."
        )
    if values.shape[1] != len(letters):
        values = values.T
    return np.stack([values[:, letters.index(axis)] for axis in "yx"], axis=1)


def _two_columns(source: Source, y_place: Place, x_place: Place) -> NDArray[np.float64]:
    """Return y and x that lie apart; (n, 1, 1) counts as (n,), motors of a raster as its lines."""
    y, x = (_real(source.file(place), place.path[0]).reshape(-1) for place in (y_place, x_place))
    if len(y) != len(x):
        raise ScanError(
            f"The map finds {len(y)} positions in y ({y_place.path[0]}) but {len(x)} in x "
            f"({x_place.path[0]}); each position needs both: correct the map."
        )
    return np.stack([y, x], axis=1)


def _real(file: ArrayFile, name: str) -> NDArray[np.float64]:
    header = file.header(name)
    check_kind(header, REALS)
    check_size(header)
    return file.read(name).astype(np.float64)


def _indexes(file: ArrayFile, name: str) -> NDArray[np.int64]:
    """Read scan indexes; text files and MATLAB know whole numbers only as floats."""
    values = _real(file, name).reshape(-1)
    if not np.array_equal(values, np.round(values)):
        raise ScanError(
            f"`{name}` of {file.path} holds fractions; scan indexes are whole numbers: correct the map."
        )
    return values.astype(np.int64)


def _numbers(
    source: Source, place: Place, factor: Callable[[str, str], float], default: str
) -> tuple[float, ...]:
    """Return the number at a place, or two, in SI units (eV for energies)."""
    values, unit = place.value, place.unit
    if not values:
        file = source.file(place)
        array = _real(file, place.path[0])
        if array.size not in (1, 2):
            raise ScanError(
                f"`{place.path[0]}` of {file.path} has shape {array.shape}; one number, or two, are "
                "needed: correct the map."
            )
        values = tuple(float(each) for each in array.reshape(-1))
        unit = unit or _unit_in_file(source, place)
    return tuple(value * factor(unit or default, f"The map of {source.path}") for value in values)


def _energy(source: Source, found: Found, place: Place) -> Found:
    return replace(
        found, photon_energy_eV=_positive(_numbers(source, place, energy_factor, "eV"), "energy")[0]
    )


def _distance(source: Source, found: Found, place: Place) -> Found:
    number = _positive(_numbers(source, place, length_factor, "m"), "distance")[0]
    return replace(found, detector_distance_m=number)


def _detector_pixel(source: Source, found: Found, place: Place) -> Found:
    numbers = _positive(_numbers(source, place, length_factor, "m"), "detector_pixel")
    return replace(found, detector_pixel_m=(numbers[0], numbers[-1]))


def _object_pixel(source: Source, found: Found, place: Place) -> Found:
    numbers = _positive(_numbers(source, place, length_factor, "m"), "object_pixel")
    return replace(found, object_pixel_m=(numbers[0], numbers[-1]))


def _beam_center(source: Source, found: Found, place: Place) -> Found:
    numbers = place.value or tuple(_real(source.file(place), place.path[0]).reshape(-1)[:2])
    return replace(found, beam_px=(float(numbers[0]), float(numbers[-1])))


def _positive(numbers: tuple[float, ...], name: str) -> tuple[float, ...]:
    if not all(0 < number < np.inf for number in numbers):
        raise ScanError(
            f"`{name}` of the map is {', '.join(f'{number:g}' for number in numbers)}; positive numbers "
            "are needed: correct it."
        )
    return numbers


def _probe(source: Source, found: Found, place: Place) -> Found:
    return replace(found, probe=take_probe(source.file(place), place.path[0]))


def _object(source: Source, found: Found, place: Place) -> Found:
    return replace(found, object_=take_object(source.file(place), place.path[0]))


def _mask(source: Source, found: Found, place: Place) -> Found:
    """Read a mask, (H, W) or one for each image, of which the first is taken."""
    values = _real(source.file(place), place.path[0])
    if values.ndim < 2 or values.size == 0:
        raise ScanError(
            f"`mask` of the map has shape {values.shape}; an image is needed: correct the map."
        )
    values = values.reshape(-1, *values.shape[-2:])[0]
    bad = values != 0 if place.bad == "nonzero" else values == 0
    return replace(found, bad_pixels=np.asarray(bad))


def _without_dark(source: Source, found: Found, place: Place) -> Found:
    if found.frames is None:
        return found
    path = place.file or source.path
    header = open_arrays(path).header(place.path[0])
    letters = place.axes or ("yx" if len(header.shape) == 2 else None)
    dark = mean_dark(open_frames(path, place.path, letters))
    if dark.shape != tuple(found.frames.shape[1:]):
        raise ScanError(
            f"The dark frames of {path} are {dark.shape[0]}×{dark.shape[1]}, but the patterns are "
            f"{found.frames.shape[1]}×{found.frames.shape[2]}; frames of one size are needed: correct "
            "the map."
        )
    quantity = found.quantity or ("counts" if found.frames.dtype.kind in "iu" else None)
    return replace(found, frames=WithoutDark(found.frames, dark), quantity=quantity)


READERS: dict[str, Callable[[Source, Found, Place], Found]] = {
    "energy": _energy,
    "distance": _distance,
    "detector_pixel": _detector_pixel,
    "object_pixel": _object_pixel,
    "beam_center": _beam_center,
    "probe": _probe,
    "object": _object,
    "mask": _mask,
}
"""Word of a map -> what it changes in what was found."""
