"""The measured amplitudes as the passes need them, in memory that does not grow with the scan."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ...errors import ScanError
from ...scaling import READ_BATCH, read_amplitudes_of
from ...scan import Scan
from .disturbances import Disturbances

KEPT_BYTES = 64 * 1024**2
"""Amplitudes up to this size stay in memory; the others are read from the file in each pass."""
NUM_LOOKED_AT = 8
"""Patterns that tell whether a scan counts photons."""


@dataclass(frozen=True)
class Measured:
    """Amplitudes of patterns with DC at [0, 0], as an FFT has it.

    Attributes
    ----------
    scan : Scan
    indexes : int64 array, shape (n,)
        Patterns of the scan, in rising order.
    kept : float32 array, shape (k, N, N)
        The first of them; the others are read when they are needed.
    good : float32 array, shape (N, N), or None
        0 at bad pixels, else 1; None if all are good.
    fitted : bool array, shape (n, N, N), or None
        False at pixels that must not be fitted although they are good; None if there are none.
    disturbances : Disturbances or None
        What is believed to lie between prediction and measurement; None: nothing.
    counts : float64 array, shape (n,)
        Total of each pattern.
    are_photons : bool
        Whether the patterns look like counted photons: whole numbers, or their roots.
    """

    scan: Scan
    indexes: NDArray[np.int64]
    kept: NDArray[np.float32]
    good: NDArray[np.float32] | None
    counts: NDArray[np.float64]
    are_photons: bool = True
    fitted: NDArray[np.bool_] | None = None
    disturbances: Disturbances | None = None

    def only(self, chosen: NDArray[np.int64]) -> Measured:
        """Return some of the patterns, all kept in memory and all their good pixels fitted."""
        return replace(
            self,
            indexes=self.indexes[chosen],
            kept=self.amplitudes(chosen),
            counts=self.counts[chosen],
            fitted=None,
            disturbances=None if self.disturbances is None else self.disturbances.only(chosen),
        )

    def good_of(self, chosen: NDArray[np.int64]) -> NDArray[np.float32] | None:
        """Return 0 where some of these patterns say nothing, else 1; None if all pixels count."""
        if self.fitted is None:
            return self.good
        fitted = self.fitted[chosen].astype(np.float32)
        return fitted if self.good is None else fitted * self.good

    def amplitudes(self, chosen: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return copies of the measured amplitudes of some patterns, shape (k, N, N)."""
        is_kept = chosen < len(self.kept)
        if is_kept.all():
            return self.kept[chosen]
        amplitudes = np.empty((len(chosen), *self.kept.shape[1:]), np.float32)
        amplitudes[is_kept] = self.kept[chosen[is_kept]]
        amplitudes[~is_kept] = _read(self.scan, self.indexes[chosen[~is_kept]])
        return amplitudes

    def even_amplitudes(self, chosen: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return a_j/√c_j of some patterns: what is measured where all patterns are as bright."""
        amplitudes = self.amplitudes(chosen)
        roots = None if self.disturbances is None else self.disturbances.roots_of(chosen)
        return amplitudes if roots is None else amplitudes / roots

    def even_counts(self, chosen: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the total counts of some patterns, each divided by its c_j."""
        factors = None if self.disturbances is None else self.disturbances.factors
        return self.counts[chosen] if factors is None else self.counts[chosen] / factors[chosen]

    def background_of(self, chosen: NDArray[np.int64]) -> NDArray[np.float32] | None:
        """Return b/c_j of some patterns, see `Disturbances`; None if there is no background."""
        return None if self.disturbances is None else self.disturbances.background_of(chosen)


def read_measured(scan: Scan, indexes: NDArray[np.int64]) -> Measured:
    """Read patterns once, add up their counts, and keep as many as fit `KEPT_BYTES`.

    Parameters
    ----------
    scan : Scan
    indexes : int64 array, shape (n,)
        Patterns to use, in rising order.

    Raises
    ------
    ScanError
        If a pattern cannot be used, or all are zero.

    Examples
    --------
    >>> scan = Scan(np.full((3, 8, 8), 4), "counts", np.zeros((3, 2)))
    >>> measured = read_measured(scan, np.arange(2))
    >>> measured.counts, measured.amplitudes(np.array([1])).shape
    (array([256., 256.]), (1, 8, 8))
    """
    measured = read_part(scan, indexes, kept_bytes=KEPT_BYTES)
    if not measured.counts.any():
        raise ScanError(
            "All diffraction patterns are zero; check which dataset of the file holds the "
            "patterns, and the bad pixels."
        )
    return measured


def read_part(scan: Scan, indexes: NDArray[np.int64], *, kept_bytes: int) -> Measured:
    """Read a part of a scan, which may be dark.

    Parameters and errors are those of `read_measured`, and amplitudes up to `kept_bytes` are kept.
    """
    side = scan.window_px
    kept = np.empty((min(len(indexes), kept_bytes // (4 * side**2)), side, side), np.float32)
    counts = np.empty(len(indexes))
    for start in range(0, len(indexes), READ_BATCH):
        part = slice(start, start + READ_BATCH)
        amplitudes = _read(scan, indexes[part])
        counts[part] = np.square(amplitudes).sum(axis=(1, 2), dtype=np.float64)
        kept[part] = amplitudes[: max(0, len(kept) - start)]
    good = None
    if scan.bad_pixels is not None:
        good = np.fft.ifftshift(~scan.bad_pixels).astype(np.float32)
    return Measured(scan, indexes, kept, good, counts, looks_like_photons(kept[:NUM_LOOKED_AT]))


def looks_like_photons(amplitudes: NDArray[np.float32]) -> bool:
    """Tell whether amplitudes are roots of whole numbers, as far as float32 can show it."""
    counts = np.square(amplitudes)
    off = np.abs(counts - np.rint(counts))
    return bool(counts.max(initial=0) > 0.5 and (off <= 1e-3 * np.maximum(counts, 1)).all())


def _read(scan: Scan, indexes: NDArray[np.int64]) -> NDArray[np.float32]:
    return np.fft.ifftshift(read_amplitudes_of(scan, indexes), axes=(1, 2))
