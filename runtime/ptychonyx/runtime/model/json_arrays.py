"""Float32 arrays in JSON: shape, and base64 of the little-endian numbers."""

from __future__ import annotations

import base64
import binascii
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .checks import FieldError, shown, whole

_NEEDED = '{"shape": [...], "float32": base64 of as many little-endian numbers}'


def encode_array(array: NDArray[np.float32]) -> dict[str, Any]:
    """Return an array as JSON values.

    Examples
    --------
    >>> encode_array(np.array([1.0, 2.0], np.float32))
    {'shape': [2], 'float32': 'AACAPwAAAEA='}
    """
    data = base64.b64encode(np.ascontiguousarray(array, dtype="<f4").tobytes())
    return {"shape": list(array.shape), "float32": data.decode("ascii")}


def decode_array(name: str, value: object, *, longest_side: int) -> NDArray[np.float32]:
    """Return the array that `encode_array` made these JSON values of.

    Parameters
    ----------
    name : str
        Field that the values come from, for the error.
    value : object
        What JSON gave.
    longest_side : int
        Largest side that is believed.

    Raises
    ------
    FieldError
        If the values do not describe an array.

    Examples
    --------
    >>> decode_array("probe", {"shape": [2], "float32": "AACAPwAAAEA="}, longest_side=8)
    array([1., 2.], dtype=float32)
    """
    if not isinstance(value, dict) or not isinstance(value.get("float32"), str):
        raise FieldError(name, shown(value), _NEEDED)
    shape, side = value.get("shape"), whole(1, longest_side)
    if not isinstance(shape, list) or not all(side.holds(each) for each in shape):
        raise FieldError(f"{name}.shape", shown(shape), _NEEDED)
    try:
        data = base64.b64decode(value["float32"], validate=True)
    except (binascii.Error, ValueError):
        raise FieldError(f"{name}.float32", shown(value["float32"]), _NEEDED) from None
    if len(data) != 4 * math.prod(shape):
        raise FieldError(name, f"{len(data)} bytes for shape {shown(shape)}", _NEEDED)
    return np.frombuffer(data, dtype="<f4").astype(np.float32).reshape(shape)
