"""Fixed scans, solved by passes with the network after each epoch."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import product

import numpy as np

from ..config.solver import SolverConfig
from ..simulated.draw import draw_scan
from ..simulated.pool import Draw, Trial, stack
from ..simulated.poorer import GoodScan, draw_poorer
from .learner import Learner
from .loss import losses

SEED = 987_654_321
"""Of all validations, whatever the seed of a training: runs can be compared."""


def validation_loss(
    learner: Learner, config: SolverConfig, good_scans: Sequence[GoodScan] = ()
) -> float | None:
    """Return the mean loss of fixed scans, over all passes; None if there are no scans.

    Parameters
    ----------
    learner : Learner
    config : SolverConfig
        Says how many scans and passes.
    good_scans : sequence of GoodScan
        So many more are made of each of these.
    """
    if not config.validation_scans:
        return None
    found: list[float] = []
    with ThreadPoolExecutor(1) as threads:
        draws: list[Draw] = [draw_scan, *(partial(draw_poorer, good) for good in good_scans)]
        for place, number in product(range(len(draws)), range(config.validation_scans)):
            rng = np.random.default_rng([SEED, number] if place == 0 else [SEED, number, place])
            last_pass = config.validation_passes
            trial = Trial(rng, threads, last_pass, draw=draws[place])
            is_going_on = True
            while is_going_on:
                batch = stack([trial])
                corrections = learner.change(batch.features) * batch.units[:, None, None, None]
                objects = (batch.objects + corrections).astype(np.float64)
                found += losses(objects, batch.truths, batch.weights).tolist()
                is_going_on = trial.advance(corrections[0])
    return float(np.mean(found))
