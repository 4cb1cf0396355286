"""What is done by default to a scan that has bad pixels or patterns nobody marked."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..scan import Scan, some_of


@dataclass(frozen=True)
class Repairs:
    """Pixels to ignore and patterns to leave out, found by looking at a whole scan.

    Attributes
    ----------
    bad_pixels : bool array, shape (N, N), or None
        Pixels that say nothing, beside those that the scan has marked; None: there are none.
    kept : int64 array, shape (k,), or None
        Patterns to keep, in rising order; None: all.

    Examples
    --------
    >>> scan = Scan(np.ones((3, 2, 2)), "counts", np.zeros((3, 2)))
    >>> Repairs(None, np.array([0, 2])).apply(scan).num_patterns
    2
    """

    bad_pixels: NDArray[np.bool_] | None = None
    kept: NDArray[np.int64] | None = None

    def apply(self, scan: Scan) -> Scan:
        """Return the scan with these pixels marked and without the other patterns."""
        if self.bad_pixels is not None:
            known = scan.bad_pixels
            bad = self.bad_pixels if known is None else self.bad_pixels | known
            scan = replace(scan, bad_pixels=bad)
        return scan if self.kept is None else some_of(scan, self.kept)
