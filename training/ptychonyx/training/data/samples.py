"""Scans made ready for training: NumPy only, the same arrays and batches for both backends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ptychonyx.runtime.errors import ScanError
from ptychonyx.runtime.groups import default_max_distance_px, find_groups
from ptychonyx.runtime.scaling import (
    counts_per_pattern,
    estimate_probe,
    probe_in_counts,
    read_amplitudes,
    scale_from_counts,
)
from ptychonyx.runtime.scan import Scan

from ..network.architecture import check_window
from ..physics import illumination, shift_kernels
from .stored import StoredAmplitudes, StoredTruth

READ_BYTES = 2**26
"""Read at once, while a scan is surveyed."""
IN_MEMORY_BYTES = 2**28
"""Training sets up to this size are kept in memory; larger ones stay in their files."""
CUT_BATCH = 512


@dataclass(frozen=True)
class ScanConstants:
    """What training must know of each scan; a batch may mix scans and picks by sample.

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
    weights : float32 array, shape (S, N, N)
        How much each pixel of a patch counts, `physics.illumination` of the probe.
    """

    scale: NDArray[np.float32]
    probe: NDArray[np.complex64]
    good_pixels: NDArray[np.float32]
    counts_per_good_pixel: NDArray[np.float32]
    weights: NDArray[np.float32]

    def probe_unit(self) -> NDArray[np.float64]:
        """Return the root mean square of each scan's first mode, shape (S, 1, 1, 1).

        Trainable probes are numbers of this unit, so that one learning rate fits them too.
        """
        power = np.mean(np.abs(self.probe[:, 0].astype(np.complex128)) ** 2, axis=(1, 2))
        return np.asarray(np.sqrt(power)[:, None, None, None])


@dataclass(frozen=True)
class ProbeChoice:
    """The probe one scan is trained with, and where it came from.

    Attributes
    ----------
    source : "file", "given" or "estimated"
        The scan's own, one from another file, or a guess from the mean pattern.
    counts_ratio : float
        q, power of the probe as found over the mean counts of a pattern.
    """

    probe: NDArray[np.complex64]
    source: str
    counts_ratio: float


class Batch(NamedTuple):
    """The arrays of B groups of G patterns: NumPy's, or the tensors that a backend makes of them.

    Attributes
    ----------
    amplitude : float32 array, shape (B, G, N, N)
        Square root of the counts, bad pixels 0, not scaled.
    scan : int64 array, shape (B,)
        Which scan each group belongs to.
    kernels : float32 array, shape (B, G, G, 2, 2N − 1)
        `physics.shift_kernels` of the group; with G = 1, where nothing is merged, (B, 0).
    truth : complex64 array, shape (B, G, N, N)
        The scan's own object in each window; (B, 0) unless the loss asks for it.
    """

    amplitude: Any
    scan: Any
    kernels: Any
    truth: Any


class Part(NamedTuple):
    """What one of several devices takes of a batch.

    Attributes
    ----------
    groups : int64 array, shape (b, G)
        Never empty: who is left without any of a small batch takes its first, with a share of 0.
    share : float
        Which share of the batch's groups these are; shares of a batch sum to 1.
    num : int
        Groups of the whole batch.
    """

    groups: NDArray[np.int64]
    share: float
    num: int


def part_of(groups: NDArray[np.int64], index: int, num_parts: int) -> Part:
    """Return the part of a batch that one of several devices takes.

    The mean over the batch is the sum over its parts of share · mean over the part.

    Examples
    --------
    >>> part_of(np.arange(5)[:, None], 1, 2)
    Part(groups=array([[3],
           [4]]), share=0.4, num=5)
    >>> part_of(np.arange(1)[:, None], 1, 2).share
    0.0
    """
    own = np.array_split(groups, num_parts)[index]
    return Part(own if len(own) else groups[:1], len(own) / len(groups), len(groups))


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
        Of each pattern's window, in its scan's frame.
    truth : complex64 array, shape (n, N, N), or StoredTruth, or None
        The scan's own object in each window, where the loss asks for it.
    training, validation : int64 array
        Pattern indexes; a pattern is in exactly one of them. Groups never mix the two.
    group_size : int
        G.
    max_distance_px : float
        Largest distance of the others from the pattern whose group it is.
    constants : ScanConstants
    probes : sequence of ProbeChoice
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
    probes: tuple[ProbeChoice, ...]

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
        return _batches(self._groups(self.training, rng)[order], batch_size)

    def validation_batches(self, *, batch_size: int) -> Iterator[NDArray[np.int64]]:
        """Yield the groups (B, G) of each validation batch, the same every time."""
        return _batches(self._groups(self.validation, np.random.default_rng(0)), batch_size)

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

    def _groups(self, patterns: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
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


def prepare_samples(
    scans: Sequence[Scan],
    *,
    validation_fraction: float,
    probe: NDArray[np.complex64] | None = None,
    group_size: int = 1,
    max_distance_px: float | None = None,
    with_truth: bool = False,
) -> Samples:
    """Read scans through, and keep them in memory as training arrays if they are small enough.

    Parameters
    ----------
    scans : sequence of Scan
        At least one; all with the same window N.
    validation_fraction : float
        Share of each scan's patterns that only validates.
    probe : complex64 array, shape (modes, N, N), optional
        Takes the place of the scans' own probes.
    group_size : int
        G, the patterns of a group.
    max_distance_px : float, optional
        Largest distance of the others from the pattern whose group it is; N/4 by default.
    with_truth : bool
        Whether to cut the scans' own objects, for a supervised loss.

    Raises
    ------
    ValueError
        For scans of different windows, a window the network cannot take, a probe of another
        size, a scan with fewer than two patterns, or too sparse for its groups, or without the
        object that `with_truth` needs.
    """
    _check_scans(scans, probe, validation_fraction)
    splits = [split(scan.corners_px, validation_fraction) for scan in scans]
    ends = np.cumsum([scan.num_patterns for scan in scans])
    starts = np.array([0, *ends[:-1]])
    kept, energies = _survey(scans, _is_small(scans, with_truth=with_truth))
    counts = [counts_per_pattern(scan) for scan in scans]
    choices = tuple(
        _choose_probe(scan, probe, mean) for scan, mean in zip(scans, counts, strict=True)
    )
    good = np.stack([_good_pixels(scan) for scan in scans])
    samples = Samples(
        amplitude=StoredAmplitudes(scans, starts) if kept is None else kept,
        scan=np.repeat(np.arange(len(scans)), ends - starts),
        corners_px=np.concatenate([scan.corners_px for scan in scans]),
        truth=_cut_truth(scans, starts, is_small=kept is not None) if with_truth else None,
        training=np.concatenate(
            [start + ids for start, (ids, _) in zip(starts, splits, strict=True)]
        ),
        validation=np.concatenate(
            [start + ids for start, (_, ids) in zip(starts, splits, strict=True)]
        ),
        group_size=group_size,
        max_distance_px=max_distance_px or default_max_distance_px(scans[0].window_px),
        constants=ScanConstants(
            scale=np.array(
                [scale_from_counts(scans[0].window_px, mean) for mean in counts], dtype=np.float32
            ),
            probe=_stack_probes([choice.probe for choice in choices]),
            good_pixels=good.astype(np.float32),
            counts_per_good_pixel=np.array(
                [
                    _mean_count(energy[ids], mask)
                    for energy, (ids, _), mask in zip(energies, splits, good, strict=True)
                ],
                dtype=np.float32,
            ),
            weights=np.stack([illumination(choice.probe) for choice in choices]).astype(np.float32),
        ),
        probes=choices,
    )
    _check_density(samples)
    return samples


def split(
    corners_px: NDArray[np.float64], validation_fraction: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split a scan in space: the end of its longer side validates, the rest trains.

    Never random patterns: overlapping neighbours would leak what validation must not know.

    Returns
    -------
    (training, validation) : int64 arrays
        Sorted indexes; neither is empty, unless the fraction is 0.

    Examples
    --------
    >>> corners_px = np.array([[0, 0], [0, 5], [0, 10], [0, 15.0]])
    >>> split(corners_px, 0.25)
    (array([0, 1, 2]), array([3]))
    """
    axis = int(np.argmax(np.ptp(corners_px, axis=0)))
    order = np.argsort(corners_px[:, axis], kind="stable")
    if validation_fraction == 0:
        return np.sort(order), order[:0]
    num_validation = min(max(1, round(len(order) * validation_fraction)), len(order) - 1)
    return np.sort(order[:-num_validation]), np.sort(order[-num_validation:])


