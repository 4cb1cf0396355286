"""Scan in, product out, by physics: no model is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from ..errors import ScanError
from ..model.cores import num_cores
from ..product import Product, check_finite
from ..scan import Scan
from .disturbances.fitter import FEWEST_WITH_BACKGROUND
from .graph.comparer import GraphComparer
from .network.choice import OpenNetwork, network_of
from .network.correction import Network
from .options import AUTO, DEFAULT_SOLVING, SolvingOptions
from .physics.comparing import Comparer
from .physics.sweep import Problem
from .plan import make_plan, start_of
from .result import Ending, make_product
from .setup import Setting, set_up

FEWEST_POSITIONS = 4
Progress = Callable[[int, int, float], None]
"""Takes the number of passes done, how many there may be, and the residual of the last one."""


def solve(
    scan: Scan,
    options: SolvingOptions = DEFAULT_SOLVING,
    *,
    start: Product | None = None,
    probe: NDArray[np.complex64] | None = None,
    network: Network | None = None,
    num_threads: int | None = None,
    progress: Progress | None = None,
    after_pass: Callable[[Product], None] | None = None,
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
        Used instead of that of the scan. By default that of a `start` whose probe was refined comes
        first, then that of the scan, then that of the start; without any, one is guessed.
    network : SolverModel, optional
        Used instead of that of `options.solver`. It corrects the object after each pass where the
        scan is noisy or sparse and the network does not make it worse; see `plan.make_plan`.
    num_threads : int, optional
        By default as many as there are cores; the result does not depend on it, but for the rounding
        of an execution provider.
    progress : callable, optional
        Called after each pass.
    after_pass : callable, optional
        Called with the product as it stands after each pass but those of a trial, with `complete`
        false and without residuals of its patterns. `steps.solve_in_steps` hands these out.
    should_stop : callable, optional
        Asked after each batch of patterns; if true, what was found so far is returned, with
        `complete` false.

    Returns
    -------
    Product
        The solved object, with `pass_residuals`; pixels that no beam has lit are 0, with coverage 0.

    Raises
    ------
    ValueError
        If probe or start do not fit the scan.
        If the budget is over before the first pass is done.
    ScanError
        If a pattern cannot be used, or the patterns do not overlap.
    ProviderError
        If an execution provider was asked for and does not start; says why.
    RuntimeError
        If one was asked for, and onnxruntime is not installed, or fails.

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
    opening = network_of(options.solver) if network is None else lambda: network
    comparer = _comparer(scan, options, num_threads)
    with ThreadPoolExecutor(num_threads or num_cores(), "solve") as pool:
        setting = set_up(scan, options, pool, start=start, probe=probe, comparer=comparer)

        def show(ending: Ending) -> None:
            if after_pass is not None:
                after_pass(make_product(scan, options, setting, ending, started_s))

        stop = should_stop or _never
        ending = _run(setting, options, opening, started_s, progress, show, stop)
        return make_product(scan, options, setting, ending, started_s)


def _never() -> bool:
    return False


def _comparer(scan: Scan, options: SolvingOptions, num_threads: int | None) -> Comparer | None:
    """Start the execution provider that was asked for, if one was."""
    if options.provider == AUTO:
        return None
    return GraphComparer(options.provider, scan.window_px, options.noise, num_threads=num_threads)


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
    if start is not None:
        check_finite(start)
    if options.refine_probe and scan.num_patterns == 1:
        raise ScanError(
            "A probe cannot be refined with a single pattern: object and probe cannot be told apart "
            "there. Give more positions, or leave the probe as it is."
        )
    if options.refine_positions is not None and scan.num_patterns < FEWEST_POSITIONS:
        raise ScanError(
            f"Positions of {scan.num_patterns} patterns cannot be refined, since what all have in "
            f"common stays; at least {FEWEST_POSITIONS} are needed: leave them as they are."
        )
    if options.refine_background and scan.num_patterns < FEWEST_WITH_BACKGROUND:
        raise ScanError(
            f"The background of {scan.num_patterns} patterns cannot be told from what they show; at "
            f"least {FEWEST_WITH_BACKGROUND} are needed: leave it out."
        )


def _run(
    setting: Setting,
    options: SolvingOptions,
    network: OpenNetwork | None,
    started_s: float,
    progress: Progress | None,
    show: Callable[[Ending], None],
    should_stop: Callable[[], bool],
) -> Ending:
    problem = Problem(setting.measured, setting.placement, options.noise)
    state = start_of(problem, setting.object_, setting.probe.array)
    plan = make_plan(
        problem,
        state,
        setting.passer,
        options,
        network=network,
        progress=lambda number, residual: progress(0, number, residual) if progress else None,
        should_stop=should_stop,
    )
    problem = replace(problem, noise=plan.noise)
    most, why = plan.passes, plan.reason
    budget = _Budget(options.budget_s, started_s)
    residuals: list[float] = []
    while len(residuals) < most:
        if residuals and budget.passes_left() < 1:
            why = f"the budget of {options.budget_s:g} s is spent"
            break
        with budget.timing():
            state = plan.passer.step(problem, state, should_stop)
        residuals.append(state.residual)
        if progress is not None:
            in_all = int(min(most, len(residuals) + budget.passes_left()))
            progress(len(residuals), max(in_all, len(residuals)), state.residual)
        so_far = Ending(
            state,
            tuple(residuals),
            "it was interrupted",
            plan.use_of_network,
            plan.network_name,
            plan.noise,
            is_complete=False,
        )
        if should_stop():
            return so_far
        if len(residuals) == 1:
            budget.check()
        show(so_far)
    return replace(so_far, reason=why, is_complete=True)


class _Budget:
    """Tell how many more passes fit into a budget, if there is one."""

    def __init__(self, budget_s: float | None, started_s: float) -> None:
        self._budget_s = np.inf if budget_s is None else budget_s
        self._started_s = started_s
        self._pass_s = 0.0

    @contextmanager
    def timing(self) -> Iterator[None]:
        """Note how long a pass takes."""
        started_s = perf_counter()
        yield
        self._pass_s = perf_counter() - started_s

    def check(self) -> None:
        """Refuse a budget that the first pass has overdrawn.

        Raises
        ------
        ValueError
        """
        spent_s = perf_counter() - self._started_s
        if spent_s > self._budget_s:
            raise ValueError(
                f"The budget of {self._budget_s:g} s is below one pass: the first one ended after "
                f"{spent_s:.1f} s. Give more time, or a number of passes."
            )

    def passes_left(self) -> float:
        """Return how many passes as the last one fit; infinity without a budget."""
        return (self._started_s + self._budget_s - perf_counter()) / max(self._pass_s, 1e-9)
