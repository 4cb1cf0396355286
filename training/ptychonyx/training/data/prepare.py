"""Scans made ready for training: checked, read through once, split, and kept if they are small."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ptychonyx.runtime.errors import ScanError
from ptychonyx.runtime.groups import default_max_distance_px
from ptychonyx.runtime.probe import ChosenProbe, choose_probe
from ptychonyx.runtime.scaling import (
    read_amplitudes,
    read_counts,
    scale_from_counts,
)
from ptychonyx.runtime.scan import Scan

from ..network.architecture import check_window
from ..physics.merging import illumination_of
from .samples import Samples, ScanConstants
from .stored import StoredAmplitudes, StoredTruth

READ_BYTES = 2**26
"""Read at once, while a scan is surveyed."""
IN_MEMORY_BYTES = 2**28
"""Training sets up to this size are kept in memory; larger ones stay in their files."""
CUT_BATCH = 512


def prepare_samples(
    scans: Sequence[Scan],
    *,
    validation_fraction: float,
    probe: NDArray[np.complex64] | None = None,
    group_size: int = 1,
    max_distance_px: float | None = None,
    with_truth: bool = False,
    in_memory_bytes: int = IN_MEMORY_BYTES,
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
        Largest distance from a pattern to the other members of its group; N/4 by default.
    with_truth : bool
        Whether to cut the scans' own objects, for a supervised loss.
    in_memory_bytes : int
        Larger sets stay in their files, and are read batch by batch.

    Raises
    ------
    ValueError
        For scans of different windows, a window the network cannot take, a probe of another
        size, a scan with fewer than two patterns, or whose patterns are all zero, or too sparse for
        its groups, or without the object that `with_truth` needs.
    """
    _check_scans(scans, probe, validation_fraction)
    window_px = scans[0].window_px
    ends = np.cumsum([scan.num_patterns for scan in scans])
    starts = np.array([0, *ends[:-1]])
    splits = [split(scan.corners_px, validation_fraction) for scan in scans]
    training, validation = (
        np.concatenate([start + ids for start, ids in zip(starts, part, strict=True)])
        for part in zip(*splits, strict=True)
    )
    is_kept = _num_bytes(scans, with_truth=with_truth) <= in_memory_bytes
    amplitude, counts = _survey(scans, is_kept=is_kept)
    probes = tuple(
        choose_probe(
            scan,
            [("given", probe), ("file", scan.probe)],
            counts_per_pattern=float(np.mean(each)),
        )
        for scan, each in zip(scans, counts, strict=True)
    )
    samples = Samples(
        amplitude=StoredAmplitudes(scans, starts) if amplitude is None else amplitude,
        scan=np.repeat(np.arange(len(scans)), ends - starts),
        corners_px=np.concatenate([scan.corners_px for scan in scans]),
        truth=_cut_truth(scans, starts, is_kept=is_kept) if with_truth else None,
        training=training,
        validation=validation,
        group_size=group_size,
        max_distance_px=max_distance_px or default_max_distance_px(window_px),
        constants=_constants(scans, probes, counts, [ids for ids, _ in splits]),
        probes=probes,
    )
    _check_density(samples)
    return samples


def split(
    corners_px: NDArray[np.float64], validation_fraction: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split a scan in space: the end of its longer side validates, the rest trains.

    Patterns are never drawn at random: a validated pattern would overlap with trained ones.

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
    """Refuse scans that are too sparse, or whose parts are too small for groups."""
    for name, part in (("training", samples.training), ("validation", samples.validation)):
        try:
            samples.find_groups(part, np.random.default_rng(0))
        except ScanError as error:
            hint = "; `validation_fraction` decides about the two parts"
            raise ScanError(f"In the {name} part{hint}: {error}") from None


def _num_bytes(scans: Sequence[Scan], *, with_truth: bool) -> int:
    """Return the size of the training arrays: float32 amplitudes, and complex64 truth if wanted."""
    num_pixels = sum(scan.num_patterns for scan in scans) * scans[0].window_px ** 2
    return num_pixels * (4 + 8 * with_truth)


def _survey(
    scans: Sequence[Scan], *, is_kept: bool
) -> tuple[NDArray[np.float32] | None, list[NDArray[np.float64]]]:
    """Read all patterns once: return their amplitudes, if wanted, and each scan's total counts."""
    side, num = scans[0].window_px, sum(scan.num_patterns for scan in scans)
    kept = np.empty((num, side, side), dtype=np.float32) if is_kept else None
    totals: list[NDArray[np.float64]] = []
    at_once, done = max(1, READ_BYTES // (4 * side**2)), 0
    for scan in scans:
        found = np.zeros(scan.num_patterns)
        for start in range(0, scan.num_patterns, at_once):
            stop = min(start + at_once, scan.num_patterns)
            amplitude, found[start:stop] = _read(scan, start, stop)
            if kept is not None:
                kept[done : done + len(amplitude)] = amplitude
            done += len(amplitude)
        if not found.any():
            raise ScanError(
                f"All patterns of {scan.source or scan.name} are zero; check which dataset of the "
                "file holds the patterns, and the bad pixels."
            )
        totals.append(found)
    return kept, totals


def _read(scan: Scan, start: int, stop: int) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return amplitudes (n, N, N) and total counts (n,), which no root has rounded."""
    if scan.quantity == "amplitude":
        amplitude = read_amplitudes(scan, start, stop)
        return amplitude, np.square(amplitude).sum(axis=(1, 2), dtype=np.float64)
    counts = read_counts(scan, start, stop)
    total = counts.sum(axis=(1, 2), dtype=np.float64)
    return np.sqrt(counts, out=counts), total


def _constants(
    scans: Sequence[Scan],
    probes: Sequence[ChosenProbe],
    counts: Sequence[NDArray[np.float64]],
    training: Sequence[NDArray[np.int64]],
) -> ScanConstants:
    """Return the constants of scans, by the total counts of their patterns."""
    good = np.stack([_good_pixels(scan) for scan in scans])
    scale = [scale_from_counts(scans[0].window_px, float(np.mean(each))) for each in counts]
    counts_per_good_pixel = [
        float(np.mean(each[ids])) / int(mask.sum())
        for each, ids, mask in zip(counts, training, good, strict=True)
    ]
    illumination = np.stack([illumination_of(choice.array) for choice in probes])
    return ScanConstants(
        scale=np.array(scale, dtype=np.float32),
        probe=_stack_probes([choice.array for choice in probes]),
        good_pixels=good.astype(np.float32),
        counts_per_good_pixel=np.array(counts_per_good_pixel, dtype=np.float32),
        illumination=illumination.astype(np.float32),
    )


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


def _cut_truth(
    scans: Sequence[Scan], starts: NDArray[np.int64], *, is_kept: bool
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
    if is_kept:
        return truth[indexes]
    for start in range(0, len(indexes), CUT_BATCH):
        truth[indexes[start : start + CUT_BATCH]]  # a window that leaves the object is refused now
    return truth
