"""Scan and model in, product out."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from ..model.session import Model
from ..product import NETWORK, Metadata, Product
from ..residual import Residual, fitting_factor, measure_residual
from ..scaling import COUNTS_AGREE, PROBE_RATIO_RANGE
from ..scan import Scan, turned_metadata
from ..stitching.mosaic import Mosaic, Stitched
from .options import DEFAULT_OPTIONS, ReconstructionOptions
from .pipeline import Pipeline
from .plan import Plan, plan_reconstruction


@dataclass(frozen=True)
class Outcome:
    """The outcome of a pass over a scan, or over a part of it.

    Attributes
    ----------
    stitched : Stitched
    num_used : int
        Patterns it was made of.
    is_complete : bool
        Whether they are all, and the pass was the last.
    infer_s, total_s : float
        Seconds of the predictions, and of everything until now.
    """

    stitched: Stitched
    num_used: int
    is_complete: bool
    infer_s: float
    total_s: float


def reconstruct(
    scan: Scan,
    model: Model,
    options: ReconstructionOptions = DEFAULT_OPTIONS,
    *,
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
    options : ReconstructionOptions
        Its provider is not looked at: the model runs already.
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
        If the scan does not fit the model.
    ScanError
        If a pattern cannot be used; names it.
    RuntimeError
        If onnxruntime fails.
    """
    steps = reconstruct_in_steps(
        scan, model, options, num_steps=1, progress=progress, should_stop=should_stop
    )
    *_, product = steps
    return product


def reconstruct_in_steps(
    scan: Scan,
    model: Model,
    options: ReconstructionOptions = DEFAULT_OPTIONS,
    *,
    num_steps: int = 5,
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
        What is known so far: `complete` is false and residuals are missing, but in the last one.
    """
    started_s = perf_counter()
    if num_steps < 1:
        raise ValueError(f"`num_steps` is {num_steps}; give 1 or more.")
    plan = plan_reconstruction(scan, model.manifest, options.tuned(model.digest))
    infer_s = 0.0
    reference: NDArray[np.complex64] | None = None
    for passed in range(options.num_passes):
        mosaic = Mosaic(plan.canvas, plan.patch_weights(), reference=reference)
        pipeline = Pipeline(scan, model, plan, mosaic)
        report = None if progress is None else _part_of(progress, passed, options.num_passes)
        for num_used, is_stopped in pipeline.run(num_steps, report, should_stop):
            stitched = mosaic.finish()
            reference = stitched.object_
            is_last = passed == options.num_passes - 1
            outcome = Outcome(
                stitched,
                num_used=num_used,
                is_complete=is_last and num_used == scan.num_patterns,
                infer_s=infer_s + pipeline.infer_s,
                total_s=perf_counter() - started_s,
            )
            yield make_product(scan, model, plan, outcome)
            if is_stopped:
                return
        infer_s += pipeline.infer_s


def make_product(scan: Scan, model: Model, plan: Plan, outcome: Outcome) -> Product:
    """Put together what is known of an object; of a complete one, measure its residual.

    Returns
    -------
    Product
    """
    started_s = perf_counter()
    stitched, factor = with_absorption(scan, plan, outcome.stitched)
    # of a part of the scan it would say more about the missing patterns than about the object
    residual = _residual(scan, plan, stitched) if outcome.is_complete else None
    return Product(
        object_=stitched.object_,
        object_corner_px=plan.canvas.corner_px,
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
        complete=outcome.is_complete,
        num_patterns_used=outcome.num_used,
        metadata=_describe(model, plan)
        | {"object_factor": factor}
        | turned_metadata(scan)
        | ({} if residual is None else residual.metadata)
        | {
            "infer_s": outcome.infer_s,
            "total_s": outcome.total_s + perf_counter() - started_s,
        },
    )


def with_absorption(scan: Scan, plan: Plan, stitched: Stitched) -> tuple[Stitched, float]:
    """Scale an object so that it lets through what was counted, and return the factor.

    Where the probe's power and the counts agree nothing has to be decided, and the factor is 1; so it
    is where its unit is another, and it was scaled to the counts.
    """
    ratio = plan.probe.counts_ratio
    agrees = COUNTS_AGREE[0] <= ratio <= COUNTS_AGREE[1]
    is_in_counts = PROBE_RATIO_RANGE[0] <= ratio <= PROBE_RATIO_RANGE[1]
    if plan.known_probe is None or agrees or not is_in_counts:
        return stitched, 1.0
    factor = fitting_factor(
        scan,
        stitched.object_,
        object_corner_px=plan.canvas.corner_px,
        probe=plan.known_probe,
        coverage=stitched.coverage,
    )
    scaled = replace(
        stitched,
        object_=stitched.object_ * np.float32(factor),
        disagreement=stitched.disagreement * np.float32(factor**2),
    )
    return scaled, factor


def _residual(scan: Scan, plan: Plan, stitched: Stitched) -> Residual | None:
    if plan.options.residual_patterns == 0 or plan.known_probe is None:
        return None
    return measure_residual(
        scan,
        stitched.object_,
        object_corner_px=plan.canvas.corner_px,
        probe=plan.known_probe,
        counts_per_pattern=plan.counts_per_pattern,
        coverage=stitched.coverage,
        num_patterns=plan.options.residual_patterns,
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
        "method": NETWORK,
        "model_digest": model.digest,
        "model_name": model.manifest.name,
        "backend": model.manifest.backend,
        "providers": ", ".join(model.providers),
        "input_scale": plan.scale,
        "probe_source": plan.probe.source,
        "probe_counts_ratio": plan.probe.counts_ratio,
        "patch_weights": "hann" if plan.weighing_probe is None else "probe",
        "subpixel": plan.options.subpixel,
        "align_phase": plan.options.align_phase,
        "batch_size": plan.options.batch_size,
    }
