"""What lies between the patterns that object and probe make and those that a detector counts."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float32]


@dataclass(frozen=True)
class Disturbances:
    """Hold how bright each pattern was, and the light that is in all of them.

    Where object and probe predict the amplitude A_j, the detector should count c_j·A_j² + b.

    Attributes
    ----------
    factors : float64 array, shape (n,), or None
        c_j of each pattern, 1 in the mean; None: all are 1.
    background : float32 array, shape (N, N), or None
        b in counts, with DC at [0, 0] and not negative; None: there is none.
    last_change : float32 array, shape (N, N), or None
        What the last fit added to b; None before the second one.
    """

    factors: NDArray[np.float64] | None = None
    background: Real | None = None
    last_change: Real | None = None

    def only(self, chosen: NDArray[np.int64]) -> Disturbances:
        """Return those of some of the patterns.

        Examples
        --------
        >>> Disturbances(np.array([0.5, 1.0, 1.5])).only(np.array([2])).factors
        array([1.5])
        """
        factors = None if self.factors is None else self.factors[chosen]
        return replace(self, factors=factors)

    def roots_of(self, chosen: NDArray[np.int64]) -> Real | None:
        """Return √c_j of some patterns, shape (k, 1, 1); None if all are 1."""
        if self.factors is None:
            return None
        return np.sqrt(self.factors[chosen]).astype(np.float32)[:, None, None]

    def background_of(self, chosen: NDArray[np.int64]) -> Real | None:
        """Return b/c_j of some patterns, shape (k, N, N) or (1, N, N); None if there is none.

        It is what A_j² lacks of counts that are divided by c_j.
        """
        if self.background is None:
            return None
        roots = self.roots_of(chosen)
        if roots is None:
            return self.background[None]
        return np.asarray(self.background / np.square(roots), np.float32)

    def counted(self, predicted: Real, chosen: NDArray[np.int64]) -> Real:
        """Return √(c_j·A_j² + b): the amplitudes (k, N, N) that a detector should measure.

        Parameters
        ----------
        predicted : float32 array, shape (k, N, N)
            A_j.
        chosen : int64 array, shape (k,)
            Which patterns these are.

        Examples
        --------
        >>> disturbances = Disturbances(np.array([4.0]), np.full((1, 1), 9, np.float32))
        >>> disturbances.counted(np.full((1, 1, 1), 2, np.float32), np.array([0])).tolist()
        [[[5.0]]]
        """
        roots = self.roots_of(chosen)
        bright = predicted if roots is None else predicted * roots
        return with_background(bright, self.background)


def with_background(predicted: Real, background: Real | None) -> Real:
    """Return √(A² + b)."""
    if background is None:
        return predicted
    return np.asarray(np.sqrt(np.square(predicted) + background))
