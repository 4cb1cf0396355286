"""Samples of one or several scans: NumPy only, the same arrays and batches for both backends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ptychonyx.runtime.groups import find_groups
from ptychonyx.runtime.probe import ChosenProbe

from ..physics.losses import Batch
from ..physics.merging import shift_kernels
from .stored import StoredAmplitudes, StoredTruth


@dataclass(frozen=True)
class ScanConstants:
    """The constants of each scan; a batch may mix scans, and takes those of each sample's scan.

    Attributes
    ----------
    scale : float32 array, shape (S,)
        Input scale of each scan.
    probe : complex64 array, shape (S, modes, N, N)
        Probe in sqrt(counts); scans with fewer modes are filled up with empty modes.
    good_pixels : float32 array, shape (S, N, N)
        1 where a detector pixel counts, 0 where it is bad.
    counts_per_good_pixel : float32 array, shape (S,)
        Mean counts of a good pixel over the training patterns.
    illumination : float32 array, shape (S, N, N)
        How much each pixel of a patch counts, `merging.illumination_of` the probe.
    """

    scale: NDArray[np.float32]
    probe: NDArray[np.complex64]
    good_pixels: NDArray[np.float32]
    counts_per_good_pixel: NDArray[np.float32]
    illumination: NDArray[np.float32]

    def probe_unit(self) -> NDArray[np.float64]:
        """Return the root mean square of each scan's first mode, shape (S, 1, 1, 1).

        Trainable probes are numbers of this unit, so that one learning rate fits them too.
        """
        power = np.mean(np.abs(self.probe[:, 0].astype(np.complex128)) ** 2, axis=(1, 2))
        return np.asarray(np.sqrt(power)[:, None, None, None])


@dataclass(frozen=True)
class Samples:
    """All patterns of one or several scans.

    Attributes
    ----------
    amplitude : float32 array, shape (n, N, N), or StoredAmplitudes
        Square root of the counts, bad pixels 0, not scaled; of a large set, read when indexed.
    scan : int64 array, shape (n,)
        Which scan each pattern belongs to.
    corners_px : float64 array, shape (n, 2)
        Top-left pixel (y, x) of each pattern's window, in its scan's frame.
    truth : complex64 array, shape (n, N, N), or StoredTruth, or None
        The scan's own object in each window, where the loss asks for it.
    training, validation : int64 array
        Pattern indexes; a pattern is in exactly one of them. Groups never mix the two.
    group_size : int
        G, the patterns of a group.
    max_distance_px : float
        Largest distance from a pattern to the other members of its group.
    constants : ScanConstants
    probes : sequence of ChosenProbe
        One for each scan.
    """

    amplitude: NDArray[np.float32] | StoredAmplitudes
    scan: NDArray[np.int64]
    corners_px: NDArray[np.float64]
    truth: NDArray[np.complex64] | StoredTruth | None
    training: NDArray[np.int64]
    validation: NDArray[np.int64]
    group_size: int
    max_distance_px: float
    constants: ScanConstants
    probes: tuple[ChosenProbe, ...]

    @property
    def window_px(self) -> int:
        """Side N of the patterns."""
        return int(self.amplitude.shape[-1])

    def training_batches(
        self, *, batch_size: int, seed: int, epoch: int
    ) -> Iterator[NDArray[np.int64]]:
        """Yield the groups (B, G) of each batch of an epoch; every training pattern has one.

        Order and groups depend on nothing but seed and epoch, so both backends see the same batches
        and a resumed run sees what an uninterrupted one would have seen.
        """
        rng = np.random.default_rng([seed, epoch])
        order = rng.permutation(len(self.training))
        return _batches(self.find_groups(self.training, rng)[order], batch_size)

    def validation_batches(self, *, batch_size: int) -> Iterator[NDArray[np.int64]]:
        """Yield the groups (B, G) of each validation batch, the same every time."""
        return _batches(self.find_groups(self.validation, np.random.default_rng(0)), batch_size)

    def batch(self, groups: NDArray[np.int64]) -> Batch:
        """Return the arrays of some groups (B, G)."""
        num, is_single = len(groups), groups.shape[1] == 1
        kernels = np.zeros((num, 0)) if is_single else self._kernels(groups)
        no_truth = np.zeros((num, 0), dtype=np.complex64)
        return Batch(
            amplitude=self.amplitude[groups],
            scan=self.scan[groups[:, 0]],
            kernels=kernels.astype(np.float32),
            truth=no_truth if self.truth is None else self.truth[groups],
        )

    def _kernels(self, groups: NDArray[np.int64]) -> NDArray[np.float64]:
        return shift_kernels(self.corners_px[groups], self.window_px)

    def find_groups(
        self, patterns: NDArray[np.int64], rng: np.random.Generator
    ) -> NDArray[np.int64]:
        """Return a group (n, G) for each of some patterns, scan by scan.

        Raises
        ------
        ScanError
            If a scan has too few of these patterns for a group, or too sparse ones.
        """
        found = [np.zeros((0, self.group_size), dtype=np.int64)]
        for scan in np.unique(self.scan[patterns]):
            members = patterns[self.scan[patterns] == scan]
            groups = find_groups(
                self.corners_px[members],
                self.group_size,
                max_distance_px=self.max_distance_px,
                rng=rng,
            )
            found.append(members[groups])
        return np.concatenate(found)


def _batches(groups: NDArray[np.int64], batch_size: int) -> Iterator[NDArray[np.int64]]:
    return (groups[start : start + batch_size] for start in range(0, len(groups), batch_size))
