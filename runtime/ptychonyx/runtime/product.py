"""What reconstruction leaves: written as Ptychodus HDF5 or NPZ, atomically."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
from numpy.typing import NDArray

from .errors import ScanError
from .files import write_atomically
from .formats.ptychodus_product import OWN_GROUP, ProductFile
from .scan import Frame

NOMINAL_PIXEL_M = 1e-9
"""Written where the pixel size is not known, since Ptychodus needs one; our group says so."""

Metadata = dict[str, str | float | int | bool]


@dataclass(frozen=True)
class Product:
    """A reconstructed object and everything needed to place and judge it.

    Attributes
    ----------
    object_ : complex64 array, shape (H, W)
        0 where no patch reached.
    object_corner_px : (int, int)
        Its top-left pixel (y, x) in the scan's frame.
    corners_px : float64 array, shape (n, 2)
        Top-left pixel (y, x) of each pattern's window in the scan's frame.
    position_indexes : int64 array, shape (n,)
    window_px : int
        N.
    probe : complex64 array, shape (modes, N, N)
        In sqrt(counts), so |F(P·O)|² are counts.
    coverage : int32 array, shape (H, W), or None
        Number of patches at each pixel.
    disagreement : float32 array, shape (H, W), or None
        Weighted variance of the overlapping patches.
    pattern_residuals : float32 array, shape (n,), or None
        Share of each pattern that the object leaves unexplained; NaN where it was not looked at.
        The number over all of them is `metadata["residual"]`.
    pixel_size_m, photon_energy_eV, detector_distance_m : float or None
    frame : Frame or None
        The input product's own canvas.
    name : str
    complete : bool
        False if reconstruction was stopped early.
    num_patterns_used : int or None
    metadata : dict
        Model digest, backend, providers, scale, timings.
    """

    object_: NDArray[np.complex64]
    object_corner_px: tuple[int, int]
    corners_px: NDArray[np.float64]
    position_indexes: NDArray[np.int64]
    window_px: int
    probe: NDArray[np.complex64]
    coverage: NDArray[np.int32] | None = None
    disagreement: NDArray[np.float32] | None = None
    pattern_residuals: NDArray[np.float32] | None = None
    pixel_size_m: float | None = None
    photon_energy_eV: float | None = None
    detector_distance_m: float | None = None
    frame: Frame | None = None
    name: str = "product"
    complete: bool = True
    num_patterns_used: int | None = None
    metadata: Metadata = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_shapes(self)


def write_product(product: Product, path: str | Path) -> None:
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

    Examples
    --------
    >>> import tempfile
    >>> window = np.ones((1, 8, 8), dtype=np.complex64)
    >>> corners_px = np.array([[3.0, 4.5]])
    >>> object_ = np.ones((9, 12), np.complex64)
    >>> product = Product(object_, (3, 4), corners_px, np.arange(1), 8, window)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_product(product, f"{folder}/product.h5")
    ...     read_product(f"{folder}/product.h5").corners_px.round(6).tolist()
    [[3.0, 4.5]]
    """
    path = Path(path)
    check_product_path(path)
    write_atomically(path, lambda file: WRITERS[path.suffix](product, file))


def check_product_path(path: Path) -> None:
    """Refuse a product path that cannot be written, before any work is done.

    Raises
    ------
    ValueError
        For an unknown ending, or a folder that does not exist.

    Examples
    --------
    >>> check_product_path(Path("product.tif"))
    Traceback (most recent call last):
    ...
    ValueError: The product is product.tif; its name must end in one of: .h5, .hdf5, .npz.
    """
    if path.suffix not in WRITERS:
        raise ValueError(
            f"The product is {path}; its name must end in one of: {', '.join(WRITERS)}."
        )
    if not path.parent.is_dir():
        raise ValueError(f"There is no folder {path.parent} for {path.name}; make it first.")


