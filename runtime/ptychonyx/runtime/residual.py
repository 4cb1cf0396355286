"""Measure how well an object explains the measured patterns: a check that needs no truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .comparison.region import spread_indexes
from .forward import predict_counts
from .noise import noise_of_amplitudes
from .product import Metadata
from .scaling import probe_in_counts, read_amplitudes_of
from .scan import Scan
from .stitching.shift import NUM_TAPS

BATCH = 64
"""Number of patterns in memory at once."""
DEFAULT_NUM_PATTERNS = 256
"""Enough for three digits; on all patterns of a large scan, this would outlast the reconstruction."""


LARGEST_UNEXPLAINED = 0.35
"""Where more of the differences between patterns is left unexplained, object and probe are not
believed. Right results had at most 0.19 of it, over doses of 5e3 and more, and wrong probes,
positions and orientations at least 0.45. A probe that is refined may fit them, too, which
`solving.left_out` finds out."""
LARGEST_LEFT_OUT = 0.6
"""The same share of patterns that were left out while their probe was refined: right probes left 0.02
to 0.45, and wrong ones that had converged 0.76 to 1.9."""
SMALLEST_DIFFERENCE = 1.3
"""Patterns must differ by this factor more than by photon noise, or nothing can be said."""


@dataclass(frozen=True)
class Residual:
    """Hold how much of the measured amplitude an object leaves unexplained.

    Attributes
    ----------
    total : float
        Σ(√rate − √counts)² / Σ counts over the good pixels of all compared patterns; 0 is perfect.
    per_pattern : float32 array, shape (n,)
        The same for each pattern of the scan alone; NaN for patterns that were not compared.
    num_patterns : int
        Number of compared patterns.
    of_noise : float
        What `total` would be on average if the predicted rates were right and only photon noise
        were left.
    of_mean_pattern : float
        What it would be if every pattern were predicted as the mean pattern with its own counts:
        what a scan without an object looks like.
    """

    total: float
    per_pattern: NDArray[np.float32]
    num_patterns: int
    of_noise: float
    of_mean_pattern: float

    @property
    def unexplained_differences(self) -> float | None:
        """Share of the differences between patterns, beyond photon noise, that is left unexplained.

        None if the patterns hardly differ by more than noise.
        """
        return unexplained_share(
            self.total, of_noise=self.of_noise, of_mean_pattern=self.of_mean_pattern
        )

    @property
    def metadata(self) -> Metadata:
        """What a product keeps of it; `believable` is missing where nothing can be said."""
        known: Metadata = {
            "residual": self.total,
            "residual_noise": self.of_noise,
            "residual_patterns": self.num_patterns,
        }
        share = self.unexplained_differences
        if share is None:
            return known
        return known | {
            "unexplained_differences": share,
            "believable": share <= LARGEST_UNEXPLAINED,
        }


def unexplained_share(total: float, *, of_noise: float, of_mean_pattern: float) -> float | None:
    """Return the share of the differences between patterns that is left beyond photon noise.

    Parameters are those of `Residual`. None if the patterns hardly differ by more than noise.

    Examples
    --------
    >>> round(unexplained_share(0.01, of_noise=0.005, of_mean_pattern=0.055), 3)
    0.1
    """
    if not of_mean_pattern > SMALLEST_DIFFERENCE * of_noise:
        return None
    return (total - of_noise) / (of_mean_pattern - of_noise)


def measure_residual(
    scan: Scan,
    object_: NDArray[np.complex64],
    *,
    object_corner_px: tuple[float, float],
    probe: NDArray[np.complex64],
    counts_per_pattern: float,
    coverage: NDArray[np.int32] | None = None,
    num_patterns: int = DEFAULT_NUM_PATTERNS,
    pattern_factors: NDArray[np.float64] | None = None,
    background: NDArray[np.float32] | None = None,
) -> Residual:
    """Compare the patterns that an object and a probe predict with the measured ones.

    Parameters
    ----------
    scan : Scan
        Measured patterns and their corners.
    object_ : complex64 array, shape (H, W)
        Transmission.
    object_corner_px : (float, float)
        Its top-left pixel (y, x) in the scan's frame.
    probe : complex64 array, shape (modes, N, N)
        Incoherent modes in any unit; see `scaling.probe_in_counts`.
    counts_per_pattern : float
        Mean total counts of a pattern, as from `scaling.counts_per_pattern`.
    coverage : int array, shape (H, W), or None
        Number of patches at each pixel. Where it is 0, and beyond the object, the mean of the
        covered object is assumed. None: all pixels are covered.
    num_patterns : int
        How many patterns to compare, evenly spread over the scan; all if the scan has no more.
    pattern_factors : float64 array, shape (n,), or None
        How bright each pattern of the scan is, if that was fitted.
    background : float32 array, shape (N, N), or None
        Counts that are in every pattern, but not of the beam, if these were fitted.

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
    padded, shift = padded_object(scan, object_, object_corner_px, coverage)
    chosen = spread_indexes(scan.num_patterns, num_patterns)
    unexplained, measured = np.zeros(len(chosen)), np.zeros(len(chosen))
    summed, weighted = np.zeros((2, scan.window_px, scan.window_px))
    noise = 0.0
    for start in range(0, len(chosen), BATCH):
        part = slice(start, start + BATCH)
        amplitude = read_amplitudes_of(scan, chosen[part]).astype(np.float64)
        corners_px = scan.corners_px[chosen[part]] + shift
        rate = predict_counts(padded, counted.astype(np.complex128), corners_px)
        if pattern_factors is not None:
            rate *= pattern_factors[chosen[part], None, None]
        if background is not None:
            rate += background
        if scan.bad_pixels is not None:
            rate[:, scan.bad_pixels] = 0
        misfit = np.square(np.sqrt(rate) - amplitude)
        unexplained[part] = misfit.sum(axis=(1, 2))
        counts = np.square(amplitude)
        measured[part] = counts.sum(axis=(1, 2))
        noise += float(noise_of_amplitudes(rate).sum())
        summed += counts.sum(axis=0)
        weighted += np.tensordot(np.sqrt(measured[part]), amplitude, 1)
    per_pattern = np.full(scan.num_patterns, np.nan, dtype=np.float32)
    per_pattern[chosen] = np.divide(
        unexplained, measured, out=np.full(len(chosen), np.nan), where=measured > 0
    )
    total = float(measured.sum())
    # Σ_j (a_j − √(c_j·mean))² / Σ c_j, for amplitudes a_j and total counts c_j
    of_mean = 2 - 2 * float((np.sqrt(summed / total) * weighted).sum()) / total
    return Residual(
        float(unexplained.sum() / total), per_pattern, len(chosen), noise / total, max(of_mean, 0.0)
    )


