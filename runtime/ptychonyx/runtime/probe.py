"""Which probe a scan is trained or reconstructed with, in which unit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .scaling import estimate_probe, probe_in_counts
from .scan import Scan

ProbeSource = Literal["given", "file", "start", "model", "estimated"]


@dataclass(frozen=True)
class ChosenProbe:
    """The probe of a scan, and where it came from.

    Attributes
    ----------
    array : complex64 array, shape (modes, N, N)
        The probe in sqrt(counts).
    source : "given", "file", "start", "model" or "estimated"
        From another file, the scan's own, that of the product passes start from, the model's, or a
        guess from the mean pattern.
    counts_ratio : float
        q, the power of the probe as found over the mean counts of a pattern.
    """

    array: NDArray[np.complex64]
    source: ProbeSource
    counts_ratio: float


def choose_probe(
    scan: Scan,
    candidates: Iterable[tuple[ProbeSource, NDArray[np.complex64] | None]],
    *,
    counts_per_pattern: float,
    keep_scale: bool = True,
) -> ChosenProbe:
    """Take the first probe that there is, or estimate one, and bring it to sqrt(counts).

    Parameters
    ----------
    scan : Scan
    candidates : iterable of (source, complex64 array of shape (modes, N, N) or None)
        By preference, the best first.
    counts_per_pattern : float
        Mean of the scan, as `scaling.counts_per_pattern` gives it.
    keep_scale : bool
        Whether a power above the counts, within bounds, is taken as measured; else it is fitted to
        the counts. See `scaling.probe_in_counts`.

    Returns
    -------
    ChosenProbe

    Examples
    --------
    >>> scan = Scan(np.full((3, 8, 8), 4), "counts", np.zeros((3, 2)))
    >>> choose_probe(scan, [("file", scan.probe)], counts_per_pattern=256.0).source
    'estimated'
    """
    for source, probe in candidates:
        if probe is not None:
            return _in_counts(probe, source, counts_per_pattern, keep_scale)
    return _in_counts(estimate_probe(scan), "estimated", counts_per_pattern, keep_scale)


def _in_counts(
    probe: NDArray[np.complex64], source: ProbeSource, counts_per_pattern: float, keep_scale: bool
) -> ChosenProbe:
    array, counts_ratio = probe_in_counts(probe, counts_per_pattern, keep_scale=keep_scale)
    return ChosenProbe(array, source, counts_ratio)
