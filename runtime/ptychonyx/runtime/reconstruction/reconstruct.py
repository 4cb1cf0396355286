"""Scan and model in, product out."""

from __future__ import annotations

from collections.abc import Callable, Generator
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from ..model.session import Model
from ..product import Metadata, Product
from ..scan import Scan
from ..stitching.mosaic import Mosaic, Stitched, StitchOptions
from ..stitching.patches import Canvas, canvas_for
from .pipeline import Pipeline
from .plan import DEFAULT_STITCHING, Plan, plan_reconstruction
from .residual import DEFAULT_NUM_PATTERNS, Residual, measure_residual


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
        One that takes the scan's N. Its `predictions_at_once` are used; two are fastest on the CPU.
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

    Arguments and errors are those of `reconstruct`. While a product is out, no more is computed than
    the few batches that are under way; closing the generator ends it.

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
    if num_steps < 1:
        raise ValueError(f"`num_steps` is {num_steps}; give 1 or more.")
    plan = plan_reconstruction(
        scan,
        model.manifest,
        batch_size=batch_size,
        scale=scale,
        stitching=stitching,
        residual_patterns=residual_patterns,
    )
    num_passes, infer_s = 2 if stitching.align_phase else 1, 0.0
    reference: NDArray[np.complex64] | None = None
    for passed in range(num_passes):
        mosaic = Mosaic(canvas_for(scan), plan.weights(), reference=reference)
        pipeline = pipeline_for(scan, model, plan, mosaic)
        report = None if progress is None else _part_of(progress, passed, num_passes)
        for num_used, is_stopped in pipeline.run(num_steps, report, should_stop):
            stitched = mosaic.finish()
            reference = stitched.object_
            yield make_product(
                scan,
                model,
                plan,
                stitched,
                mosaic.canvas,
                num_used=num_used,
                is_complete=num_used == scan.num_patterns and passed == num_passes - 1,
                infer_s=infer_s + pipeline.infer_s,
                total_s=perf_counter() - started_s,
            )
            if is_stopped:
                return
        infer_s += pipeline.infer_s


def pipeline_for(
    scan: Scan, model: Model, plan: Plan, mosaic: Mosaic, *, part: slice = slice(None)
) -> Pipeline:
    """Return a pass over the scan, or over a part of its groups, into a mosaic."""
    return Pipeline(
        scan,
        model,
        mosaic,
        scale=plan.scale,
        batches=plan.batches(part),
        corners_px=plan.patch_corners_px(scan),
    )


def make_product(
    scan: Scan,
    model: Model,
    plan: Plan,
    stitched: Stitched,
    canvas: Canvas,
    *,
    num_used: int,
    is_complete: bool,
    infer_s: float,
    total_s: float,
) -> Product:
    """Put together what is known of an object; of a complete one, measure its residual.

    Parameters
    ----------
    scan : Scan
    model : Model
    plan : Plan
        With which the object was made.
    stitched : Stitched
    canvas : Canvas
        Where it lies.
    num_used : int
        Patterns it was made of.
    is_complete : bool
        Whether they are all.
    infer_s, total_s : float
        What the predictions took, and everything until now; the residual is added.

    Returns
    -------
    Product
    """
    started_s = perf_counter()
    # of a part of the scan it would say more about the missing patterns than about the object
    residual = _residual(scan, plan, stitched, canvas) if is_complete else None
    return Product(
        object_=stitched.object_,
        object_corner_px=canvas.corner_px,
        corners_px=scan.corners_px,
        position_indexes=_position_indexes(scan),
        window_px=scan.window_px,
        probe=plan.probe.array,
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
        metadata=_describe(model, plan)
        | _describe_residual(residual)
        | {
            "patch_weights": "hann" if plan.weighing_probe is None else "probe",
            "subpixel": plan.stitching.subpixel,
            "align_phase": plan.stitching.align_phase,
            "batch_size": plan.batch_size,
            "infer_s": infer_s,
            "total_s": total_s + perf_counter() - started_s,
        },
    )


def _residual(scan: Scan, plan: Plan, stitched: Stitched, canvas: Canvas) -> Residual | None:
    if plan.residual_patterns == 0 or plan.known_probe is None:
        return None
    return measure_residual(
        scan,
        stitched.object_,
        object_corner_px=canvas.corner_px,
        probe=plan.known_probe,
        counts_per_pattern=plan.counts_per_pattern,
        coverage=stitched.coverage,
        num_patterns=plan.residual_patterns,
    )


def _part_of(
    progress: Callable[[int, int], None], passed: int, num_passes: int
) -> Callable[[int, int], None]:
    """Return a progress that counts patterns once, however many passes there are."""
    return lambda done, num: progress((passed * num + done) // num_passes, num)


def _position_indexes(scan: Scan) -> NDArray[np.int64]:
    if scan.position_indexes is not None:
        return scan.position_indexes
    return np.arange(scan.num_patterns, dtype=np.int64)


def _describe(model: Model, plan: Plan) -> Metadata:
    return {
        "model_digest": model.digest,
        "model_name": model.manifest.name,
        "backend": model.manifest.backend,
        "providers": ", ".join(model.providers),
        "input_scale": plan.scale,
        "probe_source": plan.probe.source,
        "probe_counts_ratio": plan.probe.counts_ratio,
    }


def _describe_residual(residual: Residual | None) -> Metadata:
    if residual is None:
        return {}
    return {"residual": residual.total, "residual_patterns": residual.num_patterns}
