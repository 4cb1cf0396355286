"""Files to spoil, how each is spoilt, and the public readers that it is given to."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from format_files import make_product
from model_files import make_manifest, make_model
from solver_files import make_solver, make_solver_manifest

from ptychonyx.runtime import load_manifest, load_object, load_probe, load_product, load_scan
from ptychonyx.runtime.formats import save_product, save_scan
from ptychonyx.runtime.model.kinds import open_model
from ptychonyx.runtime.model.session import Model
from ptychonyx.runtime.model.solver import SolverModel
from ptychonyx.runtime.scan import Scan
from ptychonyx.runtime.simulation.scan import SimulationOptions, simulate_scan

from .hdf5_trees import spoil_hdf5
from .mutations import spoil_bytes
from .npz_scans import spoil_npz
from .onnx_graphs import spoil_graph, spoil_manifest

MOST_PATTERNS = 64
"""Of a spoilt scan, no more patterns are read: its header may promise any number."""
PROOF_ATOL = 1e-4
"""Ten times what the proof of a model allows, for inputs that are not in the proof."""

Reader = Callable[[Path], Any]
Spoil = Callable[[Path, np.random.Generator], None]


@dataclass(frozen=True)
class Subject:
    """A valid file, and a way to spoil it.

    Attributes
    ----------
    write : callable
        Folder -> path to give to the readers, in that folder.
    spoil : callable
        (path, rng) -> None; changes the file.
    readers : mapping of name to callable
    guarded : tuple of str
        Readers for which a spoilt file may never be another valid one.
    spoilt : str
        Name of the file to spoil, if it is not the one that is given to readers.
    """

    write: Callable[[Path], Path]
    spoil: Spoil
    readers: Mapping[str, Reader]
    guarded: tuple[str, ...] = ()
    spoilt: str = ""
    atol: float = 0.0


def small_scan() -> Scan:
    spec = SimulationOptions(num_patterns=6, window_px=16, step_px=4, counts_per_pattern=1e4)
    scan = simulate_scan(spec, np.random.default_rng(0))
    return dataclasses.replace(scan, bad_pixels=np.eye(16, dtype=np.bool_))


def read_scan(path: Path) -> Scan:
    """Read a scan and its patterns."""
    quantity = "counts" if path.suffix == ".npz" else None
    scan = load_scan(path, quantity=quantity)
    some = scan.patterns[0:MOST_PATTERNS]
    return dataclasses.replace(scan, patterns=some, corners_px=scan.corners_px[:MOST_PATTERNS])


def compute(path: Path) -> list[Any]:
    """Open a model of either kind with its proof, and compute with it."""
    model = open_model(path, provider="cpu")
    rng = np.random.default_rng(1)
    if isinstance(model, Model):
        side, num = model.manifest.window_px, model.manifest.num_channels
        return [model.predict(rng.random((1, num, side, side), dtype=np.float32), 2.0)]
    assert isinstance(model, SolverModel)
    side = 12 * model.manifest.stride_px
    return [model.change(rng.random((model.manifest.num_features, side, side), dtype=np.float32))]


def read_words(path: Path) -> str:
    """Return what a model says of itself."""
    return load_manifest(path).to_json()


def unnamed(read: Reader) -> Reader:
    """Return a reader whose result has no name: HDF5 cannot protect that of a product.

    Ptychodus needs it as a text of variable length, for which HDF5 has no checksum.
    """
    return lambda path: dataclasses.replace(read(path), name="")


def write_own_product(folder: Path, name: str) -> Path:
    rng = np.random.default_rng(0)
    shape = (20, 23)
    product = make_product(
        object_=(rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64),
        corners_px=rng.uniform(0, 5, (7, 2)),
        probe=rng.normal(size=(2, 8, 8)).astype(np.complex64),
        window_px=8,
        coverage=rng.integers(0, 9, shape, dtype=np.int32),
        disagreement=rng.random(shape, dtype=np.float32),
        pattern_residuals=rng.random(7, dtype=np.float32),
        pass_residuals=rng.random(5),
        ring_correlation=rng.random((3, 4)),
        metadata={"method": "network", "residual": 0.03125, "passes": 12, "backend": "pytorch"},
    )
    save_product(product, folder / name)
    return folder / name


def write_own_scan(folder: Path, name: str) -> Path:
    """Write a scan: `name` may be empty, for a folder of product and patterns."""
    save_scan(small_scan(), folder / name)
    return folder / name


def write_foreign(folder: Path, name: str, own: Callable[[Path, str], Path]) -> Path:
    """Write the HDF5 file that another program would write: no checksum, the oldest layout."""
    path = own(folder, name)
    with h5py.File(path) as file:
        names: list[str] = []
        file.visit(names.append)
        values = {each: file[each][()] for each in names if isinstance(file[each], h5py.Dataset)}
        attributes = {each: dict(file[each].attrs) for each in ("/", *names)}
    with h5py.File(path, "w") as file:
        for each, value in values.items():
            file[each] = value
        for each, found in attributes.items():
            owner = file[each] if each in file else file.create_group(each)
            owner.attrs.update(found)
    return path


def write_object(folder: Path) -> Path:
    np.save(folder / "object.npy", np.ones((8, 8), np.complex64))
    return folder / "object.npy"


def write_patches_model(folder: Path) -> Path:
    (folder / "patches.onnx").write_bytes(make_model(make_manifest()).SerializeToString())
    return folder / "patches.onnx"


def write_solver_model(folder: Path) -> Path:
    (folder / "solver.onnx").write_bytes(make_solver(make_solver_manifest()).SerializeToString())
    return folder / "solver.onnx"


def _subjects() -> dict[str, Subject]:
    arrays: dict[str, Reader] = {"load_object": load_object, "load_probe": load_probe}
    product: dict[str, Reader] = {"load_product": load_product, **arrays}
    scan: dict[str, Reader] = {"load_scan": read_scan, **arrays}
    model: dict[str, Reader] = {"open_model": compute, "load_manifest": read_words}

    def own(name: str) -> Callable[[Path], Path]:
        return lambda folder: write_own_product(folder, name)

    def scan_file(name: str) -> Callable[[Path], Path]:
        return lambda folder: write_own_scan(folder, name)

    def foreign(name: str, write: Callable[[Path, str], Path]) -> Callable[[Path], Path]:
        return lambda folder: write_foreign(folder, name, write)

    pair = scan_file("")
    patches, solver = write_patches_model, write_solver_model
    return {
        "bytes of our HDF5 product": Subject(
            own("result.h5"),
            spoil_bytes,
            product | {name: unnamed(product[name]) for name in ("load_product", "load_object")},
            (*product,),
        ),
        "bytes of our NPZ product": Subject(own("result.npz"), spoil_bytes, product, (*product,)),
        "bytes of our NPZ scan": Subject(scan_file("scan.npz"), spoil_bytes, scan, (*scan,)),
        "bytes of our training file": Subject(scan_file("train.h5"), spoil_bytes, scan, (*scan,)),
        "bytes of our scan's product": Subject(
            pair,
            spoil_bytes,
            scan | {name: unnamed(scan[name]) for name in ("load_scan", "load_object")},
            (*scan,),
            "product.h5",
        ),
        "bytes of our scan's patterns": Subject(
            pair, spoil_bytes, {"load_scan": read_scan}, ("load_scan",), "diffraction.h5"
        ),
        "bytes of another's product": Subject(
            foreign("result.h5", write_own_product), spoil_bytes, product
        ),
        "bytes of another's training file": Subject(
            foreign("train.h5", write_own_scan), spoil_bytes, scan
        ),
        "bytes of an array": Subject(write_object, spoil_bytes, arrays),
        "bytes of a model of patches": Subject(
            patches, spoil_bytes, model, (*model,), atol=PROOF_ATOL
        ),
        "bytes of a solver": Subject(solver, spoil_bytes, model, (*model,), atol=PROOF_ATOL),
        "arrays of an NPZ product": Subject(own("result.npz"), spoil_npz, product),
        "arrays of an NPZ scan": Subject(scan_file("scan.npz"), spoil_npz, scan),
        "tree of an HDF5 product": Subject(
            foreign("result.h5", write_own_product), spoil_hdf5, product
        ),
        "tree of a training file": Subject(foreign("train.h5", write_own_scan), spoil_hdf5, scan),
        "tree of a scan's product": Subject(pair, spoil_hdf5, scan, (), "product.h5"),
        "tree of a scan's patterns": Subject(
            pair, spoil_hdf5, {"load_scan": read_scan}, (), "diffraction.h5"
        ),
        "manifest of patches": Subject(patches, spoil_manifest, model, atol=PROOF_ATOL),
        "manifest of a solver": Subject(solver, spoil_manifest, model, atol=PROOF_ATOL),
        "graph of patches": Subject(patches, spoil_graph, model, atol=PROOF_ATOL),
        "graph of a solver": Subject(solver, spoil_graph, model, atol=PROOF_ATOL),
    }


SUBJECTS = _subjects()
"""What is spoilt and how -> the files and their readers."""
