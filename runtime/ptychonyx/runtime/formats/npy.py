"""A bare array in a .npy file: an object or a probe, but no scan."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import ScanError
from ..scan import Scan
from .options import ScanOptions
from .placed_object import PlacedObject, take_object, take_probe
from .storage.npy import Npy


def read_scan(path: Path, options: ScanOptions) -> Scan:
    """Refuse: a bare array has no positions."""
    raise ScanError(
        f"{path} is a bare array without positions; a scan needs both: save an NPZ with `diff3d`, "
        "`ycoords` and `xcoords`."
    )


def read_object(path: Path) -> PlacedObject:
    """Read an object (H, W)."""
    return PlacedObject(take_object(Npy(path), "array"), name=path.stem)


def read_probe(path: Path) -> NDArray[np.complex64]:
    """Read a probe, (N, N) or modes first."""
    return take_probe(Npy(path), "array")
