"""ptypy's prepared data, `.ptyd`: frames in chunks, with positions, weights and geometry.

Energies are in keV, lengths and positions in metres, positions as (y, x). A weight of 0 in all frames is a
bad pixel.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import ScanError
from ..assembly.found import Found, Positions
from ..placed_object import PlacedObject
from ..storage.arrays import Header, check_size
from ..storage.frames import Hdf5Frames
from .tree import Tree

KIND = "ptypy data (.ptyd)"
IN_BATCH = 64


def recognises(path: Path) -> bool:
    """Tell whether an HDF5 file has chunks of frames and their geometry."""
    names = Tree(path).file.names
    return "chunks" in names and ("meta" in names or "info" in names)


def find(path: Path) -> Found:
    """Return what a file says."""
    tree = Tree(path)
    chunks = _chunks(tree)
    if not chunks:
        raise ScanError(
            f"{path} is {KIND}, but holds no frames (`chunks/0/data`); they are kept apart if ptypy "
            "linked or split them: save it with `save='append'`."
        )
    frames = Hdf5Frames([(path, f"chunks/{chunk}/data") for chunk in chunks])
    pixel_m = _lengths_m(tree, "psize")
    center = _pair(tree, "center")
    return Found(
        path,
        KIND,
        frames=frames,
        quantity="counts",
        positions=_positions(tree, chunks),
        bad_pixels=_mask(tree, chunks, frames),
        photon_energy_eV=tree.energy_eV("meta/energy", "info/energy", default="keV"),
        detector_distance_m=tree.length_m("meta/distance", "info/distance"),
        detector_pixel_m=pixel_m,
        beam_px=center,
        name=tree.text("meta/label") or None,
    )


def read_object(path: Path) -> PlacedObject:
    """Say that prepared data hold no object."""
    raise _refusal(path, "object")


def read_probe(path: Path) -> NDArray[np.complex64]:
    """Say that prepared data hold no probe."""
    raise _refusal(path, "probe")


def _refusal(path: Path, what: str) -> ScanError:
    return ScanError(
        f"{path} is {KIND}, which holds frames and no {what}; ptypy writes it to a .ptyr: give that."
    )


def _chunks(tree: Tree) -> list[str]:
    """Return the names of the chunks that have frames, by their numbers."""
    names = tree.names_in("chunks")
    filled = [name for name in names if "data" in tree.names_in(f"chunks/{name}")]
    return sorted(filled, key=lambda name: (int(name) if name.isdecimal() else -1, name))


def _positions(tree: Tree, chunks: list[str]) -> Positions | None:
    """Return the positions of all chunks, or those of the whole scan."""
    paths = [f"chunks/{chunk}/positions" for chunk in chunks]
    if not all(tree.has(path) for path in paths):
        whole = tree.first("info/positions_scan", "common/positions_scan", "info/positions")
        paths = [] if whole is None else [whole]
    tables = [tree.reals(path) for path in paths]
    for path, table in zip(paths, tables, strict=True):
        if table.ndim != 2 or table.shape[1] != 2:
            raise ScanError(
                f"`{path}` of {tree.path} has shape {table.shape}, expected (n, 2): one (y, x) for each "
                "frame; say others in a map (`--map`)."
            )
    return Positions(np.concatenate(tables)) if tables else None


def _mask(tree: Tree, chunks: list[str], frames: Hdf5Frames) -> NDArray[np.bool_] | None:
    """Return pixels whose weight is 0 in all frames."""
    shape = tuple(frames.shape[1:])
    bad: NDArray[np.bool_] | None = None
    places = [f"chunks/{chunk}/weights" for chunk in chunks]
    for name in [*places, "meta/weight2d", "common/weight2d", "info/weight2d"]:
        if not tree.has(name):
            continue
        header = tree.file.header(name)
        if header.shape[-2:] != shape or header.dtype.kind not in "buif":
            continue  # an empty one says nothing
        is_zero = _all_zero(tree, header)
        bad = is_zero if bad is None else bad & is_zero if name in places else bad | is_zero
    return bad if bad is not None and bad.any() else None


def _all_zero(tree: Tree, header: Header) -> NDArray[np.bool_]:
    """Return which pixels are 0 in all images of a stack, read piece by piece."""
    if len(header.shape) == 2:
        check_size(header)
        return np.asarray(tree.file.read(header.name) == 0)
    weights = Hdf5Frames([(header.path, header.name)])
    is_zero = np.ones(weights.shape[1:], np.bool_)
    for start in range(0, weights.shape[0], IN_BATCH):
        is_zero &= (weights[start : start + IN_BATCH] == 0).all(axis=0)
    return is_zero


def _pair(tree: Tree, name: str) -> tuple[float, float] | None:
    """Return two numbers (y, x), or one for both; None if there are none."""
    found = tree.first(f"meta/{name}", f"info/{name}")
    if found is None or tree.file.header(found).dtype.kind not in "buif":
        return None
    values = tree.reals(found).reshape(-1)
    if len(values) == 0 or not np.isfinite(values).all():
        return None
    return float(values[0]), float(values[-1])


def _lengths_m(tree: Tree, name: str) -> tuple[float, float] | None:
    pair = _pair(tree, name)
    return pair if pair is not None and min(pair) > 0 else None
