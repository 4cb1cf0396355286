"""Solve a scan in shares in one process: what several processes must agree with."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from operator import add
from time import perf_counter

from ...model.cores import num_cores
from ...product import Product
from ...scan import Scan
from ..options import DEFAULT_SOLVING, SolvingOptions
from .beginning import Effort, begin, finish
from .share import even_parts, in_a_tree, read_share


def solve_in_shares(
    scan: Scan,
    options: SolvingOptions = DEFAULT_SOLVING,
    *,
    num_shares: int = 1,
    num_threads: int | None = None,
    progress: Callable[[int, int, float], None] | None = None,
) -> Product:
    """Solve a scan by parallel passes from vacuum, in one process.

    Parameters
    ----------
    scan : Scan
        Its patterns may stay on disk.
    options : SolvingOptions
    num_shares : int
        Parts whose sums are added up; the object does not depend on it, but for the rounding of
        float32.
    num_threads : int, optional
        By default as many as there are cores; the result does not depend on it.
    progress : callable, optional
        Called after each pass, as for `solve`.

    Returns
    -------
    Product
        As `solve` returns it; its metadata has also the numbers of `Effort`.

    Raises
    ------
    ScanError
        If a pattern cannot be used, or the patterns do not overlap.

    Examples
    --------
    >>> import numpy as np
    >>> from ptychonyx.runtime import SimulationOptions, simulate_scan
    >>> spec = SimulationOptions(num_patterns=49, window_px=32)
    >>> scan = simulate_scan(spec, np.random.default_rng(0))
    >>> one, three = (solve_in_shares(scan, SolvingOptions(passes=3), num_shares=n) for n in (1, 3))
    >>> bool(np.abs(one.object_ - three.object_).max() < 1e-4), three.metadata["shares"]
    (True, 3)
    """
    started_s = perf_counter()
    with ThreadPoolExecutor(num_threads or num_cores(), "solve") as pool:
        beginning, state = begin(scan, options, pool)
        passer = beginning.rules.passer(pool)
        parts = even_parts(scan.num_patterns, num_shares)
        shares = [read_share(scan, *ends, noise=options.noise) for ends in parts]
        residuals: list[float] = []
        for number in range(1, beginning.passes + 1):
            state = passer.moved(
                state, in_a_tree([passer.sums(share, state) for share in shares], add)
            )
            residuals.append(state.residual)
            if progress is not None:
                progress(number, beginning.passes, state.residual)
        effort = Effort(tuple(residuals), num_shares, 1, 0, perf_counter() - started_s)
        return finish(scan, options, beginning, state, effort, pool)