def _check_scans(
    scans: Sequence[Scan], probe: NDArray[np.complex64] | None, validation_fraction: float
) -> None:
    if not scans:
        raise ValueError("No scan was given; training needs at least one.")
    window_px = scans[0].window_px
    check_window(window_px)
    for scan in scans:
        if scan.window_px != window_px:
            raise ValueError(
                f"Scan {scan.source or scan.name} has {scan.window_px}×{scan.window_px} patterns, the "
                f"first scan {window_px}×{window_px}; one model takes one window: crop or pad."
            )
        if scan.num_patterns < 2 and validation_fraction > 0:
            raise ValueError(
                f"Scan {scan.source or scan.name} has one pattern; training needs at least two, "
                "one of them to validate; or set `validation_fraction` to 0."
            )
    if probe is not None and probe.shape[1:] != (window_px, window_px):
        raise ValueError(
            f"The given probe has shape {probe.shape}, but the patterns are {window_px}×{window_px}; "
            "give a probe reconstructed with the same window."
        )


def _check_density(samples: Samples) -> None:
    """Refuse scans that are too sparse, or parts of them that are too small, before training."""
    for name, part in (("training", samples.training), ("validation", samples.validation)):
        try:
            samples._groups(part, np.random.default_rng(0))
        except ScanError as error:
            hint = "; `validation_fraction` decides about the two parts"
            raise ScanError(f"In the {name} part{hint}: {error}") from None


