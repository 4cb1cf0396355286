"""Ptychodus' product, HDF5 or NPZ, releases 1.2 to 1.7: the object, the probe and where they are.

The NPZ is flat, so the HDF5 file is read into the same flat names: attributes of `object` become
`object_pixel_width_m` and so on, and our own group `ptychonyx_…`.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ScanError
from ..scan import Frame
from .hdf5 import open_hdf5
from .npz import Npz
from .object_file import ObjectFile, as_object, as_probe
from .positions import corners_from_metres

OWN_GROUP = "ptychonyx"
OWN_MAPS = ("coverage", "disagreement", "pattern_residuals")
POSITION_KEYS = ("probe_position_y_m", "probe_position_x_m")
DATASETS = ("probe_position_indexes", *POSITION_KEYS, "probe", "object")


class ProductFile:
    """What a product file holds, under the flat names of the NPZ.

    Raises
    ------
    ScanError
        If the file cannot be read; the methods raise it where something is missing or wrong.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fields = _read_npz(path) if path.suffix.lower() == ".npz" else _read_hdf5(path)

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
                return value if 0 < value < math.inf else None
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


def read_object(path: Path) -> ObjectFile:
    """Read the object of a product, and where it lies."""
    file = ProductFile(path)
    coverage = file.own("coverage")
    residual = file.metadata().get("residual")
    return ObjectFile(
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


def _read_hdf5(path: Path) -> dict[str, Any]:
    with open_hdf5(path) as file:
        fields = dict(file.attrs)
        for name in DATASETS:
            if name in file:
                fields[name] = np.asarray(file[name])
                fields |= {f"{name}_{key}": value for key, value in file[name].attrs.items()}
        if OWN_GROUP in file:
            own = file[OWN_GROUP]
            fields |= {f"{OWN_GROUP}_{key}": value for key, value in own.attrs.items()}
            fields |= {f"{OWN_GROUP}_{key}": np.asarray(own[key]) for key in OWN_MAPS if key in own}
    return fields


def _read_npz(path: Path) -> dict[str, Any]:
    file = Npz(path)
    return {name: file[name] for name in file.names}
