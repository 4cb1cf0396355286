"""Ptychodus' product, HDF5 or NPZ, releases 1.2 to 1.7: the object, the probe and where they are.

Either file is read and written as one flat table, see `flat_fields`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ScanError
from ..files import Output, check_outputs, write_atomically
from ..product import Product, check_finite
from ..scan import Frame
from .fields.flat_fields import OWN_GROUP, WRITERS, write_fields
from .fields.product_file import ProductFile
from .placed_object import PlacedObject
from .positions import metres_from_corners

NOMINAL_PIXEL_M = 1e-9
"""Written where the pixel size is not known, since Ptychodus needs one; our group says so."""


def read_object(path: Path) -> PlacedObject:
    """Read the object of a product, and where it lies."""
    file = ProductFile(path)
    residual = file.metadata().get("residual")
    return PlacedObject(
        object_=file.object_(),
        corner_px=file.object_corner_px(),
        coverage=file.map_("coverage"),
        pixel_size_m=file.pixel_size_m(),
        residual=None if residual is None else float(residual),
        name=file.name,
    )


def read_probe(path: Path) -> NDArray[np.complex64]:
    """Read the probe of a product, modes first."""
    probe = ProductFile(path).probe()
    if probe is None:
        raise ScanError(f"{path} holds no probe; a dataset `probe` is needed: give another file.")
    return probe


def is_result(path: Path) -> bool:
    """Tell whether a file says how it was reconstructed, which a scan's own product does not."""
    return bool(ProductFile(path).metadata())


def load_product(path: str | Path) -> Product:
    """Read a product: what `save_product` wrote, or one of Ptychodus'.

    In one of Ptychodus', what only Ptychonyx writes is missing: `coverage`, `disagreement`,
    residuals, `ring_correlation` and `num_patterns_used` are None, `metadata` is empty.

    Parameters
    ----------
    path : path
        Ends in .h5, .hdf5 or .npz.

    Raises
    ------
    ScanError
        If it is no readable Ptychodus product.
    """
    file = ProductFile(Path(path))
    probe = file.probe()
    if probe is None:
        raise ScanError(
            f"{path} holds no probe; a product needs one: save it again with its probe."
        )
    corner = file.object_corner_px()
    is_complete, num_used = file.own_number("complete"), file.own_number("num_patterns_used")
    return Product(
        object_=file.object_(),
        object_corner_px=corner,
        corners_px=file.corners_px(probe.shape[-1]) + np.array(corner),
        position_indexes=file.position_indexes(),
        window_px=probe.shape[-1],
        probe=probe,
        pixel_size_m=file.pixel_size_m(),
        photon_energy_eV=file.positive("photon_energy_eV", "probe_energy_eV"),
        detector_distance_m=file.positive("detector_object_distance_m"),
        frame=_frame_of_scan(file),
        name=file.name,
        complete=is_complete is None or bool(is_complete),
        num_patterns_used=num_used,
        metadata=file.metadata(),
        **file.maps(),
    )


def save_product(product: Product, path: str | Path) -> None:
    """Write a product that Ptychodus opens; the file appears whole or not at all.

    Parameters
    ----------
    product : Product
    path : path
        Ends in .h5, .hdf5 or .npz.

    Raises
    ------
    ValueError
        For another ending, or a folder that does not exist.
    NotFiniteError
        If the object or the probe is not finite; names the patterns.

    Examples
    --------
    >>> import tempfile
    >>> window = np.ones((1, 8, 8), dtype=np.complex64)
    >>> corners_px = np.array([[3.0, 4.5]])
    >>> object_ = np.ones((9, 12), np.complex64)
    >>> product = Product(object_, (3, 4), corners_px, np.arange(1), 8, window)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_product(product, f"{folder}/product.h5")
    ...     load_product(f"{folder}/product.h5").corners_px.round(6).tolist()
    [[3.0, 4.5]]
    """
    path = Path(path)
    check_product_path(path)
    check_finite(product)
    fields = _fields_of(product)
    write_atomically(path, lambda file: write_fields(fields, path.suffix.lower(), file))


def check_product_path(path: Path) -> None:
    """Refuse a product path that cannot be written, before any work is done.

    Raises
    ------
    ValueError
        For an unknown ending, a folder that does not exist, or a place where nothing may be written.

    Examples
    --------
    >>> check_product_path(Path("product.tif"))
    Traceback (most recent call last):
    ...
    ValueError: The product is product.tif; its name must end in one of: .h5, .hdf5, .npz.
    """
    check_outputs([], [product_output(path)])


