"""Writing CXI 1.6: scans and products, in one file that Ptychodus since 1.7 opens as either."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
from numpy.typing import NDArray

from ...errors import ScanError
from ...files import write_atomically
from ...product import Product, check_finite
from ...scan import Frame, Scan
from ..assembly.units import JOULE_OF_EV, wavelength_m
from ..storage.hdf5_writing import new_hdf5, write_dataset, write_patterns
from .cxi import DETECTOR, ENTRY, HOST, SOURCE

VERSION = 160
INVALID = 1
"""Bit of a mask."""
PROGRAM = "Ptychonyx"
GROUPS = ("data_1", "process_1", "sample_1/geometry_1")


def write_scan(scan: Scan, path: str | Path) -> None:
    """Write a scan as CXI 1.6.

    Parameters
    ----------
    scan : Scan
        Counts, with pixel size, photon energy and detector distance; probe and object if there are.
    path : path
        The file appears whole or not at all.

    Raises
    ------
    ScanError
        If the scan lacks one of these, or holds amplitudes.
    """
    if scan.quantity != "counts":
        raise ScanError(
            f"`quantity` is {scan.quantity!r}, but CXI files hold counts; write an NPZ."
        )
    for name in ("pixel_size_m", "photon_energy_eV", "detector_distance_m"):
        if getattr(scan, name) is None:
            raise ScanError(
                f"The scan has no `{name}`, which CXI needs; supply it, or write an NPZ."
            )
    write_atomically(Path(path), lambda out: _write_scan(scan, out))


def write_product(product: Product, path: str | Path) -> None:
    """Write the object, probe and positions of a product as CXI 1.6.

    Raises
    ------
    NotFiniteError
        If the object or the probe is not finite.
    ValueError
        If the product does not know its pixel size, without which CXI says nothing.
    """
    check_finite(product)
    if product.pixel_size_m is None:
        raise ValueError(
            f"The product {product.name!r} does not know its pixel size, which CXI needs; write it as "
            ".h5, or reconstruct a scan that says energy, distance and pixel."
        )
    write_atomically(Path(path), lambda out: _write_product(product, out))


def _write_scan(scan: Scan, out: BinaryIO) -> None:
    frame = _frame_of(scan)
    with _new_cxi(out, scan.name) as file:
        _write_setup(file, scan.photon_energy_eV, scan.detector_distance_m)
        detector = file[DETECTOR]
        length = wavelength_m(scan.photon_energy_eV or 0) * (scan.detector_distance_m or 0)
        for name, pixel_m in zip("yx", frame.pixel_size_m, strict=True):
            write_dataset(detector, f"{name}_pixel_size", length / (scan.window_px * pixel_m))
        write_patterns(detector, scan, in_chunk=4, name="data")
        if scan.bad_pixels is not None:
            mask = np.where(scan.bad_pixels, INVALID, 0).astype(np.uint32)
            write_dataset(detector, "mask", mask, packed=True)
        pixels = scan.corners_px + scan.window_px / 2 - np.array(frame.canvas_shape) / 2
        indexes = np.arange(scan.num_patterns)
        _write_positions(file, pixels * frame.pixel_size_m + np.array(frame.center_m), indexes)
        file[f"{ENTRY}/data_1"]["data"] = h5py.SoftLink(f"/{DETECTOR}/data")
        if scan.probe is not None:
            _write_probe(file, scan.probe, frame.pixel_size_m)
        if scan.object_ is not None:
            _write_object(file, scan.object_, _moved(frame, scan.object_corner_px, scan.object_))


def _write_product(product: Product, out: BinaryIO) -> None:
    pixel_m = product.pixel_size_m or 0.0
    frame = product.frame or Frame((0, 0), (0.0, 0.0), (pixel_m, pixel_m))
    pixels = product.corners_px + product.window_px / 2 - np.array(frame.canvas_shape) / 2
    with _new_cxi(out, product.name) as file:
        _write_setup(file, product.photon_energy_eV, product.detector_distance_m)
        positions_m = pixels * frame.pixel_size_m + np.array(frame.center_m)
        _write_positions(file, positions_m, product.position_indexes)
        _write_probe(file, product.probe, frame.pixel_size_m)
        _write_object(
            file, product.object_, _moved(frame, product.object_corner_px, product.object_)
        )


@contextmanager
def _new_cxi(out: BinaryIO, name: str) -> Iterator[h5py.File]:
    """Write a CXI file, with what all have."""
    groups = (SOURCE, DETECTOR, HOST, *(f"{ENTRY}/{each}" for each in GROUPS))
    with new_hdf5(out) as file:
        write_dataset(file, "cxi_version", VERSION)
        for group in groups:
            file.create_group(group)
        _write_word(file[ENTRY], "title", name)
        _write_word(file[f"{ENTRY}/process_1"], "program", PROGRAM)
        yield file


def _write_word(group: h5py.Group, name: str, text: str) -> None:
    """Write a text as a dataset of fixed length, which lies in the file's checked part."""
    content = text.encode() or b" "
    group.create_dataset(name, data=np.array(content, h5py.string_dtype("utf-8", len(content))))


