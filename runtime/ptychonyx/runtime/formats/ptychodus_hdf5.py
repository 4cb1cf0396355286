"""Ptychodus' product.h5 and diffraction.h5, releases 1.2 to 1.7."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from ..errors import ScanError
from ..scan import Frame, Quantity, Scan

PRODUCT, PATTERNS = "product.h5", "diffraction.h5"
OWN_GROUP = "ptychonyx"


def read_scan(
    path: Path, quantity: Quantity | None, position_origin: str | None, patterns_path: Path | None
) -> Scan:
    """Read a scan from product.h5 and diffraction.h5; patterns stay on disk."""
    if quantity == "amplitude":
        raise ScanError(f"{path}: Ptychodus files hold counts; leave out `--quantity amplitude`.")
    if position_origin is not None:
        raise ScanError(
            f"{path}: positions of a Ptychodus product are in metres, which leave no choice; leave "
            "out `--position-origin`."
        )
    product_path, patterns_path = _pair(path, patterns_path)
    with open_file(product_path) as product, open_file(patterns_path) as diffraction:
        shape, stored, bad_pixels = _diffraction_header(diffraction, patterns_path)
        wanted = _read(product, "probe_position_indexes", product_path).astype(np.int64)
        rows, kept = _match(wanted, stored, product_path)
        frame, pixel_known = frame_of(product, product_path)
        return Scan(
            patterns=_Patterns(patterns_path, rows, shape, diffraction["patterns"].dtype),
            quantity="counts",
            corners_px=corners_of(product, product_path, frame, shape[1])[kept],
            probe=_first_probe(product),
            object_=_first_layer(product),
            bad_pixels=bad_pixels,
            pixel_size_m=frame.pixel_size_m[1] if pixel_known else None,
            photon_energy_eV=attribute(product, "photon_energy_eV", "probe_energy_eV"),
            detector_distance_m=attribute(product, "detector_object_distance_m"),
            frame=frame,
            position_indexes=wanted[kept],
            position_origin="metres",
            name=str(product.attrs.get("name", product_path.stem)),
        )


def read_object(
    path: Path,
) -> tuple[NDArray[np.complex64], tuple[float, float], NDArray[np.int32] | None, float | None, str]:
    """Read object, corner, coverage, pixel size and name of a product."""
    path = path / PRODUCT if path.is_dir() else path
    with open_file(path) as product:
        object_ = _first_layer(product)
        if object_ is None:
            raise ScanError(f"{path} holds no object.")
        corner, coverage = (0.0, 0.0), None
        if OWN_GROUP in product:
            own = product[OWN_GROUP]
            y, x = own.attrs["object_corner_px"]
            corner = (float(y), float(x))
            coverage = np.asarray(own["coverage"], dtype=np.int32)
        frame, pixel_known = frame_of(product, path)
        pixel_size_m = frame.pixel_size_m[1] if pixel_known else None
        return object_, corner, coverage, pixel_size_m, str(product.attrs.get("name", path.stem))


def read_probe(path: Path) -> NDArray[np.complex64]:
    """Read the probe of a product, modes first."""
    path = path / PRODUCT if path.is_dir() else path
    with open_file(path) as product:
        probe = _first_probe(product)
    if probe is None:
        raise ScanError(f"{path} holds no probe.")
    return probe


def write_ptychodus(scan: Scan, folder: Path) -> None:
    """Write a scan as product.h5 and diffraction.h5 into a folder.

    Raises
    ------
    ScanError
        If the scan has no frame, probe, energy or distance, or holds amplitudes.
    """
    from ..product import Product, write_product

    if scan.quantity != "counts":
        raise ScanError("Ptychodus files hold counts, this scan amplitudes.")
    needed = (scan.frame, scan.probe, scan.object_, scan.photon_energy_eV, scan.detector_distance_m)
    if any(value is None for value in needed):
        raise ScanError(
            "Ptychodus files need frame, probe, object, photon energy and detector distance; this "
            "scan lacks one of them."
        )
    assert scan.probe is not None
    assert scan.object_ is not None
    assert scan.frame is not None
    folder.mkdir(parents=True, exist_ok=True)
    indexes = _indexes(scan)
    product = Product(
        object_=scan.object_,
        object_corner_px=(0, 0),
        corners_px=scan.corners_px,
        position_indexes=indexes,
        window_px=scan.window_px,
        probe=scan.probe,
        pixel_size_m=scan.pixel_size_m,
        photon_energy_eV=scan.photon_energy_eV,
        detector_distance_m=scan.detector_distance_m,
        frame=scan.frame,
        name=scan.name,
    )
    write_product(product, folder / PRODUCT)
    with h5py.File(folder / PATTERNS, "w") as file:
        file.create_dataset("indexes", data=indexes)
        patterns = file.create_dataset(
            "patterns", data=scan.patterns[0 : scan.num_patterns], compression="lzf", chunks=True
        )
        side_m = _detector_pixel_m(scan)
        patterns.attrs["detector_pixel_width_m"] = side_m
        patterns.attrs["detector_pixel_height_m"] = side_m
        bad = scan.bad_pixels
        shape = (scan.window_px, scan.window_px)
        file.create_dataset("bad_pixels", data=np.zeros(shape, np.bool_) if bad is None else bad)


class _Patterns:
    """Rows of the `patterns` dataset, read slice by slice."""

    def __init__(
        self,
        path: Path,
        rows: NDArray[np.int64],
        shape: tuple[int, int, int],
        dtype: np.dtype[Any],
    ) -> None:
        self._path, self._rows = path, rows
        self.shape, self.dtype = (len(rows), *shape[1:]), dtype

    def __getitem__(self, key: slice, /) -> NDArray[Any]:
        rows = self._rows[key]
        if len(rows) == 0:
            return np.empty((0, *self.shape[1:]), dtype=self.dtype)
        order = np.argsort(rows, kind="stable")
        with open_file(self._path) as file:
            first, last = int(rows[order[0]]), int(rows[order[-1]])
            if last - first + 1 == len(rows):
                read = file["patterns"][first : last + 1]
            else:
                read = file["patterns"][rows[order]]
        result: NDArray[Any] = np.empty_like(read)
        result[order] = read
        return result


@contextmanager
def open_file(path: Path) -> Iterator[h5py.File]:
    """Open an HDF5 file for reading, or say what is wrong with it."""
    if not path.exists():
        raise ScanError(f"There is no file {path}; check the path.")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except OSError as error:
        raise ScanError(
            f"{path} is not a readable HDF5 file ({error}); it may be truncated: copy it again."
        ) from None


def _pair(path: Path, patterns_path: Path | None) -> tuple[Path, Path]:
    if path.is_dir():
        return path / PRODUCT, patterns_path or path / PATTERNS
    if path.name == PATTERNS:
        return path.with_name(PRODUCT), path
    patterns = patterns_path or path.with_name(PATTERNS)
    if not patterns.exists():
        raise ScanError(
            f"There are no patterns for {path}: {patterns} is missing; put diffraction.h5 beside the "
            "product, or name it with `--patterns`."
        )
    return path, patterns


def _read(file: h5py.File, name: str, path: Path) -> NDArray[Any]:
    if name not in file:
        raise ScanError(f"{path} has no dataset `{name}`; it is no Ptychodus file of this kind.")
    return np.asarray(file[name])


def _diffraction_header(
    file: h5py.File, path: Path
) -> tuple[tuple[int, int, int], NDArray[np.int64], NDArray[np.bool_] | None]:
    if "patterns" not in file:
        raise ScanError(f"{path} has no dataset `patterns`; it is no Ptychodus diffraction file.")
    shape = file["patterns"].shape
    if len(shape) != 3:
        raise ScanError(f"`patterns` of {path} has shape {shape}, expected (n, N, N).")
    indexes = np.asarray(file["indexes"]) if "indexes" in file else np.arange(shape[0])
    if len(indexes) != shape[0]:
        raise ScanError(f"{path} has {shape[0]} patterns but {len(indexes)} indexes.")
    bad = np.asarray(file["bad_pixels"], dtype=np.bool_) if "bad_pixels" in file else None
    return shape, indexes.astype(np.int64), bad


def _match(
    wanted: NDArray[np.int64], stored: NDArray[np.int64], path: Path
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the pattern row of each position that has a pattern, and which positions these are."""
    for name, indexes in (("positions", wanted), ("patterns", stored)):
        if len(np.unique(indexes)) != len(indexes):
            raise ScanError(
                f"{path}: two {name} have the same scan index; each index may occur once."
            )
    row_of = {int(index): row for row, index in enumerate(stored)}
    kept = np.array([i for i, index in enumerate(wanted) if int(index) in row_of], dtype=np.int64)
    if len(kept) == 0:
        raise ScanError(
            f"{path}: no position shares its scan index with a pattern ({len(wanted)} positions, "
            f"{len(stored)} patterns); check that both files belong to one scan."
        )
    return np.array([row_of[int(wanted[i])] for i in kept], dtype=np.int64), kept