def product_output(path: Path, *, is_folder_made: bool = False) -> Output:
    """Return a product as `check_outputs` takes it."""
    return Output(path, tuple(WRITERS), is_folder_made=is_folder_made, what="product")


def _fields_of(product: Product) -> dict[str, Any]:
    """Return the flat names and values of a product file.

    Energy and attenuation come in both spellings: releases 1.2 to 1.7 then open the file.
    """
    frame, energy = _frame_of(product), product.photon_energy_eV or 0.0
    positions_m = _positions_m(product, frame)
    height_m, width_m = frame.pixel_size_m
    losses = np.zeros(0) if product.pass_residuals is None else product.pass_residuals
    fields: dict[str, Any] = {
        "name": product.name,
        "comments": "Reconstructed with Ptychonyx.",
        "detector_object_distance_m": product.detector_distance_m or 0.0,
        "photon_energy_eV": energy,
        "probe_energy_eV": energy,
        "probe_photon_count": float(np.sum(np.abs(product.probe.astype(np.complex128)) ** 2)),
        "exposure_time_s": 0.0,
        "mass_attenuation_m2_per_kg": 0.0,
        "mass_attenuation_m2_kg": 0.0,
        "tomography_angle_deg": 0.0,
        "focus_object_distance_m": 0.0,
        "tilt_angle_deg": 0.0,
        "far_field": True,
        "probe_position_indexes": product.position_indexes,
        "probe_position_y_m": positions_m[:, 0],
        "probe_position_x_m": positions_m[:, 1],
        "probe": product.probe[None],
        "probe_pixel_height_m": height_m,
        "probe_pixel_width_m": width_m,
        "object": product.object_[None],
        "object_pixel_height_m": height_m,
        "object_pixel_width_m": width_m,
        "object_center_y_m": frame.center_m[0],
        "object_center_x_m": frame.center_m[1],
        "object_layer_spacing_m": np.zeros(0),
        "loss_epochs": np.arange(1, len(losses) + 1),
        "loss_values": losses,
    }
    own = _own_fields(product) | product.maps
    return fields | {f"{OWN_GROUP}_{name}": value for name, value in own.items()}


def _own_fields(product: Product) -> dict[str, Any]:
    used = product.num_patterns_used
    canvas = {} if product.frame is None else {"scan_canvas_shape": product.frame.canvas_shape}
    return canvas | {
        "object_corner_px": np.array(product.object_corner_px, dtype=np.int64),
        "pixel_size_known": product.pixel_size_m is not None,
        "complete": product.complete,
        "num_patterns_used": len(product.corners_px) if used is None else used,
        "metadata": json.dumps(product.metadata),
    }


def _frame_of(product: Product) -> Frame:
    """Return where the object lies; without a frame, pixel (0, 0) of the scan is at 0 m."""
    pixel_m = product.pixel_size_m or NOMINAL_PIXEL_M
    frame = product.frame or Frame((0, 0), (0.0, 0.0), (pixel_m, pixel_m))
    height, width = product.object_.shape
    offset_m = _offset_m(product.object_corner_px, (height, width), frame.canvas_shape, frame)
    center_m = (frame.center_m[0] + offset_m[0], frame.center_m[1] + offset_m[1])
    return Frame((height, width), center_m, frame.pixel_size_m)


def _positions_m(product: Product, frame: Frame) -> NDArray[np.float64]:
    corners_px = product.corners_px - np.array(product.object_corner_px)
    return metres_from_corners(corners_px, product.window_px, frame)


def _frame_of_scan(file: ProductFile) -> Frame | None:
    """Return the frame of the scan that was reconstructed, not that of the object in the file."""
    written = file.canvas()
    if not file.has_own_group:
        return written
    shape = file.own_pair("scan_canvas_shape")
    if shape is None:
        return None
    height, width = shape
    offset_m = _offset_m(file.object_corner_px(), written.canvas_shape, (height, width), written)
    center_m = (written.center_m[0] - offset_m[0], written.center_m[1] - offset_m[1])
    return Frame((height, width), center_m, written.pixel_size_m)


def _offset_m(
    corner_px: tuple[int, int], shape: tuple[int, int], canvas: tuple[int, int], frame: Frame
) -> tuple[float, float]:
    """Return how far (y, x) the center of an object is from that of a canvas."""
    y, x = (
        (corner + side / 2 - whole / 2) * pixel_m
        for corner, side, whole, pixel_m in zip(
            corner_px, shape, canvas, frame.pixel_size_m, strict=True
        )
    )
    return y, x
