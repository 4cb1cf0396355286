"""MATLAB files, versions 5 and 7.3, with the names of PtychoShelves and fold_slice.

Others name their arrays with `--key`. Images count along the last axis, as in MATLAB. In `outputs`,
PtychoShelves has positions as (x, y) in pixels from the middle of the object; `positions_real` are (y, x) in
metres.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import ScanError
from ...scan import PLANCK_TIMES_LIGHT_EV_M, Frame
from ..assembly.found import Found, Positions
from ..maps.listing import contents
from ..maps.opening import open_arrays, open_frames
from ..placed_object import PlacedObject, as_object, as_probe
from ..storage.arrays import NUMBERS, ArrayFile, check_kind, check_size
from ..storage.kinds import kind_of
from ..storage.mat import is_mat73

KIND = "MATLAB"
PATTERNS = ("dp", "cbed", "data", "diffraction", "patterns")
PROBES = ("probe", "probes", "probe_initial")
OBJECTS = ("object",)
AXES = (("ppY", "ppX"), ("posy", "posx"), ("pos_y", "pos_x"), ("ycoords", "xcoords"))
TABLES = ("positions_real", "p/positions_real")
OUTPUTS = "outputs/probe_positions"
KEV = ("p/energy", "energy")
WAVELENGTHS = ("p/lambda", "lambda")
DISTANCES = ("p/z", "z", "distance")
DETECTOR_PIXELS = ("p/ds", "ds")
OBJECT_PIXELS = ("p/dx_spec", "dx_spec", "dx")
MASKS = ("mask", "bad_pixels")


@dataclass(frozen=True)
class Numbers:
    """Small things of a MATLAB file, by the first of several names.

    Attributes
    ----------
    file : ArrayFile
    """

    file: ArrayFile

    def first(self, names: tuple[str, ...]) -> str | None:
        """Return the first name that is there."""
        return next((name for name in names if name in self.file), None)

    def reals(self, name: str) -> NDArray[np.float64]:
        """Return an array of real numbers in MATLAB's order of axes."""
        check_kind(self.file.header(name), NUMBERS)
        check_size(self.file.header(name))
        return np.real(self.file.read(name)).astype(np.float64)

    def values(self, names: tuple[str, ...]) -> tuple[float, ...]:
        """Return all positive numbers of the first name, at most two; empty if there are none."""
        name = self.first(names)
        if name is None:
            return ()
        values = self.reals(name).reshape(-1)[:2]
        return tuple(values.tolist()) if (values > 0).all() else ()

    def value(self, names: tuple[str, ...]) -> float | None:
        """Return the first number of the first name, if it is positive."""
        values = self.values(names)
        return values[0] if values else None

    def pair(self, names: tuple[str, ...]) -> tuple[float, float] | None:
        """Return (y, x), where one number counts for both."""
        values = self.values(names)
        return (values[0], values[-1]) if values else None


def recognises(path: Path) -> bool:
    """Tell whether MATLAB wrote a file."""
    kind = kind_of(path)
    return kind == "mat5" or (kind == "hdf5" and path.is_file() and is_mat73(path))


def find(path: Path) -> Found:
    """Return what a file says, by the names of PtychoShelves."""
    file = open_arrays(path)
    numbers = Numbers(file)
    pixel_m = numbers.pair(OBJECT_PIXELS)
    object_ = _object(numbers)
    frame = _frame(object_, pixel_m)
    positions = _positions(numbers, pixel_m)
    num = None if positions is None else len(positions.values)
    patterns = numbers.first(PATTERNS)
    if patterns is None and positions is None:
        raise ScanError(
            f"{path} is a MATLAB file that holds: {contents(path)}. Patterns ({', '.join(PATTERNS)}) and "
            "positions under known names are needed: name them by `--key patterns=NAME --key "
            "positions=NAME`, or in a map (`--map`)."
        )
    return Found(
        path,
        f"{KIND} ({contents(path)})",
        frames=None if patterns is None else open_frames(path, [patterns], None, num),
        quantity="counts",
        positions=positions,
        probe=_probe(numbers),
        object_=object_,
        object_frame=frame,
        bad_pixels=_mask(numbers),
        photon_energy_eV=_energy_eV(numbers),
        detector_distance_m=numbers.value(DISTANCES),
        detector_pixel_m=numbers.pair(DETECTOR_PIXELS),
        object_pixel_m=pixel_m,
    )