def _is_small(scans: Sequence[Scan], *, with_truth: bool) -> bool:
    num_pixels = sum(scan.num_patterns for scan in scans) * scans[0].window_px ** 2
    return num_pixels * (4 + 8 * with_truth) <= IN_MEMORY_BYTES


def _survey(
    scans: Sequence[Scan], is_kept: bool
) -> tuple[NDArray[np.float32] | None, list[NDArray[np.float64]]]:
    """Read all patterns once: return their amplitudes, if wanted, and the counts of each."""
    side, num = scans[0].window_px, sum(scan.num_patterns for scan in scans)
    kept = np.empty((num, side, side), dtype=np.float32) if is_kept else None
    energies: list[NDArray[np.float64]] = []
    at_once, done = max(1, READ_BYTES // (4 * side**2)), 0
    for scan in scans:
        energy: list[float] = []
        for start in range(0, scan.num_patterns, at_once):
            part = read_amplitudes(scan, start, min(start + at_once, scan.num_patterns))
            energy += [float(np.sum(one.astype(np.float64) ** 2)) for one in part]
            if kept is not None:
                kept[done : done + len(part)] = part
            done += len(part)
        energies.append(np.array(energy))
    return kept, energies


def _choose_probe(scan: Scan, given: NDArray[np.complex64] | None, mean: float) -> ProbeChoice:
    if given is not None:
        source, probe = "given", given
    elif scan.probe is not None:
        source, probe = "file", scan.probe
    else:
        source, probe = "estimated", estimate_probe(scan)
    scaled, counts_ratio = probe_in_counts(probe, mean)
    return ProbeChoice(scaled, source, counts_ratio)


def _stack_probes(probes: Sequence[NDArray[np.complex64]]) -> NDArray[np.complex64]:
    num_modes = max(len(probe) for probe in probes)
    stacked = np.zeros((len(probes), num_modes, *probes[0].shape[1:]), dtype=np.complex64)
    for row, probe in zip(stacked, probes, strict=True):
        row[: len(probe)] = probe
    return stacked


def _good_pixels(scan: Scan) -> NDArray[np.bool_]:
    if scan.bad_pixels is None:
        return np.ones((scan.window_px, scan.window_px), dtype=np.bool_)
    return ~scan.bad_pixels


def _mean_count(energy: NDArray[np.float64], good_pixels: NDArray[np.bool_]) -> float:
    return float(sum(energy.tolist())) / (len(energy) * int(good_pixels.sum()))


def _cut_truth(
    scans: Sequence[Scan], starts: NDArray[np.int64], *, is_small: bool
) -> NDArray[np.complex64] | StoredTruth:
    objects = []
    for scan in scans:
        if scan.object_ is None:
            raise ValueError(
                f"Scan {scan.source or scan.name} has no object, which a supervised loss needs as "
                "its truth; use another `loss`, or a file that holds an object."
            )
        objects.append(scan.object_.astype(np.complex128))
    in_object = [scan.corners_px - np.array(scan.object_corner_px) for scan in scans]
    truth = StoredTruth(objects, np.concatenate(in_object), starts, scans[0].window_px)
    indexes = np.arange(len(truth.corners_px))
    if is_small:
        return truth[indexes]
    for start in range(0, len(indexes), CUT_BATCH):
        truth[indexes[start : start + CUT_BATCH]]  # refuse now, not in mid-epoch, what does not fit
    return truth


def _batches(groups: NDArray[np.int64], batch_size: int) -> Iterator[NDArray[np.int64]]:
    return (groups[start : start + batch_size] for start in range(0, len(groups), batch_size))
