"""One experiment in nine files, so that what is read of each can be compared with the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np
import scipy.io
from beamline_files import (
    DETECTOR_PIXEL_M,
    DISTANCE_M,
    ENERGY_EV,
    Experiment,
    matlab_arrays,
    write_cxi,
    write_eiger,
    write_mat73,
    write_nexus,
    write_plain,
    write_ptyd,
)
from numpy.typing import NDArray

Write = Callable[[Path, Experiment], tuple[object, ...]]
GEOMETRY = frozenset({"pixel size", "photon energy", "detector distance"})


@dataclass(frozen=True)
class Way:
    """A format, and what it cannot say.

    Attributes
    ----------
    write : callable
        Writes the experiment into a folder; returns the words of a command that read it.
    unsaid : frozenset of str
        What `inspect` names as missing, beside bad pixels.
    """

    write: Write
    unsaid: frozenset[str] = frozenset({"object"})


def in_one_place(made: Experiment) -> Experiment:
    """Move the corners by less than a pixel, so that metres and pixels mean the same canvas.

    Around positions in metres the readers lay the smallest canvas, whose pixels begin where they
    must; a file in pixels of the object has its own. Here both begin at the same fraction of a pixel.
    """
    extent_px = np.ptp(made.corners_px, axis=0)
    first_px = (np.ceil(extent_px) - extent_px) / 2
    return replace(made, corners_px=made.corners_px - made.corners_px.min(axis=0) + first_px)


def canvas_shape(made: Experiment) -> tuple[int, int]:
    side = made.patterns.shape[-1]
    height, width = (np.ceil(np.ptp(made.corners_px, axis=0)) + side).astype(int).tolist()
    return height, width


def _as_cxi(folder: Path, made: Experiment) -> tuple[object, ...]:
    write_cxi(folder / "scan.cxi", made)
    _fill(folder / "scan.cxi", "entry_1/instrument_1/detector_1/mask", 0)
    return (folder / "scan.cxi",)


def _as_nexus(folder: Path, made: Experiment) -> tuple[object, ...]:
    write_nexus(folder / "scan.nxs", made)
    return (folder / "scan.nxs",)


def _as_ptyd(folder: Path, made: Experiment) -> tuple[object, ...]:
    write_ptyd(folder / "scan.ptyd", made)
    _fill(folder / "scan.ptyd", "chunks/0/weights", 1)
    for number in range(2, (len(made.patterns) + 99) // 100, 2):
        _fill(folder / "scan.ptyd", f"chunks/{number}/weights", 1)
    return (folder / "scan.ptyd",)


def _as_eiger(folder: Path, made: Experiment) -> tuple[object, ...]:
    master = write_eiger(folder, made)
    _fill(master, "entry/instrument/detector/detectorSpecific/pixel_mask", 0)
    return (master, "--map", folder / "map.yaml")


def _as_mat5(folder: Path, made: Experiment) -> tuple[object, ...]:
    with (folder / "scan.mat").open("wb") as file:
        scipy.io.savemat(file, matlab_arrays(made), do_compression=True)
    return (folder / "scan.mat",)


def _as_mat73(folder: Path, made: Experiment) -> tuple[object, ...]:
    write_mat73(folder / "scan.mat", matlab_arrays(made))
    return (folder / "scan.mat",)


def _as_mapped(folder: Path, made: Experiment) -> tuple[object, ...]:
    (folder / "map.yaml").write_text(write_plain(folder / "scan.h5", made))
    return (folder / "scan.h5", "--map", folder / "map.yaml")


def _as_ptychodus(folder: Path, made: Experiment) -> tuple[object, ...]:
    """Write Ptychodus' pair by its own names; the object is not known yet."""
    side = made.patterns.shape[-1]
    middle_px = made.corners_px + side / 2 - np.array(canvas_shape(made)) / 2
    center_m = (made.positions_m - middle_px * made.pixel_m).mean(axis=0)
    with h5py.File(folder / "diffraction.h5", "w") as file:
        file["patterns"], file["indexes"] = made.patterns, np.arange(len(made.patterns))
        file["bad_pixels"] = np.zeros((side, side), np.bool_)
        for name in ("detector_pixel_width_m", "detector_pixel_height_m"):
            file["patterns"].attrs[name] = DETECTOR_PIXEL_M
    with h5py.File(folder / "product.h5", "w") as file:
        file.attrs["name"], file.attrs["photon_energy_eV"] = "star", ENERGY_EV
        file.attrs["detector_object_distance_m"] = DISTANCE_M
        file["probe_position_indexes"] = np.arange(len(made.patterns))
        file["probe_position_y_m"], file["probe_position_x_m"] = made.positions_m.T
        file["probe"] = made.probe[None]
        file["object"] = np.ones((1, *canvas_shape(made)), np.complex64)
        for name in ("probe", "object"):
            file[name].attrs["pixel_width_m"] = file[name].attrs["pixel_height_m"] = made.pixel_m
        file["object"].attrs["center_y_m"], file["object"].attrs["center_x_m"] = center_m
        file["object_layer_spacing_m"] = np.zeros(0)
    return (folder,)


def _as_ptychopinn(folder: Path, made: Experiment) -> tuple[object, ...]:
    y, x = (made.corners_px + made.patterns.shape[-1] / 2).T
    arrays: dict[str, NDArray[np.generic]] = {"xcoords": x, "ycoords": y, "diff3d": made.patterns}
    np.savez(folder / "scan.npz", **arrays, probeGuess=made.probe)  # type: ignore[arg-type]
    return (folder / "scan.npz", "--quantity", "counts")


WAYS = {
    "cxi": Way(_as_cxi),
    "nexus": Way(_as_nexus, frozenset({"object", "probe"})),
    "ptyd": Way(_as_ptyd, frozenset({"object", "probe"})),
    "eiger": Way(_as_eiger, frozenset({"object", "probe"})),
    "mat5": Way(_as_mat5, frozenset({"object", "detector distance"})),
    "mat7.3": Way(_as_mat73, frozenset({"object", "detector distance"})),
    "map": Way(_as_mapped),
    "ptychodus": Way(_as_ptychodus, frozenset()),
    "ptychopinn": Way(_as_ptychopinn, frozenset({"object"}) | GEOMETRY),
}
"""Name -> how the experiment becomes a file of that format."""


def write_all(folder: Path, made: Experiment) -> dict[str, tuple[object, ...]]:
    """Write the experiment in all ways; return the words that read each."""
    words = {}
    for name, way in WAYS.items():
        (folder / name).mkdir()
        words[name] = way.write(folder / name, made)
    return words


def _fill(path: Path, name: str, value: int) -> None:
    with h5py.File(path, "r+") as file:
        if name in file and file[name].size:
            file[name][...] = value
