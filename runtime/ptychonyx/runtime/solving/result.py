"""The product of passes over a scan."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..product import Metadata, Product
from ..residual import measure_residual
from ..scan import Scan, turned_metadata
from ..stitching.patches import Canvas, canvas_for
from .disturbances.evidence import describe_fit, needs_of
from .disturbances.taken_over import describe_taken
from .left_out import LARGEST_UNEXPLAINED, unexplained_of_left_out
from .options import Noise, SolvingOptions
from .physics.disturbances import Disturbances
from .physics.placement import Placement, common_slices
from .physics.sweep import Problem, State
from .positions.outcome import describe_moves, moved_scan
from .setup import Setting

LIT_SHARE = 0.01
"""A pattern lights a pixel where its beam has at least this share of its largest intensity."""


@dataclass(frozen=True)
class Ending:
    """What the passes came to.

    Attributes
    ----------
    state : State
    residuals : tuple of float
        Residual of each pass.
    reason : str
        Why there were no more.
    use_of_network : str or None
        Whether a network corrected the object, and why; None if there was none.
    network_name : str or None
        Name of the network that did; None if none did.
    noise : "amplitude", "unbiased" or "poisson"
        How the passes counted differences.
    is_complete : bool
        False if the passes were interrupted.
    """

    state: State
    residuals: tuple[float, ...]
    reason: str
    use_of_network: str | None
    network_name: str | None
    noise: Noise
    is_complete: bool


def make_product(
    scan: Scan, options: SolvingOptions, setting: Setting, ending: Ending, started_s: float
) -> Product:
    """Put together what is known of a solved object; of a complete one, measure its residual."""
    as_given = Problem(setting.measured, setting.placement, ending.noise)
    problem = as_given.at(ending.state)
    placement, modes = problem.placement, ending.state.beam.modes
    moved = moved_scan(scan, placement, is_moved=setting.is_moved or ending.state.moves is not None)
    canvas = canvas_for(moved)
    lit = ending.state.beam.intensity >= LIT_SHARE * ending.state.beam.intensity.max()
    coverage = placement.overlaid(lit.astype(np.int32))
    object_ = np.where(coverage > 0, ending.state.object_, np.complex64(0))
    object_, coverage = (_on_canvas(image, placement, canvas) for image in (object_, coverage))
    fitted = problem.measured.disturbances or Disturbances()
    background = None if fitted.background is None else np.fft.fftshift(fitted.background)
    residual = None
    if options.residual_patterns and ending.is_complete:
        residual = measure_residual(
            moved,
            object_,
            object_corner_px=canvas.corner_px,
            probe=modes,
            counts_per_pattern=float(setting.measured.counts.mean()),
            coverage=coverage,
            num_patterns=options.residual_patterns,
            pattern_factors=fitted.factors,
            background=background,
        )
    needed: Metadata = {}
    if residual is not None:
        share = setting.background_share
        needed = {"background_needed": round(share, 6)} if share else {}
        needed |= needs_of(
            as_given,
            ending.state,
            residual,
            setting.passer.pool,
            fitter=setting.passer.fitter,
        )
    left_out = None
    if residual is not None and setting.passer.refine_probe:
        left_out = unexplained_of_left_out(
            problem.measured, placement, modes, setting.passer, noise=options.noise
        )
    indexes = scan.position_indexes
    return Product(
        object_=object_,
        object_corner_px=canvas.corner_px,
        corners_px=moved.corners_px,
        given_corners_px=None if moved is scan else scan.corners_px,
        position_indexes=np.arange(scan.num_patterns) if indexes is None else indexes,
        window_px=scan.window_px,
        probe=modes,
        coverage=coverage,
        pattern_residuals=None if residual is None else residual.per_pattern,
        pattern_factors=fitted.factors,
        background=background,
        pass_residuals=np.array(ending.residuals),
        pixel_size_m=scan.pixel_size_m,
        photon_energy_eV=scan.photon_energy_eV,
        detector_distance_m=scan.detector_distance_m,
        frame=scan.frame,
        name=scan.name,
        complete=ending.is_complete,
        num_patterns_used=scan.num_patterns,
        metadata=_describe(options, setting, ending)
        | turned_metadata(scan)
        | ({} if residual is None else residual.metadata)
        | _describe_left_out(left_out)
        | describe_fit(fitted, float(setting.measured.counts.mean()))
        | describe_taken(setting.measured.disturbances)
        | needed
        | ({} if moved is scan else describe_moves(scan, moved, setting.passer.mover))
        | {"total_s": perf_counter() - started_s},
    )


def _on_canvas(image: NDArray[Any], placement: Placement, canvas: Canvas) -> NDArray[Any]:
    """Return the part of an image that lies on a canvas; beyond the image there is 0."""
    whole = np.zeros(canvas.shape, image.dtype)
    there, here = common_slices(canvas.corner_px, canvas.shape, placement.corner_px, image.shape)
    whole[there] = image[here]
    return whole


def _describe(options: SolvingOptions, setting: Setting, ending: Ending) -> Metadata:
    facts = {"use_of_network": ending.use_of_network, "network_name": ending.network_name}
    used: Metadata = {name: fact for name, fact in facts.items() if fact is not None}
    return used | {
        "method": "passes",
        "start": setting.start,
        "start_factor": setting.factor,
        "passes": len(ending.residuals),
        "stopped": ending.reason,
        "noise": ending.noise,
        "probe_source": setting.probe.source,
        "probe_counts_ratio": setting.probe.counts_ratio,
        "probe_refined": setting.passer.refine_probe,
        "probe_modes": len(setting.probe.array),
        **_describe_providers(setting),
    }


def _describe_providers(setting: Setting) -> Metadata:
    """Return what computed the passes, where it was not NumPy and SciPy."""
    comparer = setting.passer.comparer
    providers = () if comparer is None else comparer.providers
    return {"pass_providers": ", ".join(providers)} if providers else {}


def _describe_left_out(share: float | None) -> Metadata:
    """Return the share, and a verdict only where it is a bad one."""
    if share is None:
        return {}
    known: Metadata = {"left_out_unexplained": share}
    return known if share <= LARGEST_UNEXPLAINED else known | {"believable": False}