def read_object(path: Path) -> PlacedObject:
    """Read the object; layers, last in MATLAB, are multiplied."""
    numbers = Numbers(open_arrays(path))
    object_ = _object(numbers)
    if object_ is None:
        raise ScanError(
            f"{path} is a MATLAB file that holds: {contents(path)}. An `object` is needed: save it under "
            "that name."
        )
    pixel_m = numbers.pair(OBJECT_PIXELS)
    return PlacedObject(
        object_, pixel_size_m=None if pixel_m is None else pixel_m[1], name=path.stem
    )


def read_probe(path: Path) -> NDArray[np.complex64]:
    """Read the probe, modes last in MATLAB."""
    probe = _probe(Numbers(open_arrays(path)))
    if probe is None:
        raise ScanError(
            f"{path} is a MATLAB file that holds: {contents(path)}. A `probe` is needed: save it under that "
            "name."
        )
    return probe


def _positions(numbers: Numbers, pixel_m: tuple[float, float] | None) -> Positions | None:
    file = numbers.file
    for y_name, x_name in AXES:
        if y_name in file and x_name in file:
            axes = [numbers.reals(name).reshape(-1) for name in (y_name, x_name)]
            if len(axes[0]) != len(axes[1]):
                raise ScanError(
                    f"{file.path} has {len(axes[0])} `{y_name}` but {len(axes[1])} `{x_name}`; each "
                    "position needs both: correct the file."
                )
            return Positions(np.stack(axes, axis=1))
    name = numbers.first(TABLES)
    if name is not None:
        return Positions(_two_columns(numbers, name))
    if OUTPUTS in file and pixel_m is not None:
        return Positions(_two_columns(numbers, OUTPUTS)[:, ::-1] * np.array(pixel_m))
    return None


def _two_columns(numbers: Numbers, name: str) -> NDArray[np.float64]:
    table = numbers.reals(name)
    if table.ndim != 2 or 2 not in table.shape:
        raise ScanError(
            f"`{name}` of {numbers.file.path} has shape {table.shape}, expected (n, 2): one row for each "
            "pattern; say others by `--key positions=NAME`."
        )
    return table if table.shape[1] == 2 else table.T


def _energy_eV(numbers: Numbers) -> float | None:
    wavelength = numbers.value(WAVELENGTHS)
    if wavelength is not None:
        return PLANCK_TIMES_LIGHT_EV_M / wavelength
    energy = numbers.value(KEV)
    return None if energy is None else energy * 1e3


def _probe(numbers: Numbers) -> NDArray[np.complex64] | None:
    """Read the probe (y, x), (y, x, modes) or (y, x, modes, variations), of which the first."""
    name = numbers.first(PROBES)
    array = None if name is None else _complex(numbers, name)
    if name is None or array is None:
        return None
    modes = array[..., 0] if array.ndim == 4 else array
    moved = np.moveaxis(modes, -1, 0) if modes.ndim == 3 else modes
    return as_probe(moved, name, numbers.file.path)


def _object(numbers: Numbers) -> NDArray[np.complex64] | None:
    name = numbers.first(OBJECTS)
    array = None if name is None else _complex(numbers, name)
    if name is None or array is None:
        return None
    return as_object(
        np.moveaxis(array, -1, 0) if array.ndim == 3 else array, name, numbers.file.path
    )


def _complex(numbers: Numbers, name: str) -> NDArray[np.complex64] | None:
    header = numbers.file.header(name)
    if header.dtype.kind not in NUMBERS or len(header.shape) not in (2, 3, 4):
        return None
    check_size(header, header.num_bytes)
    return numbers.file.read(name)


def _frame(
    object_: NDArray[np.complex64] | None, pixel_m: tuple[float, float] | None
) -> Frame | None:
    """Return where the object lies: its middle is at 0 m."""
    if object_ is None or pixel_m is None:
        return None
    return Frame((object_.shape[0], object_.shape[1]), (0.0, 0.0), pixel_m)


def _mask(numbers: Numbers) -> NDArray[np.bool_] | None:
    """Return bad pixels; `mask` is 1 where PtychoShelves uses a pixel."""
    name = numbers.first(MASKS)
    if name is None:
        return None
    values = numbers.reals(name)
    values = values[..., 0] if values.ndim == 3 else values
    return np.asarray(values == 0 if name == "mask" else values != 0)