def frame_of(product: h5py.File, path: Path) -> tuple[Frame, bool]:
    """Return the product's canvas, and whether its pixel size is a real one."""
    object_ = product.get("object")
    if object_ is None:
        raise ScanError(f"{path} has no dataset `object`; its canvas decides where positions lie.")
    attributes = object_.attrs
    missing = [key for key in ("pixel_width_m", "pixel_height_m") if key not in attributes]
    if missing:
        raise ScanError(f"`object` of {path} lacks the attribute `{missing[0]}`.")
    frame = Frame(
        canvas_shape=(int(object_.shape[-2]), int(object_.shape[-1])),
        center_m=(float(attributes.get("center_y_m", 0)), float(attributes.get("center_x_m", 0))),
        pixel_size_m=(float(attributes["pixel_height_m"]), float(attributes["pixel_width_m"])),
    )
    if min(frame.pixel_size_m) <= 0:
        raise ScanError(
            f"The object pixel of {path} is {frame.pixel_size_m} m; it must be positive."
        )
    own = product.get(OWN_GROUP)
    return frame, own is None or bool(own.attrs.get("pixel_size_known", True))


def corners_of(product: h5py.File, path: Path, frame: Frame, window_px: int) -> NDArray[np.float64]:
    """Return corner = (position − centre) / pixel + canvas/2 − N/2: the same in every release."""
    axes = []
    for axis, key in enumerate(("probe_position_y_m", "probe_position_x_m")):
        metres = _read(product, key, path).astype(np.float64)
        pixels = (metres - frame.center_m[axis]) / frame.pixel_size_m[axis]
        axes.append(pixels + frame.canvas_shape[axis] / 2 - window_px / 2)
    return np.stack(axes, axis=1)