def read_product(path: str | Path) -> Product:
    """Read a product: what `write_product` wrote, or one of Ptychodus'.

    In one of Ptychodus', what only Ptychonyx writes is missing: `coverage`, `disagreement`,
    `pattern_residuals` and `num_patterns_used` are None, `metadata` is empty.

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
    coverage, disagreement = file.own("coverage"), file.own("disagreement")
    residuals = file.own("pattern_residuals")
    is_complete, num_used = file.own("complete"), file.own("num_patterns_used")
    return Product(
        object_=file.object_(),
        object_corner_px=corner,
        corners_px=file.corners_px(probe.shape[-1]) + np.array(corner),
        position_indexes=file.position_indexes(),
        window_px=probe.shape[-1],
        probe=probe,
        coverage=None if coverage is None else np.asarray(coverage, dtype=np.int32),
        disagreement=None if disagreement is None else np.asarray(disagreement, dtype=np.float32),
        pattern_residuals=None if residuals is None else np.asarray(residuals, dtype=np.float32),
        pixel_size_m=file.pixel_size_m(),
        photon_energy_eV=file.positive("photon_energy_eV", "probe_energy_eV"),
        detector_distance_m=file.positive("detector_object_distance_m"),
        frame=_frame_of_scan(file),
        name=file.name,
        complete=is_complete is None or bool(is_complete),
        num_patterns_used=None if num_used is None else int(num_used),
        metadata=file.metadata(),
    )


def _frame_of_scan(file: ProductFile) -> Frame | None:
    """Return the frame of the scan that was reconstructed, not that of the object in the file."""
    written = file.canvas()
    if not file.has_own_group:
        return written
    shape = file.own("scan_canvas_shape")
    if shape is None:
        return None
    height, width = np.asarray(shape).tolist()
    offset_m = _offset_m(file.object_corner_px(), written.canvas_shape, (height, width), written)
    center_m = (written.center_m[0] - offset_m[0], written.center_m[1] - offset_m[1])
    return Frame((height, width), center_m, written.pixel_size_m)


def _offset_m(
    corner_px: tuple[int, int], shape: tuple[int, int], canvas: tuple[int, int], frame: Frame
) -> tuple[float, float]:
    """Return how far (y, x) the centre of an object is from that of a canvas."""
    y, x = (
        (corner + side / 2 - whole / 2) * pixel_m
        for corner, side, whole, pixel_m in zip(
            corner_px, shape, canvas, frame.pixel_size_m, strict=True
        )
    )
    return y, x


def _check_shapes(product: Product) -> None:
    if product.object_.ndim != 2:
        raise ValueError(
            f"`object_` has shape {product.object_.shape}, expected (H, W): give one layer."
        )
    num, side = len(product.position_indexes), product.window_px
    expected: dict[str, tuple[tuple[int, ...], str]] = {
        "corners_px": ((num, 2), "one (y, x) corner for each of `position_indexes`"),
        "probe": ((len(product.probe), side, side), "modes first, as wide as `window_px`"),
    }
    maps = [name for name in _maps(product) if name != "pattern_residuals"]
    expected |= dict.fromkeys(maps, (product.object_.shape, "as `object_`"))
    if product.pattern_residuals is not None:
        expected["pattern_residuals"] = ((num,), "one for each of `position_indexes`")
    for name, (shape, why) in expected.items():
        given = getattr(product, name).shape
        if given != shape:
            raise ValueError(f"`{name}` has shape {given}, expected {shape}: {why}.")


def _root_attributes(product: Product) -> dict[str, Any]:
    """Both spellings of energy and attenuation: releases 1.2 to 1.7 then open the file."""
    energy = product.photon_energy_eV or 0.0
    return {
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
    corners = product.corners_px - np.array(product.object_corner_px)
    pixels = corners + product.window_px / 2 - np.array(frame.canvas_shape) / 2
    return np.asarray(pixels * np.array(frame.pixel_size_m) + np.array(frame.center_m))


def _own(product: Product) -> dict[str, Any]:
    used = product.num_patterns_used
    canvas = {} if product.frame is None else {"scan_canvas_shape": product.frame.canvas_shape}
    return canvas | {
        "object_corner_px": np.array(product.object_corner_px, dtype=np.int64),
        "pixel_size_known": product.pixel_size_m is not None,
        "complete": product.complete,
        "num_patterns_used": len(product.corners_px) if used is None else used,
        "metadata": json.dumps(product.metadata),
    }


def _maps(product: Product) -> dict[str, NDArray[Any]]:
    maps = {
        "coverage": product.coverage,
        "disagreement": product.disagreement,
        "pattern_residuals": product.pattern_residuals,
    }
    return {name: array for name, array in maps.items() if array is not None}


def _write_hdf5(product: Product, out: BinaryIO) -> None:
    frame = _frame_of(product)
    positions = _positions_m(product, frame)
    with h5py.File(out, "w") as file:
        file.attrs.update(_root_attributes(product))
        file["probe_position_indexes"] = product.position_indexes
        file["probe_position_y_m"], file["probe_position_x_m"] = positions.T.copy()
        for name, array in (("probe", product.probe[None]), ("object", product.object_[None])):
            dataset = file.create_dataset(name, data=array)
            dataset.attrs["pixel_height_m"], dataset.attrs["pixel_width_m"] = frame.pixel_size_m
        file["object"].attrs["center_y_m"], file["object"].attrs["center_x_m"] = frame.center_m
        file["object_layer_spacing_m"] = np.zeros(0)
        file["loss_epochs"], file["loss_values"] = np.zeros(0, dtype=np.int64), np.zeros(0)
        own = file.create_group(OWN_GROUP)
        own.attrs.update(_own(product))
        for name, array in _maps(product).items():
            own.create_dataset(name, data=array, compression="lzf")


def _write_npz(product: Product, out: BinaryIO) -> None:
    frame = _frame_of(product)
    positions = _positions_m(product, frame)
    height_m, width_m = frame.pixel_size_m
    arrays: dict[str, Any] = {
        **_root_attributes(product),
        "probe_position_indexes": product.position_indexes,
        "probe_position_y_m": positions[:, 0],
        "probe_position_x_m": positions[:, 1],
        "probe": product.probe[None],
        "probe_pixel_height_m": height_m,
        "probe_pixel_width_m": width_m,
        "object": product.object_[None],
        "object_pixel_height_m": height_m,
        "object_pixel_width_m": width_m,
        "object_center_y_m": frame.center_m[0],
        "object_center_x_m": frame.center_m[1],
        "object_layer_spacing_m": np.zeros(0),
        "loss_epochs": np.zeros(0, dtype=np.int64),
        "loss_values": np.zeros(0),
    }
    for name, value in (_own(product) | _maps(product)).items():
        arrays[f"{OWN_GROUP}_{name}"] = value
    np.savez(out, allow_pickle=False, **arrays)


WRITERS: dict[str, Callable[[Product, BinaryIO], None]] = {
    ".h5": _write_hdf5,
    ".hdf5": _write_hdf5,
    ".npz": _write_npz,
}
