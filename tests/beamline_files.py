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


def write_nexus(path: Path, made: Experiment, *, motors: bool = True) -> None:
    """Write NXcxi_ptycho by its definition, with the ring's energy where CXI has the photons'."""
    with h5py.File(path, "w") as file:
        entry = file.create_group("entry_1")
        entry["definition"] = "NXcxi_ptycho"
        instrument = entry.create_group("instrument_1")
        _with_unit(instrument, "source_1/energy", 3.0, "GeV")
        _with_unit(instrument, "beam_1/energy", ENERGY_EV / 1e3, "keV")
        detector = instrument.create_group("detector_1")
        detector["data"] = made.patterns
        _with_unit(detector, "distance", DISTANCE_M * 1e3, "mm")
        _with_unit(detector, "x_pixel_size", DETECTOR_PIXEL_M * 1e6, "um")
        _with_unit(detector, "y_pixel_size", DETECTOR_PIXEL_M * 1e6, "um")
        y, x = made.positions_m.T
        if motors:
            at = "sample_1/transformations"
            _with_unit(entry, f"{at}/y", -y[:, None, None] * 1e6, "um").attrs["vector"] = [0, -1, 0]
            _with_unit(entry, f"{at}/x", x[:, None, None] * 1e6, "um").attrs["vector"] = [1, 0, 0]
        else:
            table = np.stack([x, y, 0 * x], axis=1)
            _with_unit(detector, "translation", table * 1e3, "mm")
        entry["data_1/data"] = h5py.SoftLink("/entry_1/instrument_1/detector_1/data")


def _with_unit(group: h5py.Group, name: str, value: Any, unit: str) -> h5py.Dataset:
    group[name] = value
    group[name].attrs["units"] = unit
    return group[name]


def write_eiger(
    folder: Path, made: Experiment, *, in_file: int = 200, packing: dict[str, Any] | None = None
) -> Path:
    """Write a master, its data files by the detector's interface, and a map with positions."""
    n, side = len(made.patterns), made.patterns.shape[-1]
    with h5py.File(folder / "scan_master.h5", "w") as file:
        detector = file.create_group("entry/instrument/detector")
        _with_unit(detector, "x_pixel_size", DETECTOR_PIXEL_M, "m")
        _with_unit(detector, "y_pixel_size", DETECTOR_PIXEL_M, "m")
        _with_unit(detector, "detector_distance", DISTANCE_M, "m")
        detector["beam_center_x"] = detector["beam_center_y"] = float(side // 2)
        _with_unit(detector, "detectorSpecific/photon_energy", ENERGY_EV, "eV")
        mask = np.zeros((side, side), np.uint32)
        mask[0, 0], mask[0, 1], mask[3, 5] = 1, 1 << 4, 1 << 31
        detector["detectorSpecific/pixel_mask"] = mask
        file.create_group("entry/data")
        for number, start in enumerate(range(0, n, in_file), 1):
            name = f"scan_data_{number:06d}.h5"
            file[f"entry/data/data_{number:06d}"] = h5py.ExternalLink(name, "/entry/data/data")
            with h5py.File(folder / name, "w") as data:
                part = made.patterns[start : start + in_file]
                chunks = (1, side, side)
                data.create_dataset("entry/data/data", data=part, chunks=chunks, **(packing or {}))
                data["entry/data/data"].attrs["image_nr_low"] = start + 1
    np.savez(folder / "stage.npz", y=made.positions_m[:, 0], x=made.positions_m[:, 1])
    (folder / "map.yaml").write_text("positions: {file: stage.npz, y: y, x: x, unit: m}\n")
    return folder / "scan_master.h5"


def write_ptyd(path: Path, made: Experiment, *, in_chunk: int = 100) -> None:
    """Write ptypy's data by its documented tree: keV, metres, (y, x)."""
    side = made.patterns.shape[-1]
    with h5py.File(path, "w") as file:
        meta = file.create_group("meta")
        meta["energy"], meta["distance"] = ENERGY_EV / 1e3, DISTANCE_M
        meta["psize"], meta["shape"] = [DETECTOR_PIXEL_M] * 2, [side, side]
        meta["center"] = [side / 2, side / 2]
        for number, start in enumerate(range(0, len(made.patterns), in_chunk)):
            part = slice(start, start + in_chunk)
            chunk = file.create_group(f"chunks/{number}")
            chunk["data"], chunk["positions"] = made.patterns[part], made.positions_m[part]
            chunk["indices"] = np.arange(len(made.patterns))[part]
            weights = np.ones(made.patterns[part].shape, np.float32)
            weights[:, 1, 2], weights[0, 3, 4] = 0, 0
            chunk["weights"] = weights if number % 2 == 0 else np.zeros(0)


def write_ptyr(path: Path, made: Experiment) -> None:
    """Write ptypy's result by the names under which it keeps storages and the views' middles."""
    origin_m = np.array([3e-6, -2e-6])
    side = made.probe.shape[-1]
    with h5py.File(path, "w") as file:
        content = file.create_group("content")
        for name, array in (("obj", made.object_[None]), ("probe", made.probe)):
            storage = content.create_group(f"{name}/Sscan00G00")
            storage["data"], storage["_psize"] = array, [made.pixel_m] * 2
            storage["_origin"] = origin_m if name == "obj" else [0.0, 0.0]
        middles_m = (made.corners_px + side // 2) * made.pixel_m + origin_m
        content["positions/Sscan00G00"] = np.repeat(middles_m, len(made.probe), axis=0)
        content["pars/scans/scan00/data/energy"] = ENERGY_EV / 1e3
        content["pars/scans/scan00/data/distance"] = DISTANCE_M


def matlab_arrays(made: Experiment) -> dict[str, Any]:
    """Return what PtychoShelves and fold_slice keep, in MATLAB's order of axes."""
    return {
        "dp": made.patterns.transpose(1, 2, 0),
        "ppY": made.positions_m[:, :1],
        "ppX": made.positions_m[:, 1:],
        "probe": made.probe.transpose(1, 2, 0),
        "lambda": np.array([[EV_M / ENERGY_EV]]),
        "dx": np.array([[made.pixel_m]]),
    }


def write_mat73(path: Path, arrays: dict[str, Any]) -> None:
    """Write MATLAB 7.3: HDF5 behind 512 bytes, axes reversed, complex numbers as two parts."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, array in arrays.items():
            value = np.asarray(array).T
            if np.iscomplexobj(value):
                part = value.real.dtype
                pair = np.empty(value.shape, [("real", part), ("imag", part)])
                pair["real"], pair["imag"] = value.real, value.imag
                value = pair
            file[name] = value
    with path.open("r+b") as out:
        out.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")
