"""ptypy's results, `.ptyr`: object, probe and, in newer releases, positions; no patterns.

A position is the place of a view's middle pixel, N // 2, in metres; pixel (0, 0) of the object is at its
`_origin`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import ScanError
from ...product import Product
from ...scan import Frame
from ..assembly.found import Found, Positions
from ..placed_object import PlacedObject, take_object, take_probe
from .tree import Tree

KIND = "ptypy result (.ptyr)"


def recognises(path: Path) -> bool:
    """Tell whether an HDF5 file has the storages of a ptypy run."""
    return bool({"obj", "probe"} & set(Tree(path).names_in("content")))


def find(path: Path) -> Found:
    """Return what a result says of its scan; the patterns lie in another file."""
    tree = Tree(path)
    storage = _storage(tree, "obj")
    positions = _positions_m(tree, storage)
    if positions is None:
        raise ScanError(
            f"{path} is {KIND} without positions, as older releases wrote it; a scan needs them: read the "
            ".ptyd of this scan, or say where positions lie in a map (`--map`)."
        )
    probe = _probe(tree)
    object_, frame = _object(tree, storage), _frame(tree, storage)
    middle = probe.shape[-1] // 2 - probe.shape[-1] / 2  # of an odd window, half a pixel
    return Found(
        path,
        KIND,
        quantity="counts",
        positions=Positions(positions - np.array(frame.pixel_size_m) * middle),
        probe=probe,
        object_=object_,
        object_frame=frame,
        object_pixel_m=frame.pixel_size_m,
        photon_energy_eV=_energy_eV(tree),
        detector_distance_m=_distance_m(tree),
    )


def read_object(path: Path) -> PlacedObject:
    """Read the object."""
    tree = Tree(path)
    storage = _storage(tree, "obj")
    return PlacedObject(
        _object(tree, storage),
        pixel_size_m=_frame(tree, storage).pixel_size_m[1],
        name=path.stem,
    )


def read_probe(path: Path) -> NDArray[np.complex64]:
    """Read the probe, modes first."""
    return _probe(Tree(path))


def read_product(path: Path) -> Product:
    """Read a result as a product.

    Raises
    ------
    ScanError
        If it has no positions.
    """
    found = find(path)
    assert found.positions is not None
    assert found.probe is not None
    assert found.object_ is not None
    assert found.object_frame is not None
    frame, side = found.object_frame, found.probe.shape[-1]
    pixels = (found.positions.values - np.array(frame.center_m)) / np.array(frame.pixel_size_m)
    return Product(
        found.object_,
        (0, 0),
        pixels + np.array(frame.canvas_shape) / 2 - side / 2,
        np.arange(len(pixels)),
        side,
        found.probe,
        pixel_size_m=frame.pixel_size_m[1],
        photon_energy_eV=found.photon_energy_eV,
        detector_distance_m=found.detector_distance_m,
        frame=frame,
        name=path.stem,
    )


def _storage(tree: Tree, container: str) -> str:
    """Return the one storage of a container."""
    names = [
        name
        for name in tree.names_in(f"content/{container}")
        if "data" in tree.names_in(f"content/{container}/{name}")
    ]
    if len(names) != 1:
        listed = ", ".join(names) or "none"
        raise ScanError(
            f"{tree.path} is {KIND} with {len(names)} storages in `content/{container}` ({listed}); one is "
            "needed: save a run of one scan."
        )
    return f"content/{container}/{names[0]}"


def _object(tree: Tree, storage: str) -> NDArray[np.complex64]:
    """Read the first mode of the object."""
    name = f"{storage}/data"
    header = tree.file.header(name)
    if len(header.shape) == 3 and header.shape[0] > 1:
        raise ScanError(
            f"{header} has {header.shape[0]} modes of the object; one is needed: save a run with one."
        )
    return take_object(tree.file, name)


def _probe(tree: Tree) -> NDArray[np.complex64]:
    return take_probe(tree.file, f"{_storage(tree, 'probe')}/data")


def _frame(tree: Tree, storage: str) -> Frame:
    """Return where the object lies in metres."""
    pixels = _pair(tree, f"{storage}/_psize", f"{storage}/psize")
    if pixels is None or min(pixels) <= 0:
        raise ScanError(
            f"{tree.path} is {KIND} without the object's pixel (`{storage}/_psize`); it is needed: save the "
            "run again with ptypy 0.3 or newer."
        )
    shape = tree.file.header(f"{storage}/data").shape[-2:]
    origin = _pair(tree, f"{storage}/_origin", f"{storage}/origin") or (0.0, 0.0)
    y, x = (
        start + side / 2 * pixel for start, side, pixel in zip(origin, shape, pixels, strict=True)
    )
    return Frame((int(shape[0]), int(shape[1])), (y, x), pixels)


def _positions_m(tree: Tree, storage: str) -> NDArray[np.float64] | None:
    """Return positions (y, x); each once, though ptypy writes one for each mode."""
    name = tree.first(f"content/positions/{storage.rpartition('/')[2]}")
    if name is None:
        return None
    table = tree.reals(name)
    if table.ndim != 2 or table.shape[1] != 2 or len(table) == 0:
        raise ScanError(
            f"`{name}` of {tree.path} has shape {table.shape}, expected (n, 2): one (y, x) for each view; "
            "save the run again."
        )
    probe = tree.file.header(f"{_storage(tree, 'probe')}/data").shape
    num_modes = probe[0] if len(probe) == 3 else 1
    in_modes = table.reshape(-1, num_modes, 2) if len(table) % num_modes == 0 else table[:, None]
    is_repeated = bool((in_modes == in_modes[:, :1]).all())
    return in_modes[:, 0] if num_modes > 1 and is_repeated else table


def _pair(tree: Tree, *names: str) -> tuple[float, float] | None:
    name = tree.first(*names)
    if name is None:
        return None
    values = tree.reals(name).reshape(-1)
    return (float(values[0]), float(values[-1])) if len(values) else None


def _energy_eV(tree: Tree) -> float | None:
    name = _of_scan(tree, "energy")
    return None if name is None else tree.energy_eV(name, default="keV")


def _distance_m(tree: Tree) -> float | None:
    name = _of_scan(tree, "distance")
    return None if name is None else tree.length_m(name)


def _of_scan(tree: Tree, key: str) -> str | None:
    """Return where the parameters of the one scan have a number."""
    scans = tree.names_in("content/pars/scans")
    places = (
        f"content/pars/scans/{scan}/{part}/{key}" for scan in scans for part in ("data", "geometry")
    )
    name = tree.first(*places)
    return name if name is not None and tree.file.header(name).dtype.kind in "buif" else None
