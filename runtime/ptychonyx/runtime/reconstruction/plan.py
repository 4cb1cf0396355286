"""What is decided from a whole scan before its first pattern is reconstructed."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..groups import find_groups
from ..model.manifest import Manifest
from ..scaling import counts_per_pattern, estimate_probe, probe_in_counts, scale_from_counts
from ..scan import Scan
from ..stitching.mosaic import StitchOptions
from ..stitching.patches import patch_weights

_logger = logging.getLogger(__name__)

DEFAULT_STITCHING = StitchOptions()


@dataclass(frozen=True)
class ChosenProbe:
    """The probe of a product, where it came from, and the ratio q it was found with."""

    array: NDArray[np.complex64]
    source: Literal["file", "model", "estimated"]
    counts_ratio: float


@dataclass(frozen=True)
class Plan:
    """How a scan is reconstructed: numbers and arrays only, so that it can be sent to others.

    Attributes
    ----------
    counts_per_pattern : float
        Of a pattern of the scan.
    scale : float
        Input scale.
    probe : ChosenProbe
    groups : int64 array, shape (n, C)
        The patterns of each group, see `groups.find_groups`.
    patch_px : int
        M.
    stitching : StitchOptions
    batch_size : int
        Groups of one prediction.
    residual_patterns : int
        Patterns on which the finished object is tested.
    """

    counts_per_pattern: float
    scale: float
    probe: ChosenProbe
    groups: NDArray[np.int64]
    patch_px: int
    stitching: StitchOptions
    batch_size: int
    residual_patterns: int

    @property
    def known_probe(self) -> NDArray[np.complex64] | None:
        """The probe, unless it is only an estimate."""
        return None if self.probe.source == "estimated" else self.probe.array

    @property
    def weighing_probe(self) -> NDArray[np.complex64] | None:
        """The probe that patches are weighed with, unless it is a Hann window."""
        return None if self.stitching.weights == "hann" else self.known_probe

    def weights(self) -> NDArray[np.float64]:
        """Return how much each pixel of a patch counts, shape (M, M)."""
        return patch_weights(self.weighing_probe, self.patch_px)

    def batches(self, part: slice = slice(None)) -> list[NDArray[np.int64]]:
        """Return the patterns of each group, batch by batch, of all groups or a part of them."""
        groups, size = self.groups[part], self.batch_size
        return [groups[start : start + size] for start in range(0, len(groups), size)]

    def patch_corners_px(self, scan: Scan) -> NDArray[np.float64]:
        """Return where the patch of each pattern goes, shape (n, 2)."""
        # the exported graph cuts the center, rounding down
        margin_px = (scan.window_px - self.patch_px) // 2
        corners_px = scan.corners_px + margin_px
        return np.rint(corners_px) if self.stitching.subpixel == "nearest" else corners_px


def plan_reconstruction(
    scan: Scan,
    manifest: Manifest,
    *,
    batch_size: int,
    scale: float | str | None,
    stitching: StitchOptions = DEFAULT_STITCHING,
    residual_patterns: int,
) -> Plan:
    """Decide how to reconstruct a scan; reads all of its patterns once.

    Arguments and errors are those of `reconstruct.reconstruct`.

    Returns
    -------
    Plan
    """
    check_choices(batch_size=batch_size, scale=scale, residual_patterns=residual_patterns)
    _check_fit(scan, manifest)
    counts = counts_per_pattern(scan)
    return Plan(
        counts_per_pattern=counts,
        scale=_choose_scale(scale, scan, manifest, counts),
        probe=_choose_probe(scan, manifest, counts),
        groups=find_groups(
            scan.corners_px,
            manifest.num_channels,
            max_distance_px=manifest.max_distance_px,
            rng=np.random.default_rng(0),
        ),
        patch_px=manifest.patch_px,
        stitching=stitching,
        batch_size=batch_size,
        residual_patterns=residual_patterns,
    )


def check_choices(*, batch_size: int, scale: float | str | None, residual_patterns: int) -> None:
    """Refuse what no scan can be reconstructed with.

    Raises
    ------
    ValueError
        If an argument is out of range.

    Examples
    --------
    >>> check_choices(batch_size=0, scale=None, residual_patterns=256)
    Traceback (most recent call last):
    ...
    ValueError: `batch_size` is 0; give 1 or more.
    """
    for name, value, least in (
        ("batch_size", batch_size, 1),
        ("residual_patterns", residual_patterns, 0),
    ):
        if value < least:
            raise ValueError(f"`{name}` is {value}; give {least} or more.")
    if scale is None or scale == "trained":
        return
    if isinstance(scale, str) or not 0 < scale < math.inf:
        raise ValueError(
            f'`scale` is {scale!r}; give a positive finite number, "trained", or nothing to '
            "compute it from the scan."
        )


def _check_fit(scan: Scan, manifest: Manifest) -> None:
    if scan.window_px != manifest.window_px:
        raise ValueError(
            f"The patterns of {scan.name!r} are {scan.window_px}×{scan.window_px}, but the model "
            f"{manifest.name!r} takes {manifest.window_px}×{manifest.window_px}; use a model that "
            f"was trained for N = {scan.window_px}, or crop or bin the patterns."
        )


def _choose_scale(
    scale: float | str | None, scan: Scan, manifest: Manifest, counts: float
) -> float:
    if scale is None:
        return scale_from_counts(scan.window_px, counts)
    return manifest.trained_scale if scale == "trained" else float(scale)


def _choose_probe(scan: Scan, manifest: Manifest, counts: float) -> ChosenProbe:
    source: Literal["file", "model", "estimated"]
    if manifest.probe is not None and manifest.replaces_probe:
        probe, source = manifest.probe, "model"
    elif scan.probe is not None:
        probe, source = scan.probe, "file"
    elif manifest.probe is not None:
        probe, source = manifest.probe, "model"
    else:
        probe, source = estimate_probe(scan), "estimated"
    if scan.probe is None:
        origin = f"that of the model {manifest.name}" if source == "model" else "an estimate"
        _logger.warning("%s has no probe; the product gets %s.", scan.name, origin)
    array, counts_ratio = probe_in_counts(probe, counts)
    return ChosenProbe(array, source, counts_ratio)
