"""What a file with a Ptychodus product holds, looked at before it is read."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ScanError
from ...product import MAPS, OBJECT_MAPS, Metadata
from ...scan import Frame
from ..placed_object import take_object, take_probe
from ..positions import corners_from_metres
from ..storage.arrays import (
    REALS,
    WHOLE,
    Header,
    check_kind,
    check_size,
    column_length,
    read_column,
    read_indexes,
    read_number,
    read_positive,
    read_text,
)
from .flat_fields import OWN_GROUP, POSITION_KEYS, open_fields
from .metadata import parse_metadata


class ProductFile:
    """What a product file holds, under the flat names of the NPZ.

    Raises
    ------
    ScanError
        If the file cannot be read; the methods raise it where something is missing or wrong.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fields = open_fields(path)

    @property
    def name(self) -> str:
        """Name of the product, or of the file."""
        return read_text(self._fields, "name") or self.path.stem

    @property
    def has_own_group(self) -> bool:
        """Whether Ptychonyx wrote it."""
        return f"{OWN_GROUP}_object_corner_px" in self._fields

    def own_number(self, name: str) -> int | None:
        """Return a whole number, or a truth, of our own group, or None."""
        flat = f"{OWN_GROUP}_{name}"
        return int(read_number(self._fields, flat, WHOLE)) if flat in self._fields else None

    def own_pair(self, name: str) -> tuple[int, int] | None:
        """Return two whole numbers (y, x) of our own group, or None."""
        flat = f"{OWN_GROUP}_{name}"
        if flat not in self._fields:
            return None
        header = self._fields.header(flat)
        if header.shape != (2,) or header.dtype.kind not in WHOLE:
            raise ScanError(
                f"{header} has shape {header.shape} and dtype {header.dtype}; two whole numbers "
                "(y, x) are needed: write the product again."
            )
        y, x = self._fields.read(flat).tolist()
        return (int(y), int(x))

    def positive(self, *names: str) -> float | None:
        """Return the first number of these names that is there, or None if not positive."""
        if self.has_own_group and self._is_zero(*names):  # our own word for it
            return None
        return read_positive(self._fields, *names)

    def _is_zero(self, *names: str) -> bool:
        found = [name for name in names if name in self._fields]
        return bool(found) and read_number(self._fields, found[0]) == 0

    def probe(self, window_px: int | None = None) -> NDArray[np.complex64] | None:
        """Return the incoherent modes (modes, N, N) of the first probe, if there is one.

        It must fit patterns of `window_px`, if that is given.
        """
        if "probe" not in self._fields or 0 in self._fields.header("probe").shape:
            return None
        return take_probe(self._fields, "probe", window_px)

    def object_(self) -> NDArray[np.complex64]:
        """Return the object (H, W)."""
        self._header("object")
        return take_object(self._fields, "object")

    def canvas(self) -> Frame:
        """Return where the object lies in metres."""
        shape = self._header("object").shape
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
        if self.own_number("pixel_size_known") == 0:
            return None
        return self.canvas().pixel_size_m[1]

    def object_corner_px(self) -> tuple[int, int]:
        """Return the object's top-left pixel (y, x) in the frame of the scan it came from."""
        return self.own_pair("object_corner_px") or (0, 0)

    def position_indexes(self) -> NDArray[np.int64]:
        """Return the scan index of each position."""
        self._header("probe_position_indexes")
        return read_indexes(self._fields, "probe_position_indexes")

    def corners_px(self, window_px: int) -> NDArray[np.float64]:
        """Return the corners of N×N windows in the object's own pixels."""
        num = column_length(self._header("probe_position_indexes"))
        for name in POSITION_KEYS:
            length = column_length(self._header(name))
            if length != num:
                raise ScanError(
                    f"{self.path} has {num} `probe_position_indexes` but {length} `{name}`; each "
                    "position needs both: correct the file."
                )
        axes = [read_column(self._fields, name) for name in POSITION_KEYS]
        corners_px = corners_from_metres(np.stack(axes, axis=1), window_px, self.canvas())
        is_finite = np.isfinite(corners_px).all(axis=1)
        if not is_finite.all():
            raise ScanError(
                f"Position {int(np.flatnonzero(~is_finite)[0])} is not finite in pixels ({self.path}); "
                "finite numbers are needed: remove that position and its pattern from the file."
            )
        return corners_px

    def maps(self) -> dict[str, NDArray[Any]]:
        """Return the maps, residuals and curves of the product, by their names in it."""
        maps = {name: self.map_(name) for name in MAPS}
        return {name: values for name, values in maps.items() if values is not None}

    def map_(self, name: str) -> NDArray[Any] | None:
        """Return one of them, or None."""
        flat = f"{OWN_GROUP}_{name}"
        if flat not in self._fields:
            return None
        header = self._fields.header(flat)
        check_kind(header, REALS)
        expected = self._map_shape(name, header)
        if header.shape != expected:
            raise ScanError(
                f"{header} has shape {header.shape}, expected {expected} as the rest of the "
                "product: write it again."
            )
        if np.issubdtype(MAPS[name], np.integer):
            check_kind(header, WHOLE, "whole numbers")
        check_size(header)
        with np.errstate(all="ignore"):  # what is too large for float32 becomes infinite
            return self._fields.read(flat).astype(MAPS[name])

    def metadata(self) -> Metadata:
        """Return what we wrote about the reconstruction."""
        return parse_metadata(read_text(self._fields, f"{OWN_GROUP}_metadata"), self.path)

    def _map_shape(self, name: str, header: Header) -> tuple[int, ...]:
        if name in OBJECT_MAPS:
            return self._header("object").shape[-2:]
        num = column_length(self._header("probe_position_indexes"))
        if name in ("pattern_residuals", "pattern_factors"):
            return (num,)
        if name == "background":
            return self._header("probe").shape[-2:]
        if name == "given_corners_px":
            return (num, 2)
        if name == "ring_correlation":
            return (3, *header.shape[1:][:1])
        return (column_length(header),)

    def _header(self, name: str) -> Header:
        if name not in self._fields:
            raise ScanError(
                f"{self.path} has no dataset `{name}`, which a Ptychodus product needs; check that "
                "it is one, and save it again."
            )
        return self._fields.header(name)

    def _number(self, name: str, default: float | None = None) -> float:
        if name in self._fields:
            return read_number(self._fields, name)
        if default is not None:
            return default
        raise ScanError(
            f"{self.path} has no attribute `{name}`, which a Ptychodus product needs; check that "
            "it is one, and save it again."
        )