def _write_setup(file: h5py.File, energy_eV: float | None, distance_m: float | None) -> None:
    write_dataset(file[SOURCE], "energy", (energy_eV or 0.0) * JOULE_OF_EV)
    write_dataset(file[DETECTOR], "distance", distance_m or 0.0)


def _write_positions(
    file: h5py.File, positions_m: NDArray[np.float64], indexes: NDArray[np.int64]
) -> None:
    y, x = positions_m.T
    geometry = file[f"{ENTRY}/sample_1/geometry_1"]
    write_dataset(geometry, "translation", np.stack([x, y, np.zeros_like(x)], axis=1))
    file[f"{ENTRY}/data_1"]["translation"] = h5py.SoftLink(f"/{geometry.name[1:]}/translation")
    write_dataset(file[HOST], "probe_position_indexes", indexes)


def _write_probe(
    file: h5py.File, probe: NDArray[np.complex64], pixel_m: tuple[float, float]
) -> None:
    axes = "coherent:incoherent:y:x"
    _write_image(file, "image_1", probe[None], axes, "amplitude", pixel_m)
    file[SOURCE]["illumination"] = h5py.SoftLink(f"/{ENTRY}/image_1/data")
    for side, value in zip(("height", "width"), pixel_m, strict=True):
        write_dataset(file[HOST], f"probe_pixel_{side}_m", value)


def _write_object(file: h5py.File, object_: NDArray[np.complex64], frame: Frame) -> None:
    pixel_m = frame.pixel_size_m
    _write_image(file, "image_2", object_[None], "layer:y:x", "electron density", pixel_m)
    names = zip("yx", ("height", "width"), frame.center_m, pixel_m, strict=True)
    for axis, side, center, value in names:
        write_dataset(file[HOST], f"object_pixel_{side}_m", value)
        write_dataset(file[HOST], f"object_center_{axis}_m", center)


def _write_image(
    file: h5py.File,
    name: str,
    image: NDArray[np.complex64],
    axes: str,
    kind: str,
    pixel_m: tuple[float, float],
) -> None:
    group = file.create_group(f"{ENTRY}/{name}")
    write_dataset(group, "data", image)
    group["data"].attrs["axes"] = axes
    _write_word(group, "data_type", kind)
    _write_word(group, "data_space", "real")
    height, width = image.shape[-2:]
    write_dataset(group, "image_size", np.array([width * pixel_m[1], height * pixel_m[0], 0.0]))


def _frame_of(scan: Scan) -> Frame:
    """Return the scan's frame; without one, its pixel (0, 0) is at 0 m."""
    pixel_m = scan.pixel_size_m or 0.0
    return scan.frame or Frame((0, 0), (0.0, 0.0), (pixel_m, pixel_m))


def _moved(frame: Frame, corner_px: tuple[float, float], object_: NDArray[Any]) -> Frame:
    """Return where an object lies whose corner is at a pixel of a frame."""
    y, x = (
        center + (corner + side / 2 - whole / 2) * pixel
        for center, corner, side, whole, pixel in zip(
            frame.center_m,
            corner_px,
            object_.shape,
            frame.canvas_shape,
            frame.pixel_size_m,
            strict=True,
        )
    )
    return Frame((object_.shape[0], object_.shape[1]), (y, x), frame.pixel_size_m)
