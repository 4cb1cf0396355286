"""A product in a CXI file: object, probe and positions as Ptychodus and `cxi_writing` keep them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...errors import ScanError
from ...product import Product
from . import cxi


def recognises(path: Path) -> bool:
    """Tell whether an HDF5 file is CXI."""
    return cxi.recognises(path)


def read_product(path: Path) -> Product:
    """Read a product.

    Raises
    ------
    ScanError
        If object, probe or positions are missing, or where the object lies.
    """
    found = cxi.find_alone(path)
    parts = {
        "object with its pixel": found.object_frame,
        "probe": found.probe,
        "positions": found.positions,
    }
    missing = [name for name, value in parts.items() if value is None]
    if found.object_ is None or found.object_frame is None or found.probe is None or missing:
        raise ScanError(
            f"{path} is CXI without {', '.join(missing)}; a product needs all three: give the file of a "
            "reconstruction, as Ptychodus since 1.7 writes it."
        )
    assert found.positions is not None
    frame, side, num = found.object_frame, found.probe.shape[-1], len(found.positions.values)
    pixels = (found.positions.values - np.array(frame.center_m)) / np.array(frame.pixel_size_m)
    indexes = found.position_indexes
    return Product(
        found.object_,
        (0, 0),
        pixels + np.array(frame.canvas_shape) / 2 - side / 2,
        np.arange(num) if indexes is None else indexes,
        side,
        found.probe,
        pixel_size_m=frame.pixel_size_m[1],
        photon_energy_eV=found.photon_energy_eV,
        detector_distance_m=found.detector_distance_m,
        frame=frame,
        name=found.name or path.stem,
    )
