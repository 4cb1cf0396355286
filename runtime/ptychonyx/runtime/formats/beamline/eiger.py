"""Eiger detectors: a master file with links to data files; it holds no positions.

The bits of `pixel_mask` are DECTRIS': 0 gap, 1 dead, 2 under-, 3 over-responding, 4 noisy, 6 in a cluster
of these, 8 masked by the user, 31 interpolated. All of them are bad pixels here.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import ScanError
from ...scan import PatternSource
from ..assembly.found import Found
from ..placed_object import PlacedObject
from ..storage.frames import Hdf5Frames
from .tree import Tree

KIND = "Eiger master"
DATA_KIND = "Eiger data file"
DETECTOR = "entry/instrument/detector"
SPECIFIC = f"{DETECTOR}/detectorSpecific"
MASKS = (f"{SPECIFIC}/pixel_mask", f"{DETECTOR}/pixel_mask")
SATURATION = (f"{DETECTOR}/saturation_value", f"{SPECIFIC}/countrate_correction_count_cutoff")
ENERGY = (f"{SPECIFIC}/photon_energy", "entry/instrument/beam/incident_energy")
DISTANCE = (f"{DETECTOR}/detector_distance", f"{DETECTOR}/distance")
BITS = {
    0: "gaps",
    1: "dead",
    2: "under-responding",
    3: "over-responding",
    4: "noisy",
    6: "in clusters",
    8: "masked by the user",
    31: "interpolated",
}
NUM_SAMPLED = 8
"""Images that are looked at for saturated pixels, and for gaps where no mask tells them."""

_logger = logging.getLogger(__name__)


def recognises(path: Path) -> bool:
    """Tell whether an HDF5 file has the groups of an Eiger."""
    tree = Tree(path)
    names = _data_names(tree)
    is_numbered = any(name.rpartition("/")[2].startswith("data_") for name in names)
    has_detector = "detectorSpecific" in tree.names_in(DETECTOR)
    return bool(names) and (is_numbered or has_detector or _is_data_file(tree))


def find(path: Path) -> Found:
    """Return what a master says, and the images of its data files in order."""
    tree = Tree(path)
    parts = [(path, name) for name in _data_names(tree)]
    frames = Hdf5Frames(parts)
    is_master = not _is_data_file(tree)
    mask = _mask(tree, frames)
    _say_saturated(tree, frames, mask)
    return Found(
        path,
        KIND if is_master else DATA_KIND,
        frames=frames,
        quantity="counts",
        bad_pixels=mask,
        photon_energy_eV=tree.energy_eV(*ENERGY, default="eV"),
        detector_distance_m=tree.length_m(*DISTANCE),
        detector_pixel_m=_pixel_m(tree),
        beam_px=_beam(tree),
        is_raw=True,
    )


def read_object(path: Path) -> PlacedObject:
    """Say that a detector's file holds no object."""
    raise _refusal(path, "object")


def read_probe(path: Path) -> NDArray[np.complex64]:
    """Say that a detector's file holds no probe."""
    raise _refusal(path, "probe")


def _refusal(path: Path, what: str) -> ScanError:
    return ScanError(
        f"{path} is a file of the kind {KIND}, which holds images and no {what}; give a product or another "
        f"file that has the {what}."
    )


def _data_names(tree: Tree) -> list[str]:
    """Return the datasets of images: data_000001 and so on by their numbers, or the one `data`."""
    for group in ("entry/data", "entry"):
        names = tree.names_in(group)
        numbered = [name for name in names if name.startswith("data_") and name[5:].isdecimal()]
        if numbered:
            numbered.sort(key=lambda name: int(name[5:]))
            return [f"{group}/{name}" for name in numbered]
    return ["entry/data/data"] if "data" in tree.names_in("entry/data") else []


def _is_data_file(tree: Tree) -> bool:
    """Tell whether a file is one of those to which a master links."""
    if tree.names_in("entry/instrument") or "data" not in tree.names_in("entry/data"):
        return False
    return "image_nr_low" in tree.file.attributes("entry/data/data")


def _pixel_m(tree: Tree) -> tuple[float, float] | None:
    y_m = tree.length_m(f"{DETECTOR}/y_pixel_size")
    x_m = tree.length_m(f"{DETECTOR}/x_pixel_size")
    return None if y_m is None or x_m is None else (y_m, x_m)


def _beam(tree: Tree) -> tuple[float, float] | None:
    y, x = (tree.number(f"{DETECTOR}/beam_center_{axis}") for axis in "yx")
    return None if y is None or x is None else (y, x)


def _mask(tree: Tree, frames: Hdf5Frames) -> NDArray[np.bool_] | None:
    """Return bad pixels, and say how many of which kind there are."""
    name = tree.first(*MASKS)
    if name is None:
        return _gaps(tree.path, frames)
    header = tree.file.header(name)
    if header.dtype.kind not in "bui" or header.shape != tuple(frames.shape[1:]):
        raise ScanError(
            f"{header} has shape {header.shape} and dtype {header.dtype}, but the images are "
            f"{frames.shape[1]}×{frames.shape[2]}; bits for each pixel are needed: say another `mask` in a "
            "map (`--map`)."
        )
    bits = tree.file.read(name).astype(np.int64)
    counts = {what: int(((bits >> bit) & 1).sum()) for bit, what in BITS.items()}
    listed = ", ".join(f"{num} {what}" for what, num in counts.items() if num)
    _logger.info("%s: of its mask, %d pixels are bad: %s.", tree.path, (bits != 0).sum(), listed)
    return np.asarray(bits != 0)


def _gaps(path: Path, frames: PatternSource) -> NDArray[np.bool_] | None:
    """Return pixels that hold the dtype's largest value in all sampled images: the mark of gaps."""
    if frames.dtype.kind not in "iu" or frames.shape[0] == 0:
        return None
    largest = np.iinfo(frames.dtype).max
    is_gap = np.ones(frames.shape[1:], np.bool_)
    for row in _sampled(frames):
        is_gap &= frames[row : row + 1][0] == largest
    if not is_gap.any():
        return None
    _logger.warning(
        "%s has no `pixel_mask`; %d pixels that hold %d in all sampled images are taken for gaps.",
        path,
        is_gap.sum(),
        largest,
    )
    return is_gap


def _say_saturated(tree: Tree, frames: PatternSource, mask: NDArray[np.bool_] | None) -> None:
    """Say how many good pixels are saturated in sampled images."""
    limit = tree.number(*SATURATION)
    if limit is None or limit <= 0 or frames.shape[0] == 0:
        return
    good = np.ones(frames.shape[1:], np.bool_) if mask is None else ~mask
    rows = _sampled(frames)
    num = sum(int((frames[row : row + 1][0][good] >= limit).sum()) for row in rows)
    if num:
        _logger.warning(
            "%s: %d good pixels in %d sampled images reach %g, where the detector saturates; their counts "
            "are too low: attenuate the beam, or put them into `mask` of a map.",
            tree.path,
            num,
            len(rows),
            limit,
        )


def _sampled(frames: PatternSource) -> list[int]:
    return sorted({int(row) for row in np.linspace(0, frames.shape[0] - 1, NUM_SAMPLED)})
