"""What proves a model file: a test input, and what the native network made of it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .checks import POSITIVE, FieldError, check, check_array, shown, values_of
from .json_arrays import decode_array, encode_array

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


@dataclass(frozen=True, eq=False)
class Verification:
    """Keep a test input and what the native network made of it: the model file's proof.

    Attributes
    ----------
    amplitude : float32 array, shape (2, C, N, N)
        Two different samples of diffraction patterns, as sqrt(counts).
    scale : float
        Input scale that they are tested with.
    object_patches : float32 array, shape (2, C, M, M, 2)
        Real and imaginary part of the object patches that the native network computed.
    largest_difference, tolerance : float
        Largest difference of the exported model from them when the file was made, and the largest
        that was allowed.
    """

    amplitude: NDArray[np.float32]
    scale: float
    object_patches: NDArray[np.float32]
    largest_difference: float
    tolerance: float

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
        for name in ("scale", "tolerance"):
            check(f"verification.{name}", getattr(self, name), POSITIVE)
        if self.largest_difference != 0:
            check("verification.largest_difference", self.largest_difference, POSITIVE)

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
            What JSON gave.
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
