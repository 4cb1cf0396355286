"""Read counts and scale them: the only place where bad pixels, dose and probe power are handled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .errors import ScanError
from .scan import Scan

READ_BATCH = 256
"""Number of patterns in memory at once."""
RUN = 32
"""Neighbouring patterns read together where only some are: files store them in chunks."""
PROBE_RATIO_RANGE = (0.9, 25.0)
"""A probe is taken to be in sqrt(counts) if its power over the mean counts lies in this range: the
object then lets through 4 % to 110 % of the beam."""

COUNTS_AGREE = (0.9, 1.1)
"""Within these, power of a probe over counts, nothing has to be decided."""


def read_counts(scan: Scan, start: int, stop: int) -> NDArray[np.float32]:
    """Read patterns as counts, with bad pixels set to 0.

    Parameters
    ----------
    scan : Scan
        Scan to read from.
    start, stop : int
        First pattern, and the one after the last.

    Returns
    -------
    float32 array, shape (stop − start, N, N)

    Raises
    ------
    ScanError
        If a good pixel is negative or not a finite number; the message names the pattern.

    Examples
    --------
    >>> patterns = np.array([[[4, 9], [0, 1]]], dtype=np.uint16)
    >>> scan = Scan(patterns, "counts", np.zeros((1, 2)))
    >>> read_counts(scan, 0, 1)[0]
    array([[4., 9.],
           [0., 1.]], dtype=float32)
    """
    values = _read_clean(scan, slice(start, stop))
    return values if scan.quantity == "counts" else np.square(values, out=values)


def read_amplitudes(scan: Scan, start: int, stop: int) -> NDArray[np.float32]:
    """Read patterns as amplitudes, the square root of counts, with bad pixels set to 0.

    Arguments, shape and errors are those of `read_counts`.
    """
    return _as_amplitudes(scan, slice(start, stop))


def read_amplitudes_of(scan: Scan, indexes: NDArray[np.int64]) -> NDArray[np.float32]:
    """Read the amplitudes of any patterns, in any order; each is read from the file only once.

    Parameters
    ----------
    scan : Scan
        Scan to read from.
    indexes : int64 array, any shape
        Pattern indexes; one may occur more than once.

    Returns
    -------
    float32 array, shape (*indexes.shape, N, N)

    Raises
    ------
    ScanError
        If a good pixel is negative or not a finite number; the message names the pattern.

    Examples
    --------
    >>> scan = Scan(np.arange(1.0, 5.0).reshape(4, 1, 1), "amplitude", np.zeros((4, 2)))
    >>> read_amplitudes_of(scan, np.array([[3, 0], [0, 1]]))[..., 0, 0]
    array([[4., 1.],
           [1., 2.]], dtype=float32)
    """
    needed, places = np.unique(indexes, return_inverse=True)
    start, stop = int(needed[0]), int(needed[-1]) + 1
    is_range = stop - start == len(needed)
    amplitudes = _as_amplitudes(scan, slice(start, stop) if is_range else needed)
    if np.array_equal(needed, indexes.ravel()):  # already in order: no copy is needed
        return amplitudes.reshape(*indexes.shape, *amplitudes.shape[1:])
    return amplitudes[places.reshape(indexes.shape)]


def counts_per_pattern(scan: Scan) -> float:
    """Return the total counts of a pattern, averaged over the scan in float64.

    Raises
    ------
    ScanError
        If all patterns are zero.

    Examples
    --------
    >>> counts_per_pattern(Scan(np.full((3, 2, 2), 5.0), "amplitude", np.zeros((3, 2))))
    100.0
    """
    total = 0.0
    for start in range(0, scan.num_patterns, READ_BATCH):
        counts = read_counts(scan, start, min(start + READ_BATCH, scan.num_patterns))
        total += float(counts.sum(dtype=np.float64))
    if total <= 0:
        raise no_counts_error()
    return total / scan.num_patterns


def no_counts_error() -> ScanError:
    """Return the error of a scan without any counts."""
    return ScanError(
        "All diffraction patterns are zero; check which dataset of the file holds the "
        "patterns, and the bad pixels."
    )


def mean_pattern(scan: Scan, *, num_patterns: int | None = None) -> NDArray[np.float64]:
    """Return the mean counts of each detector pixel; bad pixels are 0.

    Parameters
    ----------
    scan : Scan
        Scan to read from.
    num_patterns : int or None
        About how many patterns to read, in short runs spread evenly over the scan; None: all.

    Returns
    -------
    float64 array, shape (N, N)

    Raises
    ------
    ScanError
        If a good pixel is negative or not a finite number; the message names the pattern.

    Examples
    --------
    >>> patterns = np.array([[[1, 2], [3, 4]], [[3, 2], [1, 0]]], dtype=np.uint16)
    >>> mean_pattern(Scan(patterns, "counts", np.zeros((2, 2))))
    array([[2., 2.],
           [2., 2.]])
    """
    total, num_read = np.zeros((scan.window_px, scan.window_px)), 0
    for start, stop in _runs(scan.num_patterns, num_patterns):
        total += read_counts(scan, start, stop).sum(axis=0, dtype=np.float64)
        num_read += stop - start
    return total / num_read


def input_scale(scan: Scan) -> float:
    """Return the scan's one input scale, sqrt((N/2)² / mean counts of a pattern).

    This brings a scan of any dose to the same range. It keeps the ratios between patterns, which
    tell how much the object absorbs.

    Raises
    ------
    ScanError
        If all patterns are zero.

    Examples
    --------
    >>> input_scale(Scan(np.full((3, 8, 8), 1.0), "counts", np.zeros((3, 2))))
    0.5
    """
    return scale_from_counts(scan.window_px, counts_per_pattern(scan))


def scale_from_counts(window_px: int, counts: float) -> float:
    """Return the input scale of a scan from the mean counts of its patterns.

    Parameters
    ----------
    window_px : int
        Side N of the patterns.
    counts : float
        As from `counts_per_pattern`.

    Examples
    --------
    >>> scale_from_counts(64, 1024.0)
    1.0
    """
    return float(np.sqrt((window_px / 2) ** 2 / counts))


def probe_in_counts(
    probe: NDArray[np.complex64], counts: float, *, keep_scale: bool = True
) -> tuple[NDArray[np.complex64], float]:
    """Bring a probe to sqrt(counts), unless it is in this unit already.

    The power of a probe is compared with the counts: q = Σ|P|² / mean counts of a pattern. For
    0.9 ≤ q ≤ 25 the probe is kept: the beam had this power, and the object absorbs the rest. Else
    the probe is in another unit and is scaled to q = 1; absorption can then no longer be told. No
    pattern can decide this: a probe times c and an object over c give the same patterns.

    Parameters
    ----------
    probe : complex array, shape (modes, N, N)
        Incoherent modes, in any unit.
    counts : float
        As from `counts_per_pattern`.
    keep_scale : bool
        False scales the probe to q = 1 in any case.

    Returns
    -------
    probe : complex64 array, shape (modes, N, N)
        The probe in sqrt(counts).
    q : float
        Ratio before any scaling.

    Raises
    ------
    ScanError
        If the probe is zero or not finite.

    Examples
    --------
    >>> probe, ratio = probe_in_counts(np.ones((1, 2, 2), dtype=np.complex64), 400.0)
    >>> ratio, float(np.sum(np.abs(probe) ** 2))
    (0.01, 400.0)
    """
    power = float(np.sum(np.abs(probe.astype(np.complex128)) ** 2))
    if not np.isfinite(power) or power <= 0:
        raise ScanError(f"The probe's power is {power}; a finite probe that is not zero is needed.")
    ratio = power / counts
    low, high = PROBE_RATIO_RANGE
    factor = 1.0 if keep_scale and low <= ratio <= high else ratio**-0.5
    return (probe * factor).astype(np.complex64), ratio


def estimate_probe(scan: Scan) -> NDArray[np.complex64]:
    """Estimate a one-mode probe from the mean pattern, for a scan that has none.

    The far field is taken as the square root of the mean counts with a flat phase. The result is a
    focused beam of the right size, without curvature: a caller that uses it should tell the user.

    Returns
    -------
    complex64 array, shape (1, N, N)

    Examples
    --------
    >>> scan = Scan(np.full((3, 8, 8), 4), "counts", np.zeros((3, 2)))
    >>> float(np.sum(np.abs(estimate_probe(scan)) ** 2))
    256.0
    """
    far_field = np.sqrt(mean_pattern(scan))
    probe = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(far_field), norm="ortho"))
    return probe[None].astype(np.complex64)


def _runs(num: int, wanted: int | None) -> list[tuple[int, int]]:
    """Return start and stop of the runs of patterns to read: all, or about `wanted` of them."""
    if wanted is None or num <= wanted:
        return [(start, min(start + READ_BATCH, num)) for start in range(0, num, READ_BATCH)]
    run = min(RUN, wanted)
    starts = np.linspace(0, num - run, wanted // run).astype(int).tolist()
    return [(start, start + run) for start in starts]


def _as_amplitudes(scan: Scan, key: slice | NDArray[np.int64]) -> NDArray[np.float32]:
    values = _read_clean(scan, key)
    return values if scan.quantity == "amplitude" else np.sqrt(values, out=values)


def _read_clean(scan: Scan, key: slice | NDArray[np.int64]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused
        values = np.array(scan.patterns[key], dtype=np.float32)
    if scan.bad_pixels is not None:
        values[:, scan.bad_pixels] = 0
    lowest = values.min(axis=(1, 2), initial=np.inf)  # NaN wins a minimum, so one pass finds both
    highest = values.max(axis=(1, 2), initial=0)
    wrong = np.flatnonzero(~(lowest >= 0) | ~np.isfinite(highest))
    if len(wrong):
        index = int(wrong[0])
        what = "a negative value" if lowest[index] < 0 else "a value that is not a finite number"
        raise ScanError(
            f"Pattern {np.arange(scan.num_patterns)[key][index]} holds {what}; mark such pixels in "
            "`bad_pixels`, or correct the file."
        )
    return values
