"""Ptychodus' product, HDF5 or NPZ, releases 1.2 to 1.7: the object, the probe and where they are.

Either file is read and written as one flat table, see `flat_fields`.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ScanError
from ..files import Output, check_outputs, write_atomically
from ..product import MAPS, Product
from ..scan import Frame
from .flat_fields import OWN_GROUP, POSITION_KEYS, WRITERS, read_fields, write_fields
from .placed_object import PlacedObject, as_object, as_probe
from .positions import corners_from_metres
from .positive import positive_or_unknown

NOMINAL_PIXEL_M = 1e-9
"""Written where the pixel size is not known, since Ptychodus needs one; our group says so."""


class ProductFile:
    """What a product file holds, under the flat names of the NPZ.

    Raises
    ------
    ScanError
        If the file cannot be read; the methods raise it where something is missing or wrong.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fields = read_fields(path)

    @property
    def name(self) -> str:
        """Name of the product, or of the file."""
        value = self._fields.get("name")
        if value is None:
            return self.path.stem
        value = np.asarray(value).reshape(-1)[0]
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)

    @property
    def has_own_group(self) -> bool:
        """Whether Ptychonyx wrote it."""
        return f"{OWN_GROUP}_object_corner_px" in self._fields

    def own(self, name: str) -> Any:
        """Return a field of our own group, or None."""
        return self._fields.get(f"{OWN_GROUP}_{name}")

    def positive(self, *names: str) -> float | None:
        """Return the first number of these names that is there, or None if not positive."""
        for name in names:
            if name in self._fields:
                value = self._number(name)
                if value == 0 and self.has_own_group:  # our own word for it
                    return None
                return positive_or_unknown(value, name, self.path)
        return None

    def probe(self) -> NDArray[np.complex64] | None:
        """Return the incoherent modes (modes, N, N) of the first probe, if there is one."""
        probe = self._fields.get("probe")
        return None if probe is None or probe.size == 0 else as_probe(probe, "probe", self.path)

    def object_(self) -> NDArray[np.complex64]:
        """Return the object (H, W)."""
        return as_object(self._array("object"), "object", self.path)

    def canvas(self) -> Frame:
        """Return where the object lies in metres."""
        shape = self._array("object").shape
        if len(shape) not in (2, 3):
            raise ScanError(
                f"`object` of {self.path} has shape {shape}, expected (layers, H, W): correct the "
                "file."
            )
        names = ("object_pixel_height_m", "object_pixel_width_m")
        pixel_size_m = (self._number(names[0]), self._number(names[1]))
        if not all(0 < side_m < math.inf for side_m in pixel_size_m):
            raise ScanError(
                f"The object pixel of {self.path} is {pixel_size_m} m; both sides must be "
                "positive: correct the file."
            )
        return Frame(
            canvas_shape=(int(shape[-2]), int(shape[-1])),
            center_m=(
                self._number("object_center_y_m", 0.0),
                self._number("object_center_x_m", 0.0),
            ),
            pixel_size_m=pixel_size_m,
        )

    def pixel_size_m(self) -> float | None:
        """Return the pixel width, or None if the file has only a nominal one."""
        is_known = self.own("pixel_size_known")
        if is_known is not None and not bool(is_known):
            return None
        return self.canvas().pixel_size_m[1]

    def object_corner_px(self) -> tuple[int, int]:
        """Return the object's top-left pixel (y, x) in the frame of the scan it came from."""
        corner = self.own("object_corner_px")
        if corner is None:
            return (0, 0)
        y, x = np.asarray(corner).tolist()
        return (int(y), int(x))

    def position_indexes(self) -> NDArray[np.int64]:
        """Return the scan index of each position."""
        indexes = self._array("probe_position_indexes").reshape(-1)
        if indexes.dtype.kind not in "biu":
            raise ScanError(
                f"`probe_position_indexes` of {self.path} has dtype {indexes.dtype}; whole numbers "
                "are needed: correct the file."
            )
        return indexes.astype(np.int64)

    def corners_px(self, window_px: int) -> NDArray[np.float64]:
        """Return the corners of N×N windows in the object's own pixels."""
        num = len(self.position_indexes())
        axes = []
        for name in POSITION_KEYS:
            metres = self._array(name).reshape(-1)
            if len(metres) != num:
                raise ScanError(
                    f"{self.path} has {num} `probe_position_indexes` but {len(metres)} `{name}`; "
                    "each position needs both: correct the file."
                )
            axes.append(metres.astype(np.float64))
        return corners_from_metres(np.stack(axes, axis=1), window_px, self.canvas())

    def maps(self) -> dict[str, Any]:
        """Return the maps, residuals and curves of the product, by their names in it."""
        maps = {name: (self.own(name), dtype) for name, dtype in MAPS.items()}
        return {
            n: np.asarray(value, dtype) for n, (value, dtype) in maps.items() if value is not None
        }

    def metadata(self) -> dict[str, str | float | int | bool]:
        """Return what we wrote about the reconstruction."""
        text = self.own("metadata")
        if text is None:
            return {}
        metadata: dict[str, str | float | int | bool] = json.loads(str(text))
        return metadata

    def _array(self, name: str) -> NDArray[Any]:
        if name not in self._fields:
            raise ScanError(
                f"{self.path} has no dataset `{name}`, which a Ptychodus product needs; check that "
                "it is one, and save it again."
            )
        return np.asarray(self._fields[name])

    def _number(self, name: str, default: float | None = None) -> float:
        if name not in self._fields and default is not None:
            return default
        if name not in self._fields:
            raise ScanError(
                f"{self.path} has no attribute `{name}`, which a Ptychodus product needs; check "
                "that it is one, and save it again."
            )
        values = self._array(name)
        if values.size != 1 or values.dtype.kind not in "buif":
            raise ScanError(
                f"`{name}` of {self.path} is {values!r}; one number is needed: correct the file."
            )
        return float(values.reshape(()))


def read_object(path: Path) -> PlacedObject:
    """Read the object of a product, and where it lies."""
    file = ProductFile(path)
    coverage = file.own("coverage")
    residual = file.metadata().get("residual")
    return PlacedObject(
        object_=file.object_(),
        corner_px=file.object_corner_px(),
        coverage=None if coverage is None else np.asarray(coverage, dtype=np.int32),
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
    is_complete, num_used = file.own("complete"), file.own("num_patterns_used")
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
        num_patterns_used=None if num_used is None else int(num_used),
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
    corners = product.corners_px - np.array(product.object_corner_px)
    pixels = corners + product.window_px / 2 - np.array(frame.canvas_shape) / 2
    return np.asarray(pixels * np.array(frame.pixel_size_m) + np.array(frame.center_m))


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
    """Return how far (y, x) the center of an object is from that of a canvas."""
    y, x = (
        (corner + side / 2 - whole / 2) * pixel_m
        for corner, side, whole, pixel_m in zip(
            corner_px, shape, canvas, frame.pixel_size_m, strict=True
        )
    )
    return y, x
