"""CXI, versions 1.3 to 1.6: the Coherent X-ray Imaging data bank's HDF5, in which names decide.

Positions are read as Ptychodus reads them: `translation` is (x, y, z) of the beam on the sample. A file
that has the sample's own motion is turned by `sign` in a map.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import ScanError
from ...scan import Frame
from ..assembly.found import Found, Positions
from ..assembly.units import length_factor
from ..placed_object import PlacedObject, take_object
from ..storage.arrays import check_size, read_indexes
from ..storage.frames import Hdf5Frames
from .tree import Tree, as_rows, columns_of, first_image

KIND = "CXI"
ENTRY = "entry_1"
SOURCE, DETECTOR = f"{ENTRY}/instrument_1/source_1", f"{ENTRY}/instrument_1/detector_1"
DATA = (f"{ENTRY}/data_1/data", f"{DETECTOR}/data")
TRANSLATION = (
    f"{ENTRY}/sample_1/geometry_1/translation",
    f"{ENTRY}/data_1/translation",
    f"{DETECTOR}/translation",
)
HOST = f"{ENTRY}/ptychodus"
"""Group in which Ptychodus keeps what the standard has no names for; so do we."""
PROBE = (f"{SOURCE}/illumination", f"{ENTRY}/image_1/data")
OBJECT = f"{ENTRY}/image_2/data"
GOOD_BITS = 0x20 | 0x100 | 0x800 | 0x2000 | 0x4000
"""Bits of a mask that leave a pixel usable: peaks, beyond the resolution, corrected."""
HALVES = {"diffraction.cxi": "product.cxi", "product.cxi": "diffraction.cxi"}
"""Ptychodus writes patterns and product apart."""


def recognises(path: Path) -> bool:
    """Tell whether an HDF5 file is CXI."""
    tree = Tree(path)
    if tree.has("cxi_version"):
        return True
    return bool(tree.first(*DATA, *TRANSLATION)) and "instrument_1" in tree.names_in(ENTRY)


def find(path: Path) -> Found:
    """Return what a CXI file says; what the other half of a pair says is taken from there."""
    found = find_alone(path)
    other = path.with_name(HALVES.get(path.name.lower(), path.name))
    if other == path or not other.is_file() or None not in (found.frames, found.positions):
        return found
    return join(found, find_alone(other))


def join(one: Found, other: Found) -> Found:
    """Return what two files say of one scan; where both speak, the first."""
    missing = {name: getattr(other, name) for name in vars(one) if getattr(one, name) is None}
    return replace(one, **missing)


def find_alone(path: Path) -> Found:
    """Return what one CXI file says."""
    tree = Tree(path)
    data = tree.first(*DATA)
    pixels = (tree.length_m(f"{DETECTOR}/y_pixel_size"), tree.length_m(f"{DETECTOR}/x_pixel_size"))
    y_m, x_m = pixels
    pixel_m = None if y_m is None or x_m is None else (y_m, x_m)
    indexes = f"{HOST}/probe_position_indexes"
    object_, frame = _object(tree)
    return Found(
        path=path,
        kind=KIND,
        frames=None if data is None else Hdf5Frames([(path, data)]),
        quantity="counts",
        positions=_positions(tree),
        position_indexes=read_indexes(tree.file, indexes) if tree.has(indexes) else None,
        probe=tree.probe(*PROBE) if frame or tree.has(f"{SOURCE}/illumination") else None,
        object_=object_,
        object_frame=frame,
        bad_pixels=_mask(tree),
        photon_energy_eV=tree.energy_eV(f"{SOURCE}/energy", default="J"),
        detector_distance_m=tree.length_m(f"{DETECTOR}/distance"),
        detector_pixel_m=pixel_m,
        object_pixel_m=None if frame is None else frame.pixel_size_m,
        beam_px=_beam(tree, pixel_m),
        name=tree.text(f"{ENTRY}/title") or tree.text(f"{ENTRY}/sample_1/name") or None,
    )


def read_object(path: Path) -> PlacedObject:
    """Read the object: the second image, after the probe, or the only one."""
    tree = Tree(path)
    name = tree.first(OBJECT, f"{ENTRY}/image_1/data")
    if name is None:
        raise ScanError(
            f"{path} is CXI without an object; `{OBJECT}` is needed: give a file of a reconstruction."
        )
    pixel_m = tree.number(f"{HOST}/object_pixel_width_m")
    return PlacedObject(take_object(tree.file, name), pixel_size_m=pixel_m, name=path.stem)


def read_probe(path: Path) -> NDArray[np.complex64]:
    """Read the probe, modes first."""
    probe = Tree(path).probe(*PROBE)
    if probe is None:
        raise ScanError(
            f"{path} is CXI without a probe; `{PROBE[0]}` is needed: give another file."
        )
    return probe


def files_of(path: Path) -> tuple[Path, ...]:
    """Return a file and its other half."""
    return (path, path.with_name(HALVES.get(path.name.lower(), path.name)))


def _positions(tree: Tree) -> Positions | None:
    name = tree.first(*TRANSLATION)
    if name is None:
        return None
    factor = length_factor(tree.unit(name) or "m", f"`{name}` of {tree.path}")
    table = tree.reals(name)
    return Positions(columns_of(as_rows(table), "xyz", f"`{name}` of {tree.path}") * factor)


def _object(tree: Tree) -> tuple[NDArray[np.complex64] | None, Frame | None]:
    """Return the object and where it lies, if the file says both."""
    sides = [tree.number(f"{HOST}/object_pixel_{side}_m") for side in ("height", "width")]
    if not tree.has(OBJECT) or not all(side is not None and side > 0 for side in sides):
        return None, None
    object_ = take_object(tree.file, OBJECT)
    height, width = object_.shape
    center = (
        tree.number(f"{HOST}/object_center_y_m") or 0.0,
        tree.number(f"{HOST}/object_center_x_m") or 0.0,
    )
    y_m, x_m = sides
    assert y_m is not None
    assert x_m is not None
    return object_, Frame((height, width), center, (y_m, x_m))


def _mask(tree: Tree) -> NDArray[np.bool_] | None:
    name = tree.first(f"{DETECTOR}/mask", f"{ENTRY}/data_1/mask", f"{ENTRY}/image_1/mask")
    if name is None or name == f"{ENTRY}/image_1/mask":
        return None
    header = tree.file.header(name)
    if header.dtype.kind not in "bui" or len(header.shape) not in (2, 3):
        raise ScanError(
            f"{header} has shape {header.shape} and dtype {header.dtype}; bits for each pixel of an image "
            "are needed: say another `mask` in a map (`--map`)."
        )
    check_size(header)
    bits = first_image(tree.file.read(name), str(header))
    return np.asarray((bits.astype(np.int64) & ~GOOD_BITS) != 0)


def _beam(tree: Tree, pixel_m: tuple[float, float] | None) -> tuple[float, float] | None:
    """Return the beam's pixel from the place of the detector's corner, which is (x, y, z)."""
    name = f"{DETECTOR}/corner_position"
    if pixel_m is None or not tree.has(name):
        return None
    corner = tree.reals(name).reshape(-1)
    if len(corner) < 2 or not np.isfinite(corner[:2]).all():
        return None
    return (abs(corner[1]) / pixel_m[0] - 0.5, abs(corner[0]) / pixel_m[1] - 0.5)
