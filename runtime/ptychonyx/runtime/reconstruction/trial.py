"""Try a network on a part of a scan: cheap enough to be done at the end of a training."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..comparison.region import nearest_indexes
from ..residual import Residual, measure_residual
from ..scan import Scan, some_of
from ..stitching.mosaic import Mosaic
from .options import DEFAULT_OPTIONS, ReconstructionOptions
from .pipeline import Pipeline, Predictor
from .plan import NetworkFacts, plan_reconstruction
from .reconstruct import with_absorption


def try_network(
    scan: Scan,
    network: Predictor,
    facts: NetworkFacts,
    *,
    used: NDArray[np.int64],
    tested: NDArray[np.int64],
    options: ReconstructionOptions = DEFAULT_OPTIONS,
) -> Residual:
    """Stitch an object from some patterns of a scan, and measure what it leaves of some of them.

    Parameters
    ----------
    scan : Scan
        It must have a probe.
    network : Predictor
        A model, or a network that is still in its framework.
    facts : NetworkFacts
        Its manifest, or what will be in it.
    used, tested : int64 array
        Patterns that the object is made of, and on which it is tested, in rising order.
    options : ReconstructionOptions
        Its `batch_size` is a number.

    Returns
    -------
    Residual
        What the tested patterns leave unexplained.

    Raises
    ------
    ValueError
        If the scan does not fit the network.
    ScanError
        If a pattern cannot be used, or the used ones are too sparse for the network's groups.
    """
    part = some_of(scan, used)
    plan = plan_reconstruction(part, facts, options)
    mosaic = Mosaic(plan.canvas, plan.patch_weights())
    for _ in Pipeline(part, network, plan, mosaic).run(1, None, None):
        pass
    stitched, _ = with_absorption(part, plan, mosaic.finish())
    return measure_residual(
        some_of(scan, tested),
        stitched.object_,
        object_corner_px=plan.canvas.corner_px,
        probe=plan.probe.array,
        counts_per_pattern=plan.counts_per_pattern,
        coverage=stitched.coverage,
        num_patterns=len(tested),
    )


def patterns_around(
    corners_px: NDArray[np.float64], members: NDArray[np.int64], *, num_used: int, num_tested: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Choose patterns for `try_network`: all around the middle of some, which are tested.

    Windows at the rim of what is used have fewer neighbors than in the whole scan, so that those
    that are tested are nearest to its middle.

    Parameters
    ----------
    corners_px : float64 array, shape (n, 2)
    members : int64 array
        Patterns of which some are tested.
    num_used, num_tested : int
        At most so many.

    Returns
    -------
    (int64 array, int64 array)
        Patterns that the object is made of, and those of the members that are tested.

    Examples
    --------
    >>> corners_px = np.stack([np.zeros(9), np.arange(9.0)], axis=1)
    >>> patterns_around(corners_px, np.array([5, 6, 7]), num_used=5, num_tested=2)
    (array([4, 5, 6, 7, 8]), array([5, 6]))
    """
    middle_px = np.median(corners_px[members], axis=0)
    used = nearest_indexes(corners_px, middle_px, num_used)
    near = members[nearest_indexes(corners_px[members], middle_px, num_tested)]
    return used, near[np.isin(near, used)]
