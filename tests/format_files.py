"""Files of the formats to read and to spoil, and a product to write."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ptychonyx.runtime.product import Product
from ptychonyx.runtime.scan import Frame

Arrays = dict[str, Any]
Edit = Callable[[h5py.File], object]

NUM, SIDE = 4, 16
NPZ_ARRAYS: Arrays = {
    "diff3d": np.random.default_rng(0).uniform(0, 9, (NUM, SIDE, SIDE)),
    "xcoords": np.arange(8.0, 8.0 + NUM),
    "ycoords": np.arange(8.0, 8.0 + NUM),
    "probeGuess": np.ones((SIDE, SIDE), complex),
}
FRAME = Frame(canvas_shape=(40, 61), center_m=(-3e-6, 7.5e-6), pixel_size_m=(2e-8, 3e-8))


def write_npz(path: Path, changes: Arrays) -> None:
    """Write a small PtychoPINN NPZ with changes; None leaves an array out."""
    arrays = {name: array for name, array in (NPZ_ARRAYS | changes).items() if array is not None}
    np.savez(path, **arrays)


def put(name: str, value: Any) -> Edit:
    """Replace a dataset, and keep its attributes."""

    def edit(file: h5py.File) -> None:
        attributes = dict(file[name].attrs)
        del file[name]
        file[name] = value
        file[name].attrs.update(attributes)

    return edit


def drop(name: str, attribute: str | None = None) -> Edit:
    """Delete a dataset, or one attribute of it."""

    def edit(file: h5py.File) -> None:
        if attribute is None:
            del file[name]
        else:
            del file[name].attrs[attribute]

    return edit


def attribute(name: str, key: str, value: Any) -> Edit:
    """Replace an attribute of a dataset."""
    return lambda file: file[name].attrs.create(key, value)


def make_product(**changes: Any) -> Product:
    """Return a product on an odd, oblong canvas, with corners at fractions of pixels."""
    rng = np.random.default_rng(0)
    shape = (40, 61)
    values: dict[str, Any] = {
        "object_": (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64),
        "object_corner_px": (0, 0),
        "corners_px": rng.uniform(0, 20, (7, 2)),
        "position_indexes": np.array([3, 9, 4, 100, 101, 7, 0]),
        "window_px": 16,
        "probe": rng.normal(size=(3, 16, 16)).astype(np.complex64),
        "coverage": rng.integers(0, 9, shape, dtype=np.int32),
        "disagreement": rng.random(shape, dtype=np.float32),
        "pixel_size_m": FRAME.pixel_size_m[1],
        "photon_energy_eV": 8800.0,
        "detector_distance_m": 2.5,
        "frame": FRAME,
        "name": "star σ",
        "complete": False,
        "num_patterns_used": 5,
        "metadata": {"backend": "tensorflow", "input_scale": 0.25, "batch_size": 8, "ok": True},
    }
    return Product(**(values | changes))
