"""What is decided of a whole scan before its shares are solved, and what becomes of the result."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from ...probe import ChosenProbe
from ...product import Product
from ...scan import Scan
from ..left_out import PART_PATTERNS
from ..options import NO_SOLVER, SHIPPED_SOLVER, SolvingOptions
from ..passes import Passer
from ..physics.measured import Measured, read_part
from ..physics.parallel import PARALLEL_MOMENTUM
from ..physics.placement import place_windows
from ..physics.sweep import Problem, State
from ..plan import make_plan, start_of
from ..result import Ending, make_product
from ..setup import Setting, set_up
from .share import SHARE_BYTES

PASSES_ALONE = "not used: passes that several workers share are made alone"


@dataclass(frozen=True)
class Rules:
    """What all passes over a scan have in common, small enough to be sent with each task.

    Attributes are those of `Passer`.
    """

    refine_probe: bool
    seed: int
    power: float
    center_px: NDArray[np.float64]

    def passer(self, pool: ThreadPoolExecutor) -> Passer:
        """Return what makes parallel passes by these rules."""
        return Passer(
            pool,
            self.refine_probe,
            self.seed,
            self.power,
            self.center_px,
            is_parallel=True,
            momentum=PARALLEL_MOMENTUM,
        )


@dataclass(frozen=True)
class Beginning:
    """What is decided before the first pass.

    Attributes
    ----------
    rules : Rules
    passes : int
        How many will be made.
    reason : str
        Why there will be no more.
    probe : ChosenProbe
        To begin with.
    counts : float64 array, shape (n,)
        Total of each pattern.
    are_photons : bool
        See `Measured`.
    """

    rules: Rules
    passes: int
    reason: str
    probe: ChosenProbe
    counts: NDArray[np.float64]
    are_photons: bool


def can_share(options: SolvingOptions) -> bool:
    """Tell whether options allow that a scan is solved in shares.

    Passes within a budget, those that a network of one's own corrects, and those that move positions
    or fit intensities or a background are not shared.

    Examples
    --------
    >>> can_share(SolvingOptions()), can_share(SolvingOptions(budget_s=5.0))
    (True, False)
    """
    is_plain = options.budget_s is None and options.refine_positions is None
    is_plain &= not (options.refine_intensity or options.refine_background)
    return is_plain and options.solver in (SHIPPED_SOLVER, NO_SOLVER)


def begin(scan: Scan, options: SolvingOptions, pool: ThreadPoolExecutor) -> tuple[Beginning, State]:
    """Read a scan once, decide its probe and the number of passes, and return where they start.

    Raises
    ------
    ScanError
        If a pattern cannot be used, or the patterns do not overlap.
    """
    setting = set_up(scan, options, pool, start=None, probe=None)
    passer, measured = setting.passer, setting.measured
    rules = Rules(passer.refine_probe, passer.seed, passer.power, passer.center_px)
    problem = Problem(measured, setting.placement, options.noise)
    state = start_of(problem, setting.object_, setting.probe.array)
    plan = make_plan(
        problem,
        state,
        rules.passer(pool),
        options,
        network=None,
        progress=lambda number, residual: None,
        should_stop=lambda: False,
    )
    beginning = Beginning(
        rules, plan.passes, plan.reason, setting.probe, measured.counts, measured.are_photons
    )
    return beginning, state


@dataclass(frozen=True)
class Effort:
    """What passes in shares took.

    Attributes
    ----------
    residuals : tuple of float
        Residual of each pass.
    shares, workers : int
        Parts of the patterns, and processes that made sums of them.
    repeats : int
        Passes for which a share had to be read again, since the process that had it was gone or at
        other work.
    work_s : float
        Seconds of work before the product is made.
    """

    residuals: tuple[float, ...]
    shares: int
    workers: int
    repeats: int
    work_s: float


def finish(
    scan: Scan,
    options: SolvingOptions,
    beginning: Beginning,
    state: State,
    effort: Effort,
    pool: ThreadPoolExecutor,
) -> Product:
    """Make the product of a scan from the state after its last pass."""
    started_s = perf_counter() - effort.work_s
    placement = place_windows(scan.corners_px, scan.window_px)
    # what tests a refined probe are passes as `solve` makes them
    passer = replace(beginning.rules.passer(pool), is_parallel=False, momentum=0.0)
    setting = Setting(
        _as_measured(scan, beginning),
        placement,
        beginning.probe,
        state.object_,
        passer,
        "vacuum",
        1.0,
    )
    ending = Ending(
        state,
        effort.residuals,
        beginning.reason,
        use_of_network=None if options.solver == NO_SOLVER else PASSES_ALONE,
        network_name=None,
        noise=options.noise,
        is_complete=True,
    )
    product = make_product(scan, options, setting, ending, started_s)
    told = {"shares": effort.shares, "workers": effort.workers, "repeats": effort.repeats}
    return replace(product, metadata=product.metadata | told)


def _as_measured(scan: Scan, beginning: Beginning) -> Measured:
    """Return the measured amplitudes of a scan whose counts are known, without reading all of it."""
    few = np.arange(min(scan.num_patterns, PART_PATTERNS))
    first = read_part(scan, few, kept_bytes=SHARE_BYTES)
    every = np.arange(scan.num_patterns)
    return replace(first, indexes=every, counts=beginning.counts, are_photons=beginning.are_photons)
