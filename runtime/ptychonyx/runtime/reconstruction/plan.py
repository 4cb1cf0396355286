"""Decide everything that needs the whole scan before its first pattern is reconstructed."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..groups import find_groups
from ..probe import ChosenProbe, ProbeSource, choose_probe
from ..scaling import counts_per_pattern, scale_from_counts
from ..scan import Scan
from ..stitching.patches import Canvas, canvas_for, patch_weights
from .options import ReconstructionOptions

_logger = logging.getLogger(__name__)


class NetworkFacts(Protocol):
    """What must be known of a network; those of `Manifest`, whose words they are."""

    @property
    def name(self) -> str:
        """Name of the model."""

    @property
    def window_px(self) -> int:
        """Side N of the patterns."""

    @property
    def num_channels(self) -> int:
        """Patterns C of a group."""

    @property
    def max_distance_px(self) -> float:
        """Largest distance from a pattern to the other members of its group."""

    @property
    def patch_px(self) -> int:
        """Side M of the patches."""

    @property
    def trained_scale(self) -> float:
        """Input scale of the training data."""

    @property
    def probe(self) -> NDArray[np.complex64] | None:
        """Probe (modes, N, N) that it was trained with."""

    @property
    def replaces_probe(self) -> bool:
        """Whether that takes the place of a scan's own."""


@dataclass(frozen=True)
class Plan:
    """How a scan is reconstructed: numbers and arrays only, so that it can be sent to others.

    Attributes
    ----------
    options : ReconstructionOptions
        Its `batch_size` is a number.
    canvas : Canvas
        Where the object lies.
    counts_per_pattern : float
        Mean of the scan.
    scale : float
        Input scale.
    probe : ChosenProbe
    groups : int64 array, shape (n, C)
        The patterns of each group, see `groups.find_groups`.
    corners_px : float64 array, shape (n, 2)
        Top-left pixel (y, x) of the patch of each pattern in the scan's frame.
    patch_px : int
        M.
    """

    options: ReconstructionOptions
    canvas: Canvas
    counts_per_pattern: float
    scale: float
    probe: ChosenProbe
    groups: NDArray[np.int64]
    corners_px: NDArray[np.float64]
    patch_px: int

    @property
    def known_probe(self) -> NDArray[np.complex64] | None:
        """The probe, unless it is only an estimate."""
        return None if self.probe.source == "estimated" else self.probe.array

    @property
    def weighing_probe(self) -> NDArray[np.complex64] | None:
        """The probe that patches are weighed with, unless it is a Hann window."""
        return None if self.options.patch_weights == "hann" else self.known_probe

    def patch_weights(self) -> NDArray[np.float64]:
        """Return how much each pixel of a patch counts, shape (M, M)."""
        return patch_weights(self.weighing_probe, self.patch_px)

    def batches(self, part: slice = slice(None)) -> list[NDArray[np.int64]]:
        """Return the patterns of each group, batch by batch, of all groups or a part of them."""
        groups, size = self.groups[part], int(self.options.batch_size)
        return [groups[start : start + size] for start in range(0, len(groups), size)]


def plan_reconstruction(scan: Scan, manifest: NetworkFacts, options: ReconstructionOptions) -> Plan:
    """Decide how to reconstruct a scan; reads all of its patterns once.

    Parameters
    ----------
    scan : Scan
    manifest : NetworkFacts
        Manifest of the model.
    options : ReconstructionOptions
        Its `batch_size` is a number.

    Returns
    -------
    Plan

    Raises
    ------
    ValueError
        If the scan does not fit the model.
    ScanError
        If a pattern cannot be used; names it.
    """
    _check_fit(scan, manifest)
    counts = counts_per_pattern(scan)
    return Plan(
        options=options,
        canvas=canvas_for(scan),
        counts_per_pattern=counts,
        scale=_choose_scale(options.scale, scan, manifest, counts),
        probe=_choose_probe(scan, manifest, counts),
        groups=find_groups(
            scan.corners_px,
            manifest.num_channels,
            max_distance_px=manifest.max_distance_px,
            rng=np.random.default_rng(0),
        ),
        corners_px=_patch_corners_px(scan, manifest.patch_px, options.subpixel),
        patch_px=manifest.patch_px,
    )


def _check_fit(scan: Scan, manifest: NetworkFacts) -> None:
    if scan.window_px != manifest.window_px:
        raise ValueError(
            f"The patterns of {scan.name!r} are {scan.window_px}×{scan.window_px}, but the model "
            f"{manifest.name!r} takes {manifest.window_px}×{manifest.window_px}; use a model that "
            f"was trained for N = {scan.window_px}{_way_to(scan.window_px, manifest.window_px)}."
        )


def _way_to(side: int, wanted: int) -> str:
    """Return the options that make patterns as small as a model's."""
    ways = [f"`--crop {wanted}`"] if wanted < side else []
    if wanted < side and side % wanted == 0:
        ways.append(f"`--bin {side // wanted}`")
    return f", or {' or '.join(ways)}" if ways else ""


def _choose_scale(scale: float | str, scan: Scan, manifest: NetworkFacts, counts: float) -> float:
    if scale == "scan":
        return scale_from_counts(scan.window_px, counts)
    return manifest.trained_scale if scale == "trained" else float(scale)


def _choose_probe(scan: Scan, manifest: NetworkFacts, counts: float) -> ChosenProbe:
    chosen = choose_probe(scan, _candidates(scan, manifest), counts_per_pattern=counts)
    if scan.probe is None:
        is_model = chosen.source == "model"
        origin = f"that of the model {manifest.name}" if is_model else "an estimate"
        _logger.warning("%s has no probe; the product gets %s.", scan.name, origin)
    return chosen


def _candidates(
    scan: Scan, manifest: NetworkFacts
) -> Iterator[tuple[ProbeSource, NDArray[np.complex64] | None]]:
    if manifest.replaces_probe:
        yield "model", manifest.probe
    yield "file", scan.probe
    yield "model", manifest.probe


def _patch_corners_px(scan: Scan, patch_px: int, subpixel: str) -> NDArray[np.float64]:
    """Return the corner of each pattern's patch, which the exported graph cuts from the center."""
    margin_px = (scan.window_px - patch_px) // 2  # the graph, too, rounds down
    corners_px = scan.corners_px + margin_px
    return np.rint(corners_px) if subpixel == "nearest" else corners_px
