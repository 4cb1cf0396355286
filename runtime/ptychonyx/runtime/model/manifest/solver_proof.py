"""The proof in a solver's file: changes that the native network computed from features of a rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .checks import FieldError, check_array, shown, values_of
from .verification import Proof, decode_array, encode_array

NUM_CHANGE = 2
"""Images of a change: its real and its imaginary part."""
NUM_TESTS = 2
MIN_SIZE_PX = (32, 48)
"""Smallest height and width of a test canvas: not square, so that exchanged axes are noticed."""
MAX_SIDE_PX = 1024
"""Bound on what is believed: memory is reserved from this number."""


@dataclass(frozen=True, eq=False)
class SolverVerification(Proof):
    """Keep what the native network made of test features: the proof of a solver.

    The features themselves are not kept, since they would make a file a fifth larger:
    `draw_test_features` gives them for the size of a change.

    Attributes
    ----------
    changes : tuple of two float32 arrays, shape (2, H, W)
        Real and imaginary part of the change, for canvases of two sizes.
    """

    changes: tuple[NDArray[np.float32], ...]

    def features(self, num_features: int) -> list[NDArray[np.float32]]:
        """Return the features that each change was computed from, (num_features, H, W)."""
        return [draw_test_features(num_features, change.shape[1:]) for change in self.changes]

    def check(self, *, stride_px: int) -> None:
        """Refuse changes whose sizes do not fit, and numbers that are not positive.

        Raises
        ------
        FieldError
            Names the field.
        """
        sizes = [change.shape[1:] for change in self.changes]
        if len({*sizes}) != NUM_TESTS or len(sizes) != NUM_TESTS:
            raise FieldError("verification.changes", shown(sizes), "two canvases of unequal size")
        for change, size in zip(self.changes, sizes, strict=True):
            if len(size) != 2 or any(
                side < lowest or side % stride_px
                for side, lowest in zip(size, MIN_SIZE_PX, strict=True)
            ):
                raise FieldError(
                    "verification.changes",
                    f"an array of shape {change.shape}",
                    f"(2, height, width) of at least {MIN_SIZE_PX}, multiples of {stride_px}",
                )
            check_array("verification.changes", change, (NUM_CHANGE, *size), np.float32)
        self.check_numbers()

    def to_values(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "changes": [encode_array(change) for change in self.changes],
            "largest_difference": self.largest_difference,
            "tolerance": self.tolerance,
        }

    @classmethod
    def from_values(cls, values: object) -> SolverVerification:
        """Read what `to_values` returned.

        Raises
        ------
        FieldError
            If a field is missing, or no array where one should be.
        """
        if not isinstance(values, dict):
            raise FieldError("verification", shown(values), "an object of three fields")
        known = values_of(cls, values, prefix="verification.")
        changes = known["changes"]
        if not isinstance(changes, list) or len(changes) != NUM_TESTS:
            raise FieldError("verification.changes", shown(changes), "a list of two arrays")
        known["changes"] = tuple(
            decode_array("verification.changes", change, longest_side=MAX_SIDE_PX)
            for change in changes
        )
        return cls(**known)


def difference(change: NDArray[np.float32], native: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return how far a change is from the native network's, (2, H, W).

    A change has no bound, as amplitude and phase have one, and rounding grows with it: where the
    largest value exceeds 1, the difference is a share of that value.

    Examples
    --------
    >>> one, other = (np.array([value, 0], np.float32) for value in (4.0, 4.5))
    >>> difference(other, one).tolist()
    [0.125, 0.0]
    """
    distance: NDArray[np.float64] = np.abs(change.astype(np.float64) - native)
    return distance / max(1.0, float(np.abs(native).max()))


def draw_test_features(num_features: int, size_px: tuple[int, ...]) -> NDArray[np.float32]:
    """Return features that are the same on every machine: noise between −1 and 1.

    Parameters
    ----------
    num_features : int
    size_px : (int, int)
        Height and width.

    Returns
    -------
    float32 array, shape (num_features, height, width)

    Notes
    -----
    Of NumPy's random numbers, only those that a bit generator gives itself never change with a
    version. Their upper 24 bits are exact in float32.

    Examples
    --------
    >>> draw_test_features(15, (32, 48))[0, 0, :3]
    array([-0.04023159,  0.1410116 , -0.39819682], dtype=float32)
    """
    height, width = size_px
    bits = np.random.PCG64(height * width).random_raw(num_features * height * width)
    whole = (bits >> np.uint64(40)).astype(np.float32)
    return (whole / np.float32(2**23) - np.float32(1)).reshape(num_features, height, width)