def fitting_factor(
    scan: Scan,
    object_: NDArray[np.complex64],
    *,
    object_corner_px: tuple[float, float],
    probe: NDArray[np.complex64],
    coverage: NDArray[np.int32] | None = None,
) -> float:
    """Return the factor c of an object for which |F(P·cO)| fits the measured amplitudes best.

    A network that sees only patterns cannot know how much of the beam its object absorbs.

    Parameters
    ----------
    scan : Scan
    object_ : complex64 array, shape (H, W)
    object_corner_px : (float, float)
        Its top-left pixel (y, x) in the scan's frame.
    probe : complex64 array, shape (modes, N, N)
        The probe in sqrt(counts).
    coverage : int array, shape (H, W), or None
        As for `measure_residual`.

    Returns
    -------
    float
        Σ A·a / Σ A² over some patterns that are spread over the scan; 1 if nothing is predicted.
    """
    padded, shift = padded_object(scan, object_, object_corner_px, coverage)
    chosen = spread_indexes(scan.num_patterns, BATCH)
    measured = read_amplitudes_of(scan, chosen).astype(np.float64)
    corners_px = scan.corners_px[chosen] + shift
    predicted = np.sqrt(predict_counts(padded, probe.astype(np.complex128), corners_px))
    if scan.bad_pixels is not None:
        predicted[:, scan.bad_pixels] = 0
    power = float(np.vdot(predicted, predicted))
    return float(np.vdot(predicted, measured)) / power if power else 1.0


def padded_object(
    scan: Scan,
    object_: NDArray[np.complex64],
    object_corner_px: tuple[float, float],
    coverage: NDArray[np.int32] | None,
) -> tuple[NDArray[np.complex64], NDArray[np.float64]]:
    """Fill holes and pad the object so that every window lies inside.

    Also return the shift (y, x) from corners of the scan to pixels of the padded object.
    """
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
