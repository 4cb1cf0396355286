"""Ptychodus' product and diffraction.h5, releases 1.2 to 1.7."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..errors import ScanError
from ..files import write_atomically
from ..product import Product
from ..scan import Scan
from .assembly.pairing import pair
from .assembly.units import wavelength_m
from .fields.flat_fields import POSITION_KEYS
from .fields.product_file import ProductFile
from .options import ScanOptions
from .ptychodus_product import save_product
from .storage.arrays import read_indexes, read_mask
from .storage.hdf5 import Hdf5, Hdf5Patterns
from .storage.hdf5_writing import new_hdf5, write_datasets, write_patterns
from .storage.kinds import kind_of

PRODUCT, PATTERNS = "product.h5", "diffraction.h5"
PATTERNS_IN_CHUNK = 4


def read_scan(path: Path, options: ScanOptions) -> Scan:
    """Read a scan from a product and its patterns, which stay on disk.

    They are paired by their scan indexes, as Ptychodus does; see `assembly.pairing.pair`.
    """
    product_path, patterns_path = _find_pair(path, options.patterns_path)
    product = ProductFile(product_path)
    num_stored, _, window_px = Hdf5Patterns(patterns_path).shape
    stored, bad_pixels = _read_indexes(patterns_path, num_stored, window_px)
    corners_px = product.corners_px(window_px)
    pairs = pair(stored, product.position_indexes(), corners_px, product_path)
    return Scan(
        patterns=Hdf5Patterns(patterns_path, pairs.rows),
        quantity="counts",
        corners_px=pairs.positions,
        probe=product.probe(window_px),
        object_=product.object_(),
        bad_pixels=bad_pixels,
        pixel_size_m=product.pixel_size_m(),
        photon_energy_eV=product.positive("photon_energy_eV", "probe_energy_eV"),
        detector_distance_m=product.positive("detector_object_distance_m"),
        detector_pixel_m=_stored_detector_pixel_m(patterns_path),
        frame=product.canvas(),
        position_indexes=pairs.indexes,
        position_origin="metres",
        name=product.name,
    )


def write_scan(scan: Scan, folder: str | Path) -> None:
    """Write a scan as product.h5 and diffraction.h5, in the layout that Ptychodus opens.

    Parameters
    ----------
    scan : Scan
        Counts, with probe, object, pixel size, photon energy and detector distance.
    folder : path
        Made if it is missing.

    Raises
    ------
    ScanError
        If the scan lacks one of these, or holds amplitudes.
    """
    _check_writable(scan)
    assert scan.probe is not None
    assert scan.object_ is not None
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    indexes = scan.position_indexes
    if indexes is None:
        indexes = np.arange(scan.num_patterns, dtype=np.int64)
    y, x = scan.object_corner_px
    product = Product(
        object_=scan.object_,
        object_corner_px=(int(y), int(x)),
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
    write_atomically(folder / PATTERNS, lambda out: _write_patterns(scan, indexes, out))
    save_product(product, folder / PRODUCT)


def pair_of(path: Path) -> tuple[Path, Path]:
    """Return where the product and the patterns of a scan are, given either or their folder."""
    if path.is_dir():
        return path / PRODUCT, path / PATTERNS
    if kind_of(path) == "npz" or not _is_patterns_file(path):
        return path, path.with_name(PATTERNS)
    return path.with_name(PRODUCT), path


def _find_pair(path: Path, patterns_path: Path | None) -> tuple[Path, Path]:
    """Return product and patterns: both given, or one beside the other."""
    product, patterns = pair_of(path)
    if patterns_path is not None and patterns == path:
        raise ScanError(
            f"{path} holds patterns itself, and {patterns_path} was given too; one file of "
            "patterns is needed: give the product first, and its patterns with it."
        )
    patterns = patterns_path or patterns
    if not product.is_file():
        raise ScanError(
            f"There is no file {product}; the patterns need the product for their positions: put "
            f"{PRODUCT} beside {PATTERNS}."
        )
    if not patterns.is_file():
        raise ScanError(
            f"There are no patterns for {path}: {patterns} is missing; put {PATTERNS} beside the "
            "product, or name the file with `--patterns`."
        )
    return product, patterns


def _is_patterns_file(path: Path) -> bool:
    names = Hdf5(path).names
    return "patterns" in names and not any(name in names for name in POSITION_KEYS)


def _read_indexes(
    path: Path, num: int, window_px: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_] | None]:
    """Return the scan indexes of the patterns, and the bad pixels."""
    if num == 0:
        raise ScanError(
            f"The scan is empty: `patterns` of {path} holds no diffraction pattern; at least one "
            "is needed: check how the file was made."
        )
    file = Hdf5(path)
    indexes = read_indexes(file, "indexes") if "indexes" in file else np.arange(num)
    bad = read_mask(file, "bad_pixels", window_px) if "bad_pixels" in file else None
    if len(indexes) != num:
        raise ScanError(
            f"{path} has {num} patterns but {len(indexes)} indexes; each pattern needs one: "
            "correct the file."
        )
    return indexes, bad


def _stored_detector_pixel_m(path: Path) -> float | None:
    """Return the width of a detector pixel, if the file says."""
    value = Hdf5(path).attributes("patterns").get("detector_pixel_width_m")
    width_m = np.asarray(value)
    if value is None or width_m.size != 1 or width_m.dtype.kind not in "fiu":
        return None
    number = float(width_m.reshape(-1)[0])
    return number if 0 < number < np.inf else None


def _check_writable(scan: Scan) -> None:
    if scan.quantity != "counts":
        raise ScanError(
            f"`quantity` is {scan.quantity!r}, but Ptychodus files hold counts; write an NPZ."
        )
    needed = {
        "probe": scan.probe,
        "object_": scan.object_,
        "pixel_size_m": scan.pixel_size_m,
        "photon_energy_eV": scan.photon_energy_eV,
        "detector_distance_m": scan.detector_distance_m,
    }
    missing = [name for name, value in needed.items() if value is None]
    if missing:
        raise ScanError(
            f"The scan has no {', '.join(f'`{name}`' for name in missing)}; Ptychodus files need "
            "that: supply it, or write an NPZ instead."
        )
    if any(value != int(value) for value in scan.object_corner_px):
        raise ScanError(
            f"`object_corner_px` is {scan.object_corner_px}; whole pixels are needed: shift "
            "`corners_px` and it by the fraction."
        )


def _write_patterns(scan: Scan, indexes: NDArray[np.int64], out: BinaryIO) -> None:
    side = scan.window_px
    bad = np.zeros((side, side), np.bool_) if scan.bad_pixels is None else scan.bad_pixels
    with new_hdf5(out) as file:
        write_datasets(file, {"indexes": indexes, "bad_pixels": bad})
        patterns = write_patterns(file, scan, in_chunk=PATTERNS_IN_CHUNK)
        height_m, width_m = _detector_pixel_m(scan)
        patterns.attrs["detector_pixel_height_m"] = height_m
        patterns.attrs["detector_pixel_width_m"] = width_m


def _detector_pixel_m(scan: Scan) -> tuple[float, float]:
    """Return the detector pixel, wavelength · distance / (N · object pixel), as (y, x)."""
    assert scan.pixel_size_m is not None
    assert scan.photon_energy_eV is not None
    assert scan.detector_distance_m is not None
    sides_m = scan.frame.pixel_size_m if scan.frame else (scan.pixel_size_m, scan.pixel_size_m)
    length = wavelength_m(scan.photon_energy_eV) * scan.detector_distance_m
    height_m, width_m = (length / (scan.window_px * side_m) for side_m in sides_m)
    return height_m, width_m