def _first_probe(product: h5py.File) -> NDArray[np.complex64] | None:
    if "probe" not in product or product["probe"].size == 0:
        return None
    probe = np.asarray(product["probe"]).astype(np.complex64)
    while probe.ndim > 3:
        probe = probe[0]
    return probe[None] if probe.ndim == 2 else probe


def _first_layer(product: h5py.File) -> NDArray[np.complex64] | None:
    if "object" not in product or product["object"].size == 0:
        return None
    object_ = np.asarray(product["object"]).astype(np.complex64)
    return object_[0] if object_.ndim == 3 else object_


def attribute(product: h5py.File, *names: str) -> float | None:
    """Return the first attribute of these names that is there and positive."""
    for name in names:
        if name in product.attrs:
            value = float(product.attrs[name])
            return value if value > 0 else None
    return None


def _indexes(scan: Scan) -> NDArray[np.int64]:
    if scan.position_indexes is None:
        return np.arange(scan.num_patterns, dtype=np.int64)
    return scan.position_indexes


def _detector_pixel_m(scan: Scan) -> float:
    assert scan.frame is not None
    assert scan.photon_energy_eV is not None
    assert scan.detector_distance_m is not None
    wavelength_m = 1.239841984e-6 / scan.photon_energy_eV
    return wavelength_m * scan.detector_distance_m / (scan.window_px * scan.frame.pixel_size_m[1])
