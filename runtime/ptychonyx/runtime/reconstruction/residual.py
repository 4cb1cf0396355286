"""Does an object explain the measured patterns? The check that needs no truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..forward import predict_counts
from ..scaling import probe_in_counts, read_amplitudes_of
from ..scan import Scan
from ..stitching.shift import NUM_TAPS

BATCH = 64
DEFAULT_NUM_PATTERNS = 256
"""Enough for three digits; all patterns of a large scan would take longer than reconstructing it."""


@dataclass(frozen=True)
class Residual:
    """How much of the measured amplitude an object leaves unexplained.

    Attributes
    ----------
    total : float
        Σ(√rate − √counts)² / Σ counts over good pixels of the patterns looked at; 0 is perfect.
    per_pattern : float32 array, shape (n,)
        The same for each pattern of the scan; NaN for those that were not looked at.
    num_patterns : int
        How many were.
    """

    total: float
    per_pattern: NDArray[np.float32]
    num_patterns: int


def measure_residual(
    scan: Scan,
    object_: NDArray[np.complex64],
    *,
    object_corner_px: tuple[float, float],
    probe: NDArray[np.complex64],
    counts_per_pattern: float,
    coverage: NDArray[np.int32] | None = None,
    num_patterns: int = DEFAULT_NUM_PATTERNS,
) -> Residual:
    """Compare the patterns that an object gives behind a probe with those measured.

    Parameters
    ----------
    scan : Scan
    object_ : complex64 array, shape (H, W)
        Transmission.
    object_corner_px : (float, float)
        Its top-left pixel (y, x) in the scan's frame.
    probe : complex64 array, shape (modes, N, N)
        Brought to sqrt(counts), if it is in another unit.
    counts_per_pattern : float
        Of a pattern of the scan, as `scaling.counts_per_pattern` gives it.
    coverage : int array, shape (H, W), or None
        Where it is 0, and beyond the object, the mean of the covered object is assumed.
    num_patterns : int
        Looked at, evenly spread over the scan; all if the scan has no more.

    Returns
    -------
    Residual

    Raises
    ------
    ValueError
        If the probe's side is not N, or `num_patterns` is below 1.

    Examples
    --------
    >>> probe = np.ones((1, 8, 8), dtype=np.complex64)
    >>> corners_px = np.full((2, 2), 8.0)
    >>> patterns = predict_counts(np.ones((24, 24)) + 0j, probe.astype(complex), corners_px)
    >>> residual = measure_residual(
    ...     Scan(patterns, "counts", corners_px),
    ...     np.full((24, 24), 0.9, dtype=np.complex64),
    ...     object_corner_px=(0, 0),
    ...     probe=probe,
    ...     counts_per_pattern=64.0,
    ... )
    >>> round(residual.total, 4), residual.num_patterns
    (0.01, 2)
    """
    if probe.shape[-1] != scan.window_px:
        raise ValueError(
            f"`probe` has shape {probe.shape}, but the patterns are {scan.window_px}×"
            f"{scan.window_px}; give the probe that belongs to them."
        )
    if num_patterns < 1:
        raise ValueError(f"`num_patterns` is {num_patterns}; give 1 or more.")
    counted, _ = probe_in_counts(probe, counts_per_pattern)
    padded, shift = _padded(scan, object_, object_corner_px, coverage)
    count = min(num_patterns, scan.num_patterns)
    chosen = np.linspace(0, scan.num_patterns - 1, count).round().astype(np.int64)
    unexplained, measured = np.zeros(len(chosen)), np.zeros(len(chosen))
    for start in range(0, len(chosen), BATCH):
        part = slice(start, start + BATCH)
        amplitude = read_amplitudes_of(scan, chosen[part]).astype(np.float64)
        corners_px = scan.corners_px[chosen[part]] + shift
        rate = predict_counts(padded, counted.astype(np.complex128), corners_px)
        misfit = np.square(np.sqrt(rate) - amplitude)
        if scan.bad_pixels is not None:
            misfit[:, scan.bad_pixels] = 0
        unexplained[part] = misfit.sum(axis=(1, 2))
        measured[part] = np.square(amplitude).sum(axis=(1, 2))
    per_pattern = np.full(scan.num_patterns, np.nan, dtype=np.float32)
    per_pattern[chosen] = np.divide(
        unexplained, measured, out=np.full(len(chosen), np.nan), where=measured > 0
    )
    return Residual(float(unexplained.sum() / measured.sum()), per_pattern, len(chosen))


def _padded(
    scan: Scan,
    object_: NDArray[np.complex64],
    object_corner_px: tuple[float, float],
    coverage: NDArray[np.int32] | None,
) -> tuple[NDArray[np.complex64], NDArray[np.float64]]:
    """Return the object, without holes and around every window, and what turns corners into its."""
    known = np.ones(object_.shape, np.bool_) if coverage is None else coverage > 0
    filler = object_[known].mean() if known.any() else 1.0
    corners_px = scan.corners_px - np.array(object_corner_px)
    before = np.maximum(0, np.ceil(NUM_TAPS - corners_px.min(axis=0))).astype(int)
    beyond = corners_px.max(axis=0) + scan.window_px + NUM_TAPS - np.array(object_.shape)
    after = np.maximum(0, np.ceil(beyond)).astype(int)
    padded = np.full(before + object_.shape + after, filler, np.complex64)
    (top, left), (bottom, right) = before, before + object_.shape
    np.copyto(padded[top:bottom, left:right], object_, where=known)
    return padded, before - np.array(object_corner_px)
