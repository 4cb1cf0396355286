"""A bare array in a .npy file: an object or a probe, but no scan."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ScanError
from ..scan import Scan
from .options import ScanOptions
from .placed_object import PlacedObject, as_object, as_probe


def read_scan(path: Path, options: ScanOptions) -> Scan:
    """Refuse: a bare array has no positions."""
    raise ScanError(
        f"{path} is a bare array without positions; a scan needs both: save an NPZ with `diff3d`, "
        "`ycoords` and `xcoords`."
    )


def read_object(path: Path) -> PlacedObject:
    """Read an object (H, W)."""
    return PlacedObject(as_object(_read(path), "array", path), name=path.stem)


def read_probe(path: Path) -> NDArray[np.complex64]:
    """Read a probe, (N, N) or modes first."""
    return as_probe(_read(path), "array", path)


def _read(path: Path) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
    except (ValueError, OSError, EOFError) as error:
        raise ScanError(
            f"{path} is not a readable array ({error}); a plain numeric one is needed: save it "
            "again with numpy.save."
        ) from None
    return np.array(array)
