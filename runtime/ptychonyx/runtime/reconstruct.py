"""Scan and model in, product out: read | infer | stitch, at the same time, in bounded memory."""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .groups import find_groups
from .manifest import Manifest
from .model import Model
from .product import Metadata, Product
from .residual import DEFAULT_NUM_PATTERNS, Residual, measure_residual
from .scaling import (
    estimate_probe,
    mean_counts,
    probe_in_counts,
    read_amplitudes_of,
    scale_from_counts,
)
from .scan import Scan
from .stitch import Canvas, Mosaic, Stitched, StitchOptions, canvas_for, patch_weights

_logger = logging.getLogger(__name__)

DEFAULT_STITCHING = StitchOptions()
PREFETCHED_BATCHES = 2
"""Read ahead; hides a slow disk without holding more than three batches in memory."""


@dataclass(frozen=True)
class _Probe:
    """The probe of a product, where it came from, and the ratio q it was found with."""

    array: NDArray[np.complex64]
    source: Literal["file", "model", "estimated"]
    counts_ratio: float


def reconstruct(
    scan: Scan,
    model: Model,
    *,
    batch_size: int = 64,
    scale: float | str | None = None,
    stitching: StitchOptions = DEFAULT_STITCHING,
    residual_patterns: int = DEFAULT_NUM_PATTERNS,
    progress: Callable[[int, int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Product:
    """Reconstruct the object of a scan.

    Parameters
    ----------
    scan : Scan
        Its patterns may stay on disk.
    model : Model
        One that takes the scan's N.
    batch_size : int
        Patterns, or groups of patterns, of one prediction. A group is a pattern and C − 1 of its
        neighbours; every pattern has one, and all C patches of each are stitched.
    scale : float or "trained", optional
        Input scale; by default computed from this scan, "trained" takes that of the training data.
    stitching : StitchOptions
        How patches become an object.
    residual_patterns : int
        Patterns, spread over the scan, on which the object is tested: how much of them its forward
        model leaves unexplained. 0 tests none; without a probe in scan or model, none can be.
    progress : callable, optional
        Called after each batch with the number of patterns done, and of all.
    should_stop : callable, optional
        Asked after each batch; if true, what was done so far is returned with `complete` false.

    Returns
    -------
    Product
        Pixels that no patch covers are 0, with coverage 0.

    Raises
    ------
    ValueError
        If the scan does not fit the model, or an argument is out of range.
    ScanError
        If a pattern cannot be used; names it.
    RuntimeError
        If onnxruntime fails.
    """
    *_, product = reconstruct_in_steps(
        scan,
        model,
        num_steps=1,
        batch_size=batch_size,
        scale=scale,
        stitching=stitching,
        residual_patterns=residual_patterns,
        progress=progress,
        should_stop=should_stop,
    )
    return product


def reconstruct_in_steps(
    scan: Scan,
    model: Model,
    *,
    num_steps: int = 5,
    batch_size: int = 64,
    scale: float | str | None = None,
    stitching: StitchOptions = DEFAULT_STITCHING,
    residual_patterns: int = DEFAULT_NUM_PATTERNS,
    progress: Callable[[int, int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Generator[Product, None, None]:
    """Reconstruct the object of a scan, and show it as it grows.

    Arguments and errors are those of `reconstruct`. Work is done between two products only; closing
    the generator ends it.

    Parameters
    ----------
    num_steps : int
        Products of one pass over the scan, at even distances; at most one a batch.

    Yields
    ------
    Product
        With `complete` false and without residuals, except for the last one of a whole scan.
    """
    started_s = perf_counter()
    _check_fit(scan, model.manifest)
    for name, value, least in (
        ("batch_size", batch_size, 1),
        ("num_steps", num_steps, 1),
        ("residual_patterns", residual_patterns, 0),
    ):
        if value < least:
            raise ValueError(f"`{name}` is {value}; give {least} or more.")
    counts = mean_counts(scan)
    job = _Job(
        scan=scan,
        model=model,
        mean_counts=counts,
        scale=_choose_scale(scale, scan, model.manifest, counts),
        probe=_choose_probe(scan, model.manifest, counts),
        stitching=stitching,
        batch_size=batch_size,
        residual_patterns=residual_patterns,
        started_s=started_s,
    )
    weights = patch_weights(job.weighing_probe, model.manifest.patch_px)
    batches, num_passes, infer_s = job.batches(), 2 if stitching.align_phase else 1, 0.0
    reference: NDArray[np.complex64] | None = None
    for passed in range(num_passes):
        mosaic = Mosaic(canvas_for(scan), weights, reference=reference)
        pipeline = _Pipeline(scan, model, mosaic, job.scale, batches, stitching.subpixel)
        report = None if progress is None else _part_of(progress, passed, num_passes)
        for num_used, is_stopped in pipeline.run(num_steps, report, should_stop):
            stitched = mosaic.finish()
            reference = stitched.object_
            is_complete = num_used == scan.num_patterns and passed == num_passes - 1
            yield job.product(
                stitched,
                mosaic.canvas,
                num_used=num_used,
                is_complete=is_complete,
                infer_s=infer_s + pipeline.infer_s,
            )
            if is_stopped:
                return
        infer_s += pipeline.infer_s


@dataclass(frozen=True)
class _Job:
    """What is decided before the first pattern is reconstructed, and what a product says of it."""

    scan: Scan
    model: Model
    mean_counts: float
    scale: float
    probe: _Probe
    stitching: StitchOptions
    batch_size: int
    residual_patterns: int
    started_s: float

    @property
    def known_probe(self) -> NDArray[np.complex64] | None:
        """The probe, unless it is only an estimate."""
        return None if self.probe.source == "estimated" else self.probe.array

    @property
    def weighing_probe(self) -> NDArray[np.complex64] | None:
        return None if self.stitching.weights == "hann" else self.known_probe

    def batches(self) -> list[NDArray[np.int64]]:
        """Return the patterns of each group, batch by batch."""
        manifest, size = self.model.manifest, self.batch_size
        groups = find_groups(
            self.scan.corners_px,
            manifest.num_channels,
            max_distance_px=manifest.max_distance_px,
            rng=np.random.default_rng(0),
        )
        return [groups[start : start + size] for start in range(0, len(groups), size)]

    def product(
        self,
        stitched: Stitched,
        canvas: Canvas,
        *,
        num_used: int,
        is_complete: bool,
        infer_s: float,
    ) -> Product:
        scan = self.scan
        # of a part of the scan it would say more about the missing patterns than about the object
        residual = self._residual(stitched, canvas) if is_complete else None
        return Product(
            object_=stitched.object_,
            object_corner_px=canvas.corner_px,
            corners_px=scan.corners_px,
            position_indexes=_position_indexes(scan),
            window_px=scan.window_px,
            probe=self.probe.array,
            coverage=stitched.coverage,
            disagreement=stitched.disagreement,
            pattern_residuals=None if residual is None else residual.per_pattern,
            pixel_size_m=scan.pixel_size_m,
            photon_energy_eV=scan.photon_energy_eV,
            detector_distance_m=scan.detector_distance_m,
            frame=scan.frame,
            name=scan.name,
            complete=is_complete,
            num_patterns_used=num_used,
            metadata=_describe(self.model, self.scale, self.probe)
            | _describe_residual(residual)
            | {
                "patch_weights": "hann" if self.weighing_probe is None else "probe",
                "subpixel": self.stitching.subpixel,
                "align_phase": self.stitching.align_phase,
                "batch_size": self.batch_size,
                "infer_s": infer_s,
                "total_s": perf_counter() - self.started_s,
            },
        )

    def _residual(self, stitched: Stitched, canvas: Canvas) -> Residual | None:
        if self.residual_patterns == 0 or self.known_probe is None:
            return None
        return measure_residual(
            self.scan,
            stitched.object_,
            object_corner_px=canvas.corner_px,
            probe=self.known_probe,
            mean_counts=self.mean_counts,
            coverage=stitched.coverage,
            num_patterns=self.residual_patterns,
        )


def _part_of(
    progress: Callable[[int, int], None], passed: int, num_passes: int
) -> Callable[[int, int], None]:
    """Return a progress that counts patterns once, however many passes there are."""
    return lambda done, num: progress((passed * num + done) // num_passes, num)


class _Pipeline:
    """Read the next batches and stitch the last one while the model computes."""

    def __init__(
        self,
        scan: Scan,
        model: Model,
        mosaic: Mosaic,
        scale: float,
        batches: list[NDArray[np.int64]],
        subpixel: str,
    ) -> None:
        self._scan, self._model, self._mosaic, self._scale = scan, model, mosaic, scale
        self._batches = batches
        # the exported graph cuts the centre, rounding down
        corners_px = scan.corners_px + (scan.window_px - model.manifest.patch_px) // 2
        self._corners_px = np.rint(corners_px) if subpixel == "nearest" else corners_px
        self.infer_s = 0.0

    def run(
        self,
        num_steps: int,
        progress: Callable[[int, int], None] | None,
        should_stop: Callable[[], bool] | None,
    ) -> Iterator[tuple[int, bool]]:
        """Go through the scan; `num_steps` times, yield once everything so far is stitched.

        Leaving by an error or Ctrl-C, or being closed, waits for what is being read and stitched,
        no more.

        Yields
        ------
        (int, bool)
            The number of patterns used, and whether the work was stopped after them.
        """
        num_used, num_batches = 0, len(self._batches)
        stitching: Future[None] | None = None
        ends_step = {-(-num_batches * step // num_steps) for step in range(1, num_steps + 1)}
        with ThreadPoolExecutor(1, "read") as reader, ThreadPoolExecutor(1, "stitch") as stitcher:
            ahead = deque(reader.submit(self._read, b) for b in self._batches[:PREFETCHED_BATCHES])
            following = iter(self._batches[PREFETCHED_BATCHES:])
            for number, groups in enumerate(self._batches, 1):
                amplitude = ahead.popleft().result()
                for batch in following:
                    ahead.append(reader.submit(self._read, batch))
                    break
                patches = self._infer(amplitude)
                if stitching is not None:
                    stitching.result()  # never more than one batch behind
                stitching = stitcher.submit(self._stitch, patches, groups)
                num_used += len(groups)
                if progress is not None:
                    progress(num_used, self._scan.num_patterns)
                is_stopped = should_stop is not None and should_stop()
                if is_stopped or number in ends_step:
                    stitching.result()
                    yield num_used, is_stopped
                if is_stopped:
                    break

    def _read(self, groups: NDArray[np.int64]) -> NDArray[np.float32]:
        return read_amplitudes_of(self._scan, groups)

    def _infer(self, amplitude: NDArray[np.float32]) -> NDArray[np.complex64]:
        started = perf_counter()
        patches = self._model.predict(amplitude, self._scale)
        self.infer_s += perf_counter() - started
        return patches

    def _stitch(self, patches: NDArray[np.complex64], groups: NDArray[np.int64]) -> None:
        corners_px = self._corners_px[groups.ravel()]
        self._mosaic.add(patches.reshape(-1, *patches.shape[2:]), corners_px)


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
    if scale == "trained":
        return manifest.trained_scale
    if isinstance(scale, str) or not 0 < scale < math.inf:
        raise ValueError(
            f'`scale` is {scale!r}; give a positive finite number, "trained", or nothing to '
            "compute it from the scan."
        )
    return float(scale)


def _choose_probe(scan: Scan, manifest: Manifest, counts: float) -> _Probe:
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
    return _Probe(array, source, counts_ratio)


def _position_indexes(scan: Scan) -> NDArray[np.int64]:
    if scan.position_indexes is not None:
        return scan.position_indexes
    return np.arange(scan.num_patterns, dtype=np.int64)


def _describe(model: Model, scale: float, probe: _Probe) -> Metadata:
    return {
        "model_digest": model.digest,
        "model_name": model.manifest.name,
        "backend": model.manifest.backend,
        "providers": ", ".join(model.providers),
        "input_scale": scale,
        "probe_source": probe.source,
        "probe_counts_ratio": probe.counts_ratio,
    }


def _describe_residual(residual: Residual | None) -> Metadata:
    if residual is None:
        return {}
    return {"residual": residual.total, "residual_patterns": residual.num_patterns}
