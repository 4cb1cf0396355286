"""What a file says about an object or a probe, brought to one shape and dtype."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ScanError

NUMERIC_KINDS = "buifc"


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
    _check_numeric(array, name, path)
    if array.ndim not in (2, 3) or array.size == 0:
        raise ScanError(
            f"`{name}` of {path} has shape {array.shape}, expected (H, W) or (layers, H, W) with "
            "at least one pixel; correct the file."
        )
    layers = array if array.ndim == 3 else array[None]
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
    _check_numeric(array, name, path)
    modes = array[0] if array.ndim == 4 and len(array) else array
    if modes.ndim == 3 and modes.shape[-1] == 1:
        modes = modes[..., 0]
    if modes.ndim == 2:
        modes = modes[None]
    if modes.ndim != 3 or modes.size == 0 or modes.shape[1] != modes.shape[2]:
        raise ScanError(
            f"`{name}` of {path} has shape {array.shape}, expected (N, N), (modes, N, N) or "
            "(probes, modes, N, N); correct the file."
        )
    if not np.isfinite(modes).all():
        raise ScanError(
            f"`{name}` of {path} holds values that are not finite; a probe of finite numbers is "
            "needed: leave the probe out of the file, and one is estimated."
        )
    return np.ascontiguousarray(modes, dtype=np.complex64)


def _check_numeric(array: NDArray[Any], name: str, path: Path) -> None:
    if array.dtype.kind not in NUMERIC_KINDS:
        raise ScanError(
            f"`{name}` of {path} has dtype {array.dtype}; complex or real numbers are needed: "
            "correct the file."
        )
