"""Scan and model in, product out: read | infer | stitch, at the same time, in bounded memory."""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Callable
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
from .stitch import Mosaic, canvas_for, patch_weights

_logger = logging.getLogger(__name__)

PREFETCHED_BATCHES = 2
"""Read ahead; hides a slow disk without holding more than three batches in memory."""


@dataclass(frozen=True)
class _Probe:
    """The probe of a product, where it came from, and the ratio q it was found with."""

    array: NDArray[np.complex64]
    source: Literal["trained", "file", "model", "estimated"]
    counts_ratio: float


def reconstruct(
    scan: Scan,
    model: Model,
    *,
    batch_size: int = 64,
    scale: float | str | None = None,
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
        neighbours; every pattern leads one, and all C patches of each are stitched.
    scale : float or "trained", optional
        Input scale; by default computed from this scan, "trained" takes that of the training data.
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
    started = perf_counter()
    _check_fit(scan, model.manifest)
    if batch_size < 1:
        raise ValueError(f"`batch_size` is {batch_size}; give 1 or more.")
    if residual_patterns < 0:
        raise ValueError(f"`residual_patterns` is {residual_patterns}; give 0 or more.")
    counts = mean_counts(scan)
    used_scale = _choose_scale(scale, scan, model.manifest, counts)
    probe = _choose_probe(scan, model.manifest, counts)
    known_probe = None if probe.source == "estimated" else probe.array
    mosaic = Mosaic(canvas_for(scan), patch_weights(known_probe, model.manifest.patch_px))
    groups = find_groups(
        scan.corners_px,
        model.manifest.num_channels,
        max_distance_px=model.manifest.max_distance_px,
        rng=np.random.default_rng(0),
    )
    batches = [groups[start : start + batch_size] for start in range(0, len(groups), batch_size)]
    pipeline = _Pipeline(scan, model, mosaic, used_scale, batches)
    num_used = pipeline.run(progress, should_stop)
    stitched = mosaic.finish()
    residual = None
    if residual_patterns and known_probe is not None:
        residual = measure_residual(
            scan,
            stitched.object_,
            object_corner_px=mosaic.canvas.corner_px,
            probe=known_probe,
            mean_counts=counts,
            coverage=stitched.coverage,
            num_patterns=residual_patterns,
        )
    return Product(
        object_=stitched.object_,
        object_corner_px=mosaic.canvas.corner_px,
        corners_px=scan.corners_px,
        position_indexes=_position_indexes(scan),
        window_px=scan.window_px,
        probe=probe.array,
        coverage=stitched.coverage,
        disagreement=stitched.disagreement,
        pattern_residuals=None if residual is None else residual.per_pattern,
        pixel_size_m=scan.pixel_size_m,
        photon_energy_eV=scan.photon_energy_eV,
        detector_distance_m=scan.detector_distance_m,
        frame=scan.frame,
        name=scan.name,
        complete=num_used == scan.num_patterns,
        num_patterns_used=num_used,
        metadata=_describe(model, used_scale, probe)
        | _describe_residual(residual)
        | {
            "batch_size": batch_size,
            "infer_s": pipeline.infer_s,
            "total_s": perf_counter() - started,
        },
    )


class _Pipeline:
    """Read the next batches and stitch the last one while the model computes."""

    def __init__(
        self,
        scan: Scan,
        model: Model,
        mosaic: Mosaic,
        scale: float,
        batches: list[NDArray[np.int64]],
    ) -> None:
        self._scan, self._model, self._mosaic, self._scale = scan, model, mosaic, scale
        self._batches = batches
        # the exported graph cuts the centre, rounding down
        self._offset_px = (scan.window_px - model.manifest.patch_px) // 2
        self.infer_s = 0.0

    def run(
        self, progress: Callable[[int, int], None] | None, should_stop: Callable[[], bool] | None
    ) -> int:
        """Go through the scan; return the number of patterns used.

        Leaving by an error or Ctrl-C waits for what is being read and stitched, no more.
        """
        num_used = 0
        stitching: Future[None] | None = None
        with ThreadPoolExecutor(1, "read") as reader, ThreadPoolExecutor(1, "stitch") as stitcher:
            ahead = deque(reader.submit(self._read, b) for b in self._batches[:PREFETCHED_BATCHES])
            following = iter(self._batches[PREFETCHED_BATCHES:])
            for groups in self._batches:
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
                if should_stop is not None and should_stop():
                    break
            if stitching is not None:
                stitching.result()
        return num_used

    def _read(self, groups: NDArray[np.int64]) -> NDArray[np.float32]:
        return read_amplitudes_of(self._scan, groups)

    def _infer(self, amplitude: NDArray[np.float32]) -> NDArray[np.complex64]:
        started = perf_counter()
        patches = self._model.predict(amplitude, self._scale)
        self.infer_s += perf_counter() - started
        return patches

    def _stitch(self, patches: NDArray[np.complex64], groups: NDArray[np.int64]) -> None:
        corners_px = self._scan.corners_px[groups.ravel()] + self._offset_px
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
    source: Literal["trained", "file", "model", "estimated"]
    if manifest.probe is not None and manifest.has_trained_probe:
        probe, source = manifest.probe, "trained"
    elif scan.probe is not None:
        probe, source = scan.probe, "file"
    elif manifest.probe is not None:
        probe, source = manifest.probe, "model"
    else:
        probe, source = estimate_probe(scan), "estimated"
    if source in ("model", "estimated"):
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
