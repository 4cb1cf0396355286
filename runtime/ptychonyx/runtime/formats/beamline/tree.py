"""An HDF5 file in which each thing may lie at one of several places, with its unit as an attribute."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ScanError
from ..assembly.units import energy_factor, length_factor
from ..placed_object import take_probe
from ..storage.arrays import REALS, check_kind, check_size, read_text
from ..storage.hdf5 import Hdf5

HIGHEST_EV = 1e6
"""No diffraction is taken with photons of more; such an energy has another unit than it says."""

_logger = logging.getLogger(__name__)


class Tree:
    """An HDF5 file, asked for the first of several names.

    Raises
    ------
    ScanError
        If it is no HDF5 file, or a damaged one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = Hdf5(path)
        self._names = {"/": self.file.names}

    def names_in(self, group: str) -> tuple[str, ...]:
        """Return the names in a group, which is opened once; none if there is no such group."""
        if group not in self._names:
            self._names[group] = self.file.names_in(group) if self.has(group) else ()
        return self._names[group]

    def first(self, *names: str) -> str | None:
        """Return the first of these names that is there, or None."""
        return next((name for name in names if self.has(name)), None)

    def has(self, name: str) -> bool:
        """Tell whether something of this name is there."""
        group, _, own = name.rpartition("/")
        return own in self.names_in(group or "/")

    def unit(self, name: str) -> str | None:
        """Return the attribute `units` of a dataset."""
        unit = self.file.attributes(name).get("units")
        if isinstance(unit, np.ndarray) and unit.size == 1:
            unit = unit.reshape(-1)[0]
        unit = unit.decode(errors="replace") if isinstance(unit, bytes) else unit
        return str(unit) if unit is not None and str(unit).strip() else None

    def text(self, name: str) -> str:
        """Return a text, empty if there is none."""
        found = self.first(name)
        header = None if found is None else self.file.header(name)
        if header is None or header.dtype.kind not in "OSU":
            return ""
        return read_text(self.file, name) or ""

    def reals(self, name: str) -> NDArray[np.float64]:
        """Return an array of real numbers."""
        header = self.file.header(name)
        check_kind(header, REALS)
        check_size(header)
        return self.file.read(name).astype(np.float64)

    def length_m(self, *names: str, default: str = "m") -> float | None:
        """Return the first length of these names, in metres; None if there is no positive one."""
        return self._quantity(names, length_factor, default)

    def energy_eV(self, *names: str, default: str) -> float | None:
        """Return the first photon energy of these names, in eV; None if there is no possible one."""
        energy = self._quantity(names, energy_factor, default)
        if energy is not None and energy > HIGHEST_EV:
            _logger.warning(
                "%s: `%s` would be %.3g eV, which no photon here has; it is taken as not known: say "
                "`energy` in a map (`--map`).",
                self.path,
                self.first(*names),
                energy,
            )
            return None
        return energy

    def number(self, *names: str) -> float | None:
        """Return the first number of these names that is there."""
        name = self.first(*names)
        if name is None:
            return None
        values = self.reals(name).reshape(-1)
        return float(values[0]) if len(values) else None

    def probe(self, *names: str) -> NDArray[np.complex64] | None:
        """Return the first probe of these names."""
        name = self.first(*names)
        return None if name is None else take_probe(self.file, name)

    def _quantity(
        self, names: tuple[str, ...], factor: Callable[[str, str], float], default: str
    ) -> float | None:
        name = self.first(*names)
        if name is None:
            return None
        value = self.number(name)
        if value is None or not 0 < value < math.inf:
            _logger.warning(
                "%s: `%s` is %s; only a positive number says something, so it is taken as not known.",
                self.path,
                name,
                value,
            )
            return None
        return value * factor(self.unit(name) or default, f"`{name}` of {self.path}")


def as_rows(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a table (n, k) also of (n, 1, k).

    Examples
    --------
    >>> as_rows(np.zeros((5, 1, 3))).shape
    (5, 3)
    """
    if values.ndim < 2:
        return values
    return values.reshape(values.shape[0], math.prod(values.shape[1:]))


def first_image(values: NDArray[Any], what: str) -> NDArray[Any]:
    """Return an image (H, W), the first of a stack.

    Raises
    ------
    ScanError
        If there is none.
    """
    if values.ndim < 2 or values.size == 0:
        raise ScanError(
            f"{what} has shape {values.shape}; an image, one number for each pixel, is needed: say another "
            "in a map (`--map`)."
        )
    return np.asarray(values.reshape(-1, *values.shape[-2:])[0])


def columns_of(values: NDArray[np.float64], letters: str, what: str) -> NDArray[np.float64]:
    """Return (y, x) of a table with a column for each letter.

    Raises
    ------
    ScanError
        If it has no such columns.

    Examples
    --------
    >>> columns_of(np.array([[1.0, 2.0, 0.0]]), "xyz", "`translation`").tolist()
    [[2.0, 1.0]]
    """
    if values.ndim != 2 or values.shape[1] < 2 or values.shape[1] > len(letters):
        raise ScanError(
            f"{what} has shape {values.shape}, expected (n, {len(letters)}): one {', '.join(letters)} for "
            "each pattern; say in a map (`--map`) what it is."
        )
    return np.stack([values[:, letters.index(axis)] for axis in "yx"], axis=1)
