"""Whether a network's result can be believed; where that is in doubt, passes over a part say why not."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..belief import judge, with_verdict
from ..errors import ScanError
from ..model.manifest import Manifest
from ..product import Metadata, Product
from ..residual import measure_residual
from ..scan import Scan, some_of
from ..solving.options import NO_SOLVER, SolvingOptions
from ..solving.solve import solve
from .trial import patterns_around

DOUBTS = frozenset({"unexplained", "residual-above-model"})
"""Findings that passes can tell more about; without one of them none are made."""
NUM_PASSES = 8
MOST_USED, FEWEST_USED = 128, 32
PIXELS_USED = 2**21
"""Pixels of all patterns that passes go over, between `FEWEST_USED` and `MOST_USED` patterns: 1,024
steps of a pattern for N up to 128, and 256 from N = 256 on, however large the scan is."""
SHARE_TESTED = 4
"""One of so many used patterns, in the middle, is tested."""

_logger = logging.getLogger(__name__)


def judge_network(
    product: Product,
    scan: Scan,
    manifest: Manifest,
    *,
    num_threads: int | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> Product:
    """Return a network's product that says whether it can be believed, and why not.

    Where it leaves too much unexplained, passes are made over a small part of the scan, from vacuum:
    what they reach tells whether the network does not fit the scan, or the scan is wrong.

    Parameters
    ----------
    product : Product
        What the network made of the scan.
    scan : Scan
    manifest : Manifest
    num_threads : int, optional
        For the passes; by default as many as there are cores.
    should_stop : callable, optional
        Asked after each batch of the passes; if true, the verdict is given without them.

    Returns
    -------
    Product
        As `with_verdict` gives it; with the `trial_…` numbers in its metadata if passes were made.
    """
    judged = with_verdict(product, scan, manifest)
    if not judged.complete or not DOUBTS & {each.name for each in judge(judged)}:
        return judged
    try:
        reached = _reached_by_passes(product, scan, num_threads, should_stop)
    except ScanError as error:
        _logger.info("Passes could not tell more about this result: %s", error)
        return judged
    return with_verdict(replace(product, metadata=product.metadata | reached), scan, manifest)


def _reached_by_passes(
    product: Product,
    scan: Scan,
    num_threads: int | None,
    should_stop: Callable[[], bool] | None,
) -> Metadata:
    """Return what passes leave of some patterns, and what the network's object leaves of the same.

    Nothing if they were stopped.
    """
    num_used = int(np.clip(PIXELS_USED // scan.window_px**2, FEWEST_USED, MOST_USED))
    everything = np.arange(scan.num_patterns)
    used, tested = patterns_around(
        scan.corners_px,
        everything,
        num_used=num_used,
        num_tested=max(1, min(num_used, scan.num_patterns) // SHARE_TESTED),
    )
    options = SolvingOptions(passes=NUM_PASSES, solver=NO_SOLVER, residual_patterns=0)
    part = replace(some_of(scan, used), object_=None)
    # the network's probe, if it was trained or given, is not that of the scan
    probe = product.probe if scan.probe is None else scan.probe
    solved = solve(part, options, probe=probe, num_threads=num_threads, should_stop=should_stop)
    if not solved.complete:
        return {}
    ours, theirs = (
        measure_residual(
            some_of(scan, tested),
            each.object_,
            object_corner_px=each.object_corner_px,
            probe=each.probe,
            counts_per_pattern=float(np.square(np.abs(each.probe)).sum()),
            coverage=each.coverage,
        )
        for each in (solved, product)
    )
    found: Metadata = {
        "trial_passes": NUM_PASSES,
        "trial_patterns": len(tested),
        "trial_residual": ours.total,
        "trial_noise": ours.of_noise,
        "trial_network_residual": theirs.total,
    }
    share = ours.unexplained_differences
    return found if share is None else found | {"trial_unexplained": share}
