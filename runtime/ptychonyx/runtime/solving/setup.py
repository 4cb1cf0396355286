"""Everything that is decided before the first pass over a scan."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..errors import OverlapError
from ..probe import ChosenProbe, ProbeSource, choose_probe
from ..product import Product
from ..scan import Scan
from .disturbances.fitter import Fitter
from .disturbances.taken_over import disturbances_to_start_from, is_of_scan
from .options import AUTO, SolvingOptions
from .passes import Passer
from .physics.comparing import Comparer
from .physics.exit_waves import make_beam
from .physics.measured import Measured, read_measured
from .physics.placement import Placement, beams_per_pixel, place_windows
from .positions.bounds import largest_move_px
from .positions.mover import Mover
from .probe.freedom import center_of, with_more_modes, with_power
from .probe.guess import guess_probe
from .probe.modes import find_modes
from .start import fitting_factor, object_of_product, vacuum

SMALLEST_OVERLAP = 1.1
"""Of beams per pixel: 1 if no two overlap."""


@dataclass(frozen=True)
class Setting:
    """What the passes of a scan begin with.

    Attributes
    ----------
    measured : Measured
    placement : Placement
    probe : ChosenProbe
    object_ : complex64 array, shape (H, W)
        On the canvas of the placement.
    passer : Passer
    start : str
        What the object is: "vacuum", or the name of a product.
    factor : float
        What the object of that product was multiplied by to fit the patterns.
    is_moved : bool
        Whether the positions are those of that product, which has refined them.
    background_share : float
        Share of the counts that a background has which explains patterns better than one more mode of
        the probe; 0 if none was found, or one is fitted.
    """

    measured: Measured
    placement: Placement
    probe: ChosenProbe
    object_: NDArray[np.complex64]
    passer: Passer
    start: str
    factor: float
    is_moved: bool = False
    background_share: float = 0.0


def set_up(
    scan: Scan,
    options: SolvingOptions,
    pool: ThreadPoolExecutor,
    *,
    start: Product | None,
    probe: NDArray[np.complex64] | None,
    comparer: Comparer | None = None,
) -> Setting:
    """Read a scan and decide its probe, its modes and the object to start from.

    Parameters and errors are those of `solve.solve`; `comparer` compares the patterns.
    """
    measured = replace(
        read_measured(scan, np.arange(scan.num_patterns)),
        disturbances=disturbances_to_start_from(scan, start),
    )
    mover, corners_px = _mover(scan, options), corners_to_start_from(scan, start)
    placement = place_windows(
        corners_px,
        scan.window_px,
        margin_px=0 if mover is None else mover.largest_px,
    )
    chosen = _choose_probe(
        scan, measured, placement, options, pool, comparer, start=start, given=probe
    )
    refines = options.num_modes == AUTO or options.refine_probe or chosen.source == "estimated"
    # how wide a beam is that is yet to be refined cannot be told, only that it is within its window
    _check_overlap(placement, np.ones_like(chosen.array) if refines else chosen.array)
    passer = _passer(chosen.array, pool, refines, options.seed)
    passer = replace(passer, comparer=comparer, mover=mover, fitter=_fitter(options))
    background_share = 0.0
    if options.num_modes == AUTO or (options.num_modes is None and chosen.source == "estimated"):
        found = find_modes(
            measured,
            placement,
            chosen.array,
            replace(passer, refine_probe=True),
            noise=options.noise,
        )
        chosen = replace(chosen, array=found.probe)
        background_share = 0.0 if options.refine_background else found.background_share
    elif options.num_modes is not None:
        modes = with_power(with_more_modes(chosen.array, int(options.num_modes)), passer.power)
        chosen = replace(chosen, array=modes)
    object_ = vacuum(placement, passer.power / float(measured.counts.mean()))
    if start is None:
        vacuum_setting = Setting(measured, placement, chosen, object_, passer, "vacuum", 1.0)
        return replace(vacuum_setting, background_share=background_share)
    laid = object_of_product(start, placement, object_)
    factor = fitting_factor(measured, placement, laid, chosen.array)
    fitted = replace(start, object_=start.object_ * np.float32(factor))
    object_ = object_of_product(fitted, placement, object_)
    return Setting(
        measured,
        placement,
        chosen,
        object_,
        passer,
        start.name,
        factor,
        is_moved=corners_px is not scan.corners_px,
        background_share=background_share,
    )


def corners_to_start_from(scan: Scan, start: Product | None) -> NDArray[np.float64]:
    """Return the corners of a scan, or those of a product that has refined these very ones."""
    if start is None or start.given_corners_px is None:
        return scan.corners_px
    return start.corners_px if is_of_scan(start, scan) else scan.corners_px


def _mover(scan: Scan, options: SolvingOptions) -> Mover | None:
    freedom = options.refine_positions
    if freedom is None:
        return None
    return Mover(freedom, largest_move_px(freedom, scan.corners_px, scan.window_px))


def _fitter(options: SolvingOptions) -> Fitter | None:
    if not (options.refine_intensity or options.refine_background):
        return None
    return Fitter(options.refine_intensity, options.refine_background)


def _passer(
    probe: NDArray[np.complex64], pool: ThreadPoolExecutor, refine_probe: bool, seed: int
) -> Passer:
    intensity = make_beam(probe).intensity
    return Passer(pool, refine_probe, seed, float(intensity.sum()), center_of(intensity))


def _choose_probe(
    scan: Scan,
    measured: Measured,
    placement: Placement,
    options: SolvingOptions,
    pool: ThreadPoolExecutor,
    comparer: Comparer | None,
    *,
    start: Product | None,
    given: NDArray[np.complex64] | None,
) -> ChosenProbe:
    refined, other = _probes_of(start)
    candidates: list[tuple[ProbeSource, NDArray[np.complex64] | None]] = [
        ("given", given),
        ("start", refined),
        ("file", scan.probe),
        ("start", other),
    ]
    if all(candidate is None for _, candidate in candidates):
        guess = guess_probe(
            measured,
            placement,
            noise=options.noise,
            seed=options.seed,
            pool=pool,
            comparer=comparer,
        )
        candidates = [("estimated", guess)]
    return choose_probe(
        scan,
        candidates,
        counts_per_pattern=float(measured.counts.mean()),
        keep_scale=options.keep_probe_scale,
    )


def _probes_of(
    start: Product | None,
) -> tuple[NDArray[np.complex64] | None, NDArray[np.complex64] | None]:
    """Return the probe of a product as one that was refined, or else as one that may be true."""
    if start is None:
        return None, None
    if start.metadata.get("probe_refined"):
        return start.probe, None
    return None, None if start.metadata.get("probe_source") == "estimated" else start.probe


def _check_overlap(placement: Placement, probe: NDArray[np.complex64]) -> None:
    """Refuse a scan whose beams hardly overlap: nothing would tie its patterns together."""
    if beams_per_pixel(placement, make_beam(probe).intensity) < SMALLEST_OVERLAP:
        raise OverlapError(
            f"The beams of the {len(placement.whole_px)} patterns hardly overlap, so nothing ties "
            "them together; ptychography needs steps well below the beam's width. Check the unit of "
            "the positions and the pixel size, or scan with smaller steps."
        )
