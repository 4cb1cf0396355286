"""Scan in, product out, by physics: no model is needed."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ScanError
from ..model.cores import num_cores
from ..probe import ChosenProbe, ProbeSource, choose_probe
from ..product import Metadata, Product
from ..residual import Residual, measure_residual
from ..scan import Scan
from ..stitching.patches import Canvas, canvas_for
from .exit_waves import make_beam
from .measured import Measured, read_measured
from .options import AUTO, DEFAULT_SOLVING, MAX_PASSES, SolvingOptions
from .passes import Passer
from .placement import Placement, place_windows
from .probe_modes import center_of, with_more_modes, with_power
from .start import fitting_factor, object_of_product, vacuum
from .stopping import TRIAL_PATTERNS, best_number, hold_back, middle_of
from .sweep import Problem, State, start_state

LIT_SHARE = 0.01
"""A pattern lights a pixel where its beam has at least this share of its largest intensity."""

Progress = Callable[[int, int, float], None]
"""Takes the number of passes done, how many there may be, and the residual of the last one."""


@dataclass(frozen=True)
class _Setting:
    """Everything that is decided before the first pass."""

    measured: Measured
    placement: Placement
    probe: ChosenProbe
    object_: NDArray[np.complex64]
    start: str


@dataclass(frozen=True)
class _Ending:
    """What the passes came to."""

    state: State
    residuals: tuple[float, ...]
    reason: str
    is_complete: bool


def solve(
    scan: Scan,
    options: SolvingOptions = DEFAULT_SOLVING,
    *,
    start: Product | None = None,
    probe: NDArray[np.complex64] | None = None,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Product:
    """Solve a scan for its object by passes over its patterns.

    Parameters
    ----------
    scan : Scan
        Its patterns may stay on disk.
    options : SolvingOptions
    start : Product, optional
        A result to start from, such as that of a network; by default the passes start from vacuum.
    probe : complex64 array, shape (modes, N, N), optional
        Used instead of that of the scan.
    progress : callable, optional
        Called after each pass.
    should_stop : callable, optional
        Asked after each batch of patterns; if true, what was found so far is returned, with
        `complete` false.

    Returns
    -------
    Product
        With `pass_residuals`; pixels that no beam has lit are 0, with coverage 0.

    Raises
    ------
    ValueError
        If probe or start do not fit the scan.
    ScanError
        If a pattern cannot be used.

    Examples
    --------
    >>> from ptychonyx.runtime import SimulationOptions, simulate_scan
    >>> scan = simulate_scan(SimulationOptions(num_patterns=49, window_px=32), np.random.default_rng(0))
    >>> product = solve(scan, SolvingOptions(passes=3))
    >>> product.pass_residuals.shape, product.metadata["stopped"]
    ((3,), 'the passes asked for are done')
    """
    started_s = perf_counter()
    _check(scan, options, start, probe)
    with ThreadPoolExecutor(num_cores(), "solve") as pool:
        setting = _set_up(scan, options, start, probe)
        ending = _run(setting, options, pool, started_s, progress, should_stop or _never)
    return _make_product(scan, options, setting, ending, started_s)


def _never() -> bool:
    return False


def _check(
    scan: Scan,
    options: SolvingOptions,
    start: Product | None,
    probe: NDArray[np.complex64] | None,
) -> None:
    side = scan.window_px
    if probe is not None and (probe.ndim != 3 or probe.shape[1:] != (side, side)):
        raise ValueError(
            f"The given probe has shape {probe.shape}, but the patterns of {scan.name!r} are "
            f"{side}×{side}; give a probe (modes, {side}, {side}) of the same pixel size."
        )
    if start is not None and start.window_px != side:
        raise ValueError(
            f"The product to start from was made of {start.window_px}×{start.window_px} patterns, "
            f"but those of {scan.name!r} are {side}×{side}; its pixels have another size: start "
            "from a product of this scan, or from none."
        )
    if options.refine_probe and scan.num_patterns == 1:
        raise ScanError(
            "A probe cannot be refined with a single pattern: object and probe cannot be told apart "
            "there. Give more positions, or leave the probe as it is."
        )


def _set_up(
    scan: Scan,
    options: SolvingOptions,
    start: Product | None,
    given: NDArray[np.complex64] | None,
) -> _Setting:
    measured = read_measured(scan, np.arange(scan.num_patterns))
    placement = place_windows(scan.corners_px, scan.window_px)
    candidates: list[tuple[ProbeSource, NDArray[np.complex64] | None]] = [
        ("given", given),
        ("file", scan.probe),
        ("start", None if start is None else start.probe),
    ]
    chosen = choose_probe(
        scan,
        candidates,
        counts_per_pattern=float(measured.counts.mean()),
        keep_scale=options.keep_probe_scale,
    )
    power = float(np.square(np.abs(chosen.array)).sum())
    if options.num_modes is not None:
        modes = with_power(with_more_modes(chosen.array, options.num_modes), power)
        chosen = replace(chosen, array=modes)
    ratio = power / float(measured.counts.mean())
    if start is None:
        return _Setting(measured, placement, chosen, vacuum(placement, ratio), "vacuum")
    object_ = object_of_product(start, placement, ratio)
    object_ *= np.float32(fitting_factor(measured, placement, object_, chosen.array))
    return _Setting(measured, placement, chosen, object_, start.name)


def _run(
    setting: _Setting,
    options: SolvingOptions,
    pool: ThreadPoolExecutor,
    started_s: float,
    progress: Progress | None,
    should_stop: Callable[[], bool],
) -> _Ending:
    beam = make_beam(setting.probe.array)
    passer = Passer(
        pool,
        options.refine_probe,
        options.seed,
        float(beam.intensity.sum()),
        center_of(beam.intensity),
    )
    problem = Problem(setting.measured, setting.placement, options.noise)
    state = start_state(setting.object_, setting.probe.array)
    most, why = _most_passes(problem, state, passer, options, progress, should_stop)
    residuals: list[float] = []
    last_s = 0.0
    while len(residuals) < most:
        if options.budget_s is not None:
            spent_s = perf_counter() - started_s
            if residuals and spent_s + last_s > options.budget_s:
                why = f"the budget of {options.budget_s:g} s is spent"
                break
        pass_started_s = perf_counter()
        state = passer.step(problem, state, should_stop)
        last_s = perf_counter() - pass_started_s
        residuals.append(state.residual)
        if progress is not None:
            progress(len(residuals), most, state.residual)
        if should_stop():
            return _Ending(state, tuple(residuals), "it was interrupted", is_complete=False)
    return _Ending(state, tuple(residuals), why, is_complete=True)


def _most_passes(
    problem: Problem,
    state: State,
    passer: Passer,
    options: SolvingOptions,
    progress: Progress | None,
    should_stop: Callable[[], bool],
) -> tuple[int, str]:
    """Return how many passes to make, and why so many."""
    if options.passes != AUTO:
        return int(options.passes), "the passes asked for are done"
    if options.budget_s is not None:
        return 10**6, ""
    measured, placement = problem.measured, problem.placement
    trial = problem
    if len(measured.indexes) > min(TRIAL_PATTERNS, len(measured.kept)):
        chosen = middle_of(placement, min(TRIAL_PATTERNS, len(measured.kept)))
        corners_px = measured.scan.corners_px[chosen]
        part = place_windows(corners_px, placement.window_px)
        trial = replace(problem, measured=read_measured(measured.scan, chosen), placement=part)
        offset = np.array(part.corner_px) - np.array(placement.corner_px)
        (top, left), (height, width) = offset, part.shape
        cut = state.object_[top : top + height, left : left + width].copy()
        state = replace(state, object_=cut, last_change=np.zeros_like(cut))

    def report(number: int, residual: float) -> None:
        if progress is not None:
            progress(0, number, residual)

    number = best_number(
        hold_back(trial, np.random.default_rng(options.seed)),
        state,
        lambda problem, state: passer.step(problem, state, should_stop),
        max_passes=MAX_PASSES,
        progress=report,
        should_stop=should_stop,
    )
    return number, f"after {number} passes, counts that were held back are explained best"


def _make_product(
    scan: Scan, options: SolvingOptions, setting: _Setting, ending: _Ending, started_s: float
) -> Product:
    canvas, placement, modes = canvas_for(scan), setting.placement, ending.state.beam.modes
    lit = ending.state.beam.intensity >= LIT_SHARE * ending.state.beam.intensity.max()
    coverage = np.zeros(placement.shape, np.int32)
    placement.add(coverage, lit[None], np.arange(scan.num_patterns))
    object_ = np.where(coverage > 0, ending.state.object_, np.complex64(0))
    object_, coverage = (_on_canvas(image, placement, canvas) for image in (object_, coverage))
    residual = None
    if options.residual_patterns and ending.is_complete:
        residual = measure_residual(
            scan,
            object_,
            object_corner_px=canvas.corner_px,
            probe=modes,
            counts_per_pattern=float(setting.measured.counts.mean()),
            coverage=coverage,
            num_patterns=options.residual_patterns,
        )
    indexes = scan.position_indexes
    return Product(
        object_=object_,
        object_corner_px=canvas.corner_px,
        corners_px=scan.corners_px,
        position_indexes=np.arange(scan.num_patterns) if indexes is None else indexes,
        window_px=scan.window_px,
        probe=modes,
        coverage=coverage,
        pattern_residuals=None if residual is None else residual.per_pattern,
        pass_residuals=np.array(ending.residuals),
        pixel_size_m=scan.pixel_size_m,
        photon_energy_eV=scan.photon_energy_eV,
        detector_distance_m=scan.detector_distance_m,
        frame=scan.frame,
        name=scan.name,
        complete=ending.is_complete,
        num_patterns_used=scan.num_patterns,
        metadata=_describe(options, setting, ending)
        | _describe_residual(residual)
        | {"total_s": perf_counter() - started_s},
    )


def _on_canvas(image: NDArray[Any], placement: Placement, canvas: Canvas) -> NDArray[Any]:
    """Return the part of an image that lies on a canvas; beyond the image there is 0."""
    whole = np.zeros(canvas.shape, image.dtype)
    offset = np.array(placement.corner_px) - np.array(canvas.corner_px)
    low = np.maximum(offset, 0)
    high = np.minimum(offset + image.shape, canvas.shape)
    if (high > low).all():
        (top, left), (bottom, right) = low, high
        (y, x), (y1, x1) = low - offset, high - offset
        whole[top:bottom, left:right] = image[y:y1, x:x1]
    return whole


def _describe(options: SolvingOptions, setting: _Setting, ending: _Ending) -> Metadata:
    return {
        "method": "passes",
        "start": setting.start,
        "passes": len(ending.residuals),
        "stopped": ending.reason,
        "noise": options.noise,
        "probe_source": setting.probe.source,
        "probe_counts_ratio": setting.probe.counts_ratio,
        "probe_refined": options.refine_probe,
        "probe_modes": len(setting.probe.array),
    }


def _describe_residual(residual: Residual | None) -> Metadata:
    if residual is None:
        return {}
    return {"residual": residual.total, "residual_patterns": residual.num_patterns}
