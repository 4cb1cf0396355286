"""Follow a recipe: the one place that knows networks and passes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..belief import with_verdict
from ..model.session import Model
from ..product import Product
from ..scan import Scan
from ..solving.refine import Solver, refine
from ..solving.solve import Progress, solve
from .recipe import DEFAULT_RECIPE, Recipe
from .reconstruct import reconstruct
from .trust import judge_network


def follow(
    scan: Scan,
    model: Model | None,
    recipe: Recipe = DEFAULT_RECIPE,
    *,
    start: Product | None = None,
    probe: NDArray[np.complex64] | None = None,
    solver: Solver = solve,
    num_threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    pass_progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Product:
    """Reconstruct a scan with a network, if there is one, and by passes, where the recipe has them.

    Parameters
    ----------
    scan : Scan
        Its patterns may stay on disk.
    model : Model or None
        None: the scan is solved by passes.
    recipe : Recipe
    start : Product, optional
        What passes without a network start from.
    probe : complex64 array, shape (modes, N, N), optional
        Used by the passes instead of that of the scan.
    solver : callable
        Makes the passes: `solve`, or what takes the same arguments.
    num_threads : int, optional
        For the few passes that a network's result in doubt is held against; by default the cores.
    progress : callable, optional
        Called after each batch of the network with the number of patterns done, and of all.
    pass_progress : callable, optional
        Called after each pass, see `solve`.
    should_stop : callable, optional
        Asked after each batch; if true, what was done so far is returned with `complete` false.

    Returns
    -------
    Product
        `metadata["method"]` says how it was made.

    Raises
    ------
    ValueError
        If model, probe or start do not fit the scan, or there is a model and a start.
    ScanError
        If a pattern cannot be used; names it.
    RuntimeError
        If onnxruntime fails.

    Examples
    --------
    >>> from ptychonyx.runtime import SimulationOptions, simulate_scan
    >>> spec = SimulationOptions(num_patterns=49, window_px=32)
    >>> scan = simulate_scan(spec, np.random.default_rng(0))
    >>> follow(scan, None, Recipe().changed({"passes": 2})).metadata["method"]
    'passes'
    """
    if model is None:
        solved = solver(
            scan,
            recipe.solving,
            start=start,
            probe=probe,
            progress=pass_progress,
            should_stop=should_stop,
        )
        return with_verdict(solved)
    if start is not None:
        raise ValueError(
            "A model and a product to start from were given, but passes after a network start from "
            "its result; leave out one of them."
        )
    product = reconstruct(scan, model, recipe.network, progress=progress, should_stop=should_stop)
    if recipe.refine_passes is None or not product.complete:
        return judge_network(
            product, scan, model.manifest, num_threads=num_threads, should_stop=should_stop
        )
    refined = refine(
        scan,
        product,
        recipe.refining,
        probe=probe,
        solver=solver,
        progress=pass_progress,
        should_stop=should_stop,
    )
    return with_verdict(refined)  # of what passes made of it, the network's bounds say nothing
