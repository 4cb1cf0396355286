"""One experiment, written as every format that beamlines have: by the formats' published descriptions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ptychonyx.runtime import load_scan
from ptychonyx.runtime.scan import Scan

ENERGY_EV, DISTANCE_M, DETECTOR_PIXEL_M = 8800.0, 1.92, 75e-6
"""Invented once for all: the star's own are not known."""
EV_M, JOULE_OF_EV = 1.239841984e-6, 1.602176634e-19


@dataclass(frozen=True)
class Experiment:
    """Patterns, and where the beam was, in metres.

    Attributes
    ----------
    patterns : array, shape (n, N, N)
    corners_px, positions_m : float64 array, shape (n, 2)
        As (y, x).
    probe : complex64 array, shape (modes, N, N)
    object_ : complex64 array
    pixel_m : float
        Of the object.
    """

    patterns: NDArray[Any]
    corners_px: NDArray[np.float64]
    positions_m: NDArray[np.float64]
    probe: NDArray[np.complex64]
    object_: NDArray[np.complex64]
    pixel_m: float


def experiment_of(scan: Scan) -> Experiment:
    """Return the experiment that a scan in pixels could come from."""
    assert scan.probe is not None
    assert scan.object_ is not None
    pixel_m = EV_M / ENERGY_EV * DISTANCE_M / (scan.window_px * DETECTOR_PIXEL_M)
    positions_m = (scan.corners_px + scan.window_px / 2) * pixel_m
    patterns = np.asarray(scan.patterns[0 : scan.num_patterns])
    return Experiment(patterns, scan.corners_px, positions_m, scan.probe, scan.object_, pixel_m)


def star_experiment(folder: Path) -> Experiment:
    return experiment_of(load_scan(folder / "siemens64.npz", quantity="counts"))


def assert_is(scan: Scan, made: Experiment, *, has_pixel: bool = True) -> None:
    """Assert that a scan is the experiment: equal patterns, corners up to one shift."""
    assert scan.quantity == "counts"
    np.testing.assert_array_equal(scan.patterns[0 : scan.num_patterns], made.patterns)
    assert scan.patterns[2:5].dtype == made.patterns.dtype
    picked = np.array([1, 7, 3])
    np.testing.assert_array_equal(scan.patterns[picked], made.patterns[picked])
    shift_px = scan.corners_px - made.corners_px
    np.testing.assert_allclose(shift_px - shift_px[0], 0, atol=1e-9)
    if has_pixel:
        assert scan.pixel_size_m is not None
        np.testing.assert_allclose(scan.pixel_size_m, made.pixel_m, rtol=1e-12)
        assert scan.photon_energy_eV is not None
        np.testing.assert_allclose(scan.photon_energy_eV, ENERGY_EV, rtol=1e-12)


def write_plain(path: Path, made: Experiment) -> str:
    """Write an HDF5 file with a layout of its own, and return its map."""
    with h5py.File(path, "w") as file:
        file.create_dataset("raw/images", data=made.patterns, chunks=(1, *made.patterns.shape[1:]))
        file["motors/vertical"] = made.positions_m[:, 0] * -1e6
        file["motors/horizontal"] = made.positions_m[:, 1] * 1e3
        file["beam/energy"] = ENERGY_EV / 1e3
        file["beam/energy"].attrs["units"] = "keV"
        file["wave"] = made.probe
    return f"""
patterns: raw/images
positions:
  y: {{path: motors/vertical, unit: um}}
  x: {{path: motors/horizontal, unit: mm}}
  sign: {{y: -1}}
energy: beam/energy
distance: {DISTANCE_M} m
detector_pixel: 75e-6
probe: {{path: wave}}
"""


def write_cxi(path: Path, made: Experiment) -> None:
    """Write CXI 1.6 by its table of names: (x, y, z) in metres, energies in joule, soft links."""
    n, side = len(made.patterns), made.patterns.shape[-1]
    with h5py.File(path, "w") as file:
        file["cxi_version"] = 160
        source = file.create_group("entry_1/instrument_1/source_1")
        source["energy"] = ENERGY_EV * JOULE_OF_EV
        detector = file.create_group("entry_1/instrument_1/detector_1")
        detector["data"] = made.patterns
        detector["distance"] = DISTANCE_M
        detector["x_pixel_size"] = detector["y_pixel_size"] = DETECTOR_PIXEL_M
        corner = -(side // 2 + 0.5) * DETECTOR_PIXEL_M
        detector["corner_position"] = np.array([corner, corner, DISTANCE_M])
        mask = np.zeros((side, side), np.uint32)
        mask[0, 1], mask[2, 3] = 0x8, 0x20  # dead; part of a peak
        detector["mask"] = mask
        geometry = file.create_group("entry_1/sample_1/geometry_1")
        geometry["translation"] = np.c_[made.positions_m[:, ::-1], np.zeros(n)]
        source["illumination"] = made.probe
        data = file.create_group("entry_1/data_1")
        data["data"] = h5py.SoftLink("/entry_1/instrument_1/detector_1/data")
        data["translation"] = h5py.SoftLink("/entry_1/sample_1/geometry_1/translation")
