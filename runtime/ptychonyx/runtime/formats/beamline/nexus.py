"""NXcxi_ptycho: NeXus' definition for ptychography, a CXI file with units and classes.

`source_1/energy` is that of the storage ring there; the photons' is in `beam_1`. Positions may be a table,
or one motor for each axis with a `vector`, which says what its positive direction is.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import ScanError
from ..assembly.found import Found, Positions
from ..assembly.units import length_factor
from ..storage.frames import Hdf5Frames
from . import cxi
from .cxi import DETECTOR, ENTRY
from .tree import Tree, as_rows, columns_of, first_image

KIND = "NXcxi_ptycho"
DEFINITIONS = ("NXcxi_ptycho", "NXptycho")
BEAM = f"{ENTRY}/instrument_1/beam_1"
ENERGY = tuple(
    f"{group}/{name}"
    for group in (BEAM, f"{ENTRY}/sample_1/beam_1")
    for name in ("energy", "incident_beam_energy", "incident_energy")
)
MASKS = (f"{DETECTOR}/pixel_mask", f"{DETECTOR}/mask")
MOTORS = f"{ENTRY}/sample_1/transformations"
BEAM_CENTER = (f"{DETECTOR}/beam_center_y", f"{DETECTOR}/beam_center_x")


def recognises(path: Path) -> bool:
    """Tell whether an HDF5 file says that it follows this definition."""
    tree = Tree(path)
    return tree.text(f"{ENTRY}/definition") in DEFINITIONS


def find(path: Path) -> Found:
    """Return what a file says."""
    tree = Tree(path)
    data = tree.first(f"{ENTRY}/data_1/data", f"{DETECTOR}/data")
    y_m = tree.length_m(f"{DETECTOR}/y_pixel_size")
    x_m = tree.length_m(f"{DETECTOR}/x_pixel_size")
    pixel_m = None if y_m is None or x_m is None else (y_m, x_m)
    return replace(
        Found(path, KIND),
        frames=None if data is None else Hdf5Frames([(path, data)]),
        quantity="counts",
        positions=_positions(tree),
        probe=tree.probe(f"{ENTRY}/instrument_1/source_1/illumination"),
        bad_pixels=_mask(tree),
        photon_energy_eV=tree.energy_eV(*ENERGY, default="J"),
        detector_distance_m=tree.length_m(f"{DETECTOR}/distance"),
        detector_pixel_m=pixel_m,
        beam_px=_beam(tree, pixel_m),
        name=tree.text(f"{ENTRY}/title") or tree.text(f"{ENTRY}/sample_1/name") or None,
    )


read_object, read_probe = cxi.read_object, cxi.read_probe


def _positions(tree: Tree) -> Positions | None:
    """Return positions: of the motors y and x, or of a table (x, y, z)."""
    y, x = (_motor(tree, axis) for axis in "yx")
    if y is not None and x is not None:
        if len(y) != len(x):
            raise ScanError(
                f"{tree.path} has {len(y)} positions in y but {len(x)} in x ({MOTORS}); each position "
                "needs both: correct the file, or say others in a map (`--map`)."
            )
        return Positions(np.stack([y, x], axis=1))
    name = tree.first(*cxi.TRANSLATION)
    if name is None:
        return None
    what = f"`{name}` of {tree.path}"
    table = as_rows(tree.reals(name))
    return Positions(columns_of(table, "xyz", what) * length_factor(tree.unit(name) or "m", what))


def _motor(tree: Tree, axis: str) -> NDArray[np.float64] | None:
    """Return one motor, (n,) or (n, 1, 1) or a raster, with the sign of its vector."""
    name = tree.first(f"{MOTORS}/{axis}", f"{MOTORS}/translation_{axis}", f"{MOTORS}/sample_{axis}")
    if name is None:
        return None
    factor = length_factor(tree.unit(name) or "m", f"`{name}` of {tree.path}")
    vector = np.asarray(tree.file.attributes(name).get("vector", ()), np.float64).reshape(-1)
    place = "xyz".index(axis)
    is_negative = len(vector) == 3 and vector[place] < 0
    return tree.reals(name).reshape(-1) * (-factor if is_negative else factor)


def _mask(tree: Tree) -> NDArray[np.bool_] | None:
    """Return bad pixels: all that have a bit in NeXus' mask."""
    name = tree.first(*MASKS)
    if name is None:
        return None
    return np.asarray(first_image(tree.reals(name), f"`{name}` of {tree.path}") != 0)


def _beam(tree: Tree, pixel_m: tuple[float, float] | None) -> tuple[float, float] | None:
    """Return the beam's pixel, from pixels or a length; with a unit of length, from the corner."""
    places = []
    for number, name in enumerate(BEAM_CENTER):
        value = tree.number(name)
        if value is None or not math.isfinite(value):
            return None
        unit = (tree.unit(name) or "pixel").lower()
        if unit not in ("pixel", "pixels", "px"):
            if pixel_m is None:
                return None
            value = value * length_factor(unit, f"`{name}` of {tree.path}") / pixel_m[number] - 0.5
        places.append(value)
    return places[0], places[1]
