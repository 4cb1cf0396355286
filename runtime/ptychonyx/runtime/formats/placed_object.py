"""What a file says about an object or a probe, brought to one shape and dtype."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ScanError
from .storage.arrays import NUMBERS, ArrayFile, Header, check_kind, check_size

MAX_MODES = 64
"""Incoherent modes of a probe; published work uses up to about 30."""


@dataclass(frozen=True)
class PlacedObject:
    """An object read from any file that has one.

    Attributes
    ----------
    object_ : complex64 array, shape (H, W)
    corner_px : (float, float)
        Its top-left pixel (y, x) in the scan's frame.
    coverage : int32 array, shape (H, W), or None
        Patches that saw each pixel; 0 where nothing is known.
    pixel_size_m : float or None
    residual : float or None
        Share of the measured amplitude that it leaves unexplained, if the file says.
    name : str
    """

    object_: NDArray[np.complex64]
    corner_px: tuple[float, float] = (0.0, 0.0)
    coverage: NDArray[np.int32] | None = None
    pixel_size_m: float | None = None
    residual: float | None = None
    name: str = "object"


def take_object(file: ArrayFile, name: str) -> NDArray[np.complex64]:
    """Read an object (H, W), after a look at its shape.

    Raises
    ------
    ScanError
        See `as_object`; also if it takes too much memory.
    """
    header = file.header(name)
    _check_object(header)
    check_size(header, math.prod(header.shape) * np.dtype(np.complex64).itemsize)
    return as_object(file.read(name), name, file.path)


def take_probe(file: ArrayFile, name: str, window_px: int | None = None) -> NDArray[np.complex64]:
    """Read a probe (modes, N, N), after a look at its shape.

    Parameters
    ----------
    file : ArrayFile
    name : str
    window_px : int, optional
        N of the patterns, which the probe must fit.

    Raises
    ------
    ScanError
        See `as_probe`; also if it does not fit the patterns, or takes too much memory.
    """
    header = file.header(name)
    side = _check_probe(header)
    if window_px is not None and side != window_px:
        raise ScanError(
            f"{file.path}: `{name}` has shape {header.shape}, but the patterns are "
            f"{window_px}×{window_px}; a probe of their size is needed: crop or pad it."
        )
    varies = len(header.shape) == 4
    check_size(replace(header, shape=header.shape[1:]) if varies else header)
    probe = file.read(name, 0) if varies else file.read(name)
    return as_probe(probe, name, file.path)


def as_object(array: NDArray[Any], name: str, path: Path) -> NDArray[np.complex64]:
    """Return an object (H, W); layers of a thick one are multiplied.

    Raises
    ------
    ScanError
        If it has another number of dimensions, or no numbers.

    Examples
    --------
    >>> as_object(np.full((2, 1, 3), 1j), "object", Path("product.h5"))
    array([[-1.+0.j, -1.+0.j, -1.+0.j]], dtype=complex64)
    """
    _check_object(Header(name, path, array.shape, array.dtype))
    layers = array if array.ndim == 3 else array[None]
    with np.errstate(all="ignore"):  # what is not finite stays so, and what is too large becomes so
        return np.asarray(np.prod(layers.astype(np.complex64), axis=0))


def as_probe(array: NDArray[Any], name: str, path: Path) -> NDArray[np.complex64]:
    """Return a probe (modes, N, N): the first of the probes that vary along the scan.

    Raises
    ------
    ScanError
        If it has another number of dimensions, is not square or not finite, or has no numbers.

    Examples
    --------
    >>> as_probe(np.ones((5, 3, 8, 8)), "probe", Path("product.h5")).shape
    (3, 8, 8)
    """
    _check_probe(Header(name, path, array.shape, array.dtype))
    modes = array[0] if array.ndim == 4 else array
    if modes.ndim == 3 and modes.shape[-1] == 1:
        modes = modes[..., 0]
    if modes.ndim == 2:
        modes = modes[None]
    with np.errstate(all="ignore"):  # what is too large becomes infinite
        probe = np.ascontiguousarray(modes, dtype=np.complex64)
    if not np.isfinite(probe).all():
        raise ScanError(
            f"`{name}` of {path} holds values that are not finite in single precision; a probe of "
            "finite numbers is needed: leave the probe out of the file, and one is estimated."
        )
    return probe


def _check_object(header: Header) -> None:
    check_kind(header, NUMBERS, "complex or real numbers")
    if len(header.shape) not in (2, 3) or 0 in header.shape:
        raise ScanError(
            f"{header} has shape {header.shape}, expected (H, W) or (layers, H, W) with at least "
            "one pixel; correct the file."
        )


def _check_probe(header: Header) -> int:
    """Return the side N of a probe."""
    check_kind(header, NUMBERS, "complex or real numbers")
    shape = header.shape[1:] if len(header.shape) == 4 else header.shape
    if len(shape) == 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) not in (2, 3) or 0 in header.shape or shape[-2] != shape[-1]:
        raise ScanError(
            f"{header} has shape {header.shape}, expected (N, N), (modes, N, N) or (probes, modes, "
            "N, N); correct the file."
        )
    if len(shape) == 3 and shape[0] > MAX_MODES:
        raise ScanError(
            f"{header} has shape {header.shape}, so {shape[0]} modes; at most {MAX_MODES} are "
            "used, modes first: check the order of its axes."
        )
    return shape[-1]
