"""The proof in a model file: test inputs, and the outputs of the native network for them."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .checks import POSITIVE, FieldError, check, check_array, shown, values_of, whole

ARRAYS = ("amplitude", "object_patches")
"""Fields that are arrays."""

TOLERANCES = {
    # float32 with another order of summation: 4e-7 in amplitude and 5e-6 in phase were the most
    # seen against either native network.
    "cpu": 1e-5,
    # TF32 is switched off; other convolution algorithms (Winograd, FFT) sum in coarser steps.
    "cuda": 1e-4,
    # May use TF32, whose mantissa has 10 bits: 5e-4 an operation, over a few layers.
    "tensorrt": 5e-3,
    # Asked for float32; as on the CPU, with its own fused kernels and fast sine and cosine.
    "openvino": 1e-4,
}
"""Largest difference allowed from the native network, by execution provider, in float32."""
_NEEDED = '{"shape": [...], "float32": base64 of as many little-endian numbers}'


@dataclass(frozen=True, eq=False)
class Proof(ABC):
    """Keep how far an exported model was from its native network on the file's test inputs.

    Attributes
    ----------
    largest_difference, tolerance : float
        Largest difference of the exported model from the native network when the file was made, and
        the largest that was allowed.
    """

    largest_difference: float
    tolerance: float

    @abstractmethod
    def to_values(self) -> dict[str, Any]:
        """Return it as JSON values."""

    def check_numbers(self) -> None:
        """Refuse a tolerance that is not positive, and a difference that is negative.

        Raises
        ------
        FieldError
            Names the field.
        """
        check("verification.tolerance", self.tolerance, POSITIVE)
        if self.largest_difference != 0:
            check("verification.largest_difference", self.largest_difference, POSITIVE)


@dataclass(frozen=True, eq=False)
class Verification(Proof):
    """Keep test patterns and what the native network made of them: the proof of a model of patches.

    Attributes
    ----------
    amplitude : float32 array, shape (2, C, N, N)
        Two different samples of diffraction patterns, as sqrt(counts).
    scale : float
        Input scale that they are tested with.
    object_patches : float32 array, shape (2, C, M, M, 2)
        Real and imaginary part of the object patches that the native network computed.
    """

    amplitude: NDArray[np.float32]
    scale: float
    object_patches: NDArray[np.float32]

    def check(self, *, num_channels: int, window_px: int, patch_px: int) -> None:
        """Refuse arrays that do not go with C, N and M, and numbers that are not positive.

        Raises
        ------
        FieldError
            Names the field.
        """
        samples = (2, num_channels)
        for name, shape in (
            ("amplitude", (*samples, window_px, window_px)),
            ("object_patches", (*samples, patch_px, patch_px, 2)),
        ):
            check_array(f"verification.{name}", getattr(self, name), shape, np.float32)
        check("verification.scale", self.scale, POSITIVE)
        self.check_numbers()

    def to_values(self) -> dict[str, Any]:
        """Return it as JSON values."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        for name in ARRAYS:
            values[name] = encode_array(values[name])
        return values

    @classmethod
    def from_values(cls, values: object, *, longest_side: int) -> Verification:
        """Read what `to_values` returned.

        Parameters
        ----------
        values : object
            Value that was read from JSON.
        longest_side : int
            Largest side of an array that is believed.

        Raises
        ------
        FieldError
            If a field is missing, or no array where one should be.
        """
        if not isinstance(values, dict):
            raise FieldError("verification", shown(values), "an object of five fields")
        known = values_of(cls, values, prefix="verification.")
        for name in ARRAYS:
            known[name] = decode_array(
                f"verification.{name}", known[name], longest_side=longest_side
            )
        return cls(**known)


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
