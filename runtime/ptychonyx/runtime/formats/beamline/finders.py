"""What the formats of beamlines find in a file, by the first that knows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import ScanError
from ...scan import Quantity, Scan
from ..assembly.assemble import assemble
from ..assembly.found import Found
from ..options import ScanOptions
from ..placed_object import PlacedObject
from ..storage.arrays import read_indexes
from ..storage.frames import Hdf5Frames
from ..storage.hdf5 import Hdf5
from ..storage.kinds import kind_of
from . import cxi, eiger, matlab, nexus, ptypy_data, ptypy_result


@dataclass(frozen=True)
class Finder:
    """How a format of beamlines is recognised, and what it says.

    Attributes
    ----------
    recognises : callable
        Path -> whether this format fits.
    find : callable
        Path -> Found.
    read_object, read_probe : callable
        Path -> what the file holds, or ScanError.
    files_of : callable
        Path -> the files that reading opens.
    quantity : "counts" or None
        What the patterns of this format always are.
    """

    recognises: Callable[[Path], bool]
    find: Callable[[Path], Found]
    read_object: Callable[[Path], PlacedObject]
    read_probe: Callable[[Path], NDArray[np.complex64]]
    files_of: Callable[[Path], tuple[Path, ...]] = lambda path: (path,)
    quantity: Quantity | None = "counts"


FINDERS: dict[str, Finder] = {
    "NXcxi_ptycho": Finder(
        lambda path: kind_of(path) == "hdf5" and nexus.recognises(path),
        nexus.find,
        nexus.read_object,
        nexus.read_probe,
    ),
    "CXI": Finder(
        lambda path: kind_of(path) == "hdf5" and cxi.recognises(path),
        cxi.find,
        cxi.read_object,
        cxi.read_probe,
        cxi.files_of,
    ),
    "Eiger master": Finder(
        lambda path: kind_of(path) == "hdf5" and eiger.recognises(path),
        eiger.find,
        eiger.read_object,
        eiger.read_probe,
    ),
    "ptypy data (.ptyd)": Finder(
        lambda path: kind_of(path) == "hdf5" and ptypy_data.recognises(path),
        ptypy_data.find,
        ptypy_data.read_object,
        ptypy_data.read_probe,
    ),
    "ptypy result (.ptyr)": Finder(
        lambda path: kind_of(path) == "hdf5" and ptypy_result.recognises(path),
        ptypy_result.find,
        ptypy_result.read_object,
        ptypy_result.read_probe,
    ),
    "MATLAB": Finder(
        matlab.recognises, matlab.find, matlab.read_object, matlab.read_probe, quantity=None
    ),
}
"""Format name -> finder; asked in this order."""


def find_in(path: Path) -> Found | None:
    """Return what a file of a known format says of a scan, or None if it is of none."""
    for finder in FINDERS.values():
        if finder.recognises(path):
            return finder.find(path)
    return None


def read_scan(finder: Finder, path: Path, options: ScanOptions) -> Scan:
    """Read a scan; its patterns may lie in a file that the user names."""
    found = finder.find(path)
    if options.patterns_path is not None:
        found = _with_frames_of(options.patterns_path, found)
    return assemble(found, options)


def _with_frames_of(path: Path, found: Found) -> Found:
    """Return what was found, with the images of another file, and what goes with them."""
    other = find_in(path)
    if other is None or other.frames is None:
        names = Hdf5(path).names if kind_of(path) == "hdf5" else ()
        if "patterns" not in names:
            raise ScanError(
                f"{path} was given for the patterns, but where they lie in it is not known; a file of a "
                "known format is needed: say where they lie in a map (`--map`)."
            )
        indexes = read_indexes(Hdf5(path), "indexes") if "indexes" in names else None
        frames = Hdf5Frames([(path, "patterns")])
        return replace(found, frames=frames, frame_indexes=indexes, quantity="counts")
    return cxi.join(replace(found, frames=other.frames, frame_indexes=other.frame_indexes), other)
