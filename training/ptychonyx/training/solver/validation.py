"""Fixed scans, solved by passes with the network after each epoch."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import product

import numpy as np

from ..config.solver import SolverConfig
from ..distributed.workers import Workers
from ..simulated.draw import draw_scan
from ..simulated.pool import Draw, Trial, stack
from ..simulated.poorer import GoodScan, draw_poorer
from .learner import Learner
from .loss import losses

SEED = 987_654_321
"""Of all validations, whatever the seed of a training: runs can be compared."""
LOST = 0.0
"""A loss above this one, of errors as large as the truth, counts as this: how wrong an object is that has
nothing of the truth would decide between epochs otherwise."""


def validation_loss(
    learner: Learner,
    config: SolverConfig,
    good_scans: Sequence[GoodScan] = (),
    workers: Workers | None = None,
) -> float | None:
    """Return the mean loss of fixed scans, each at most `LOST`, over all passes; None without scans.

    Several processes share the scans evenly.

    Parameters
    ----------
    learner : Learner
    config : SolverConfig
        Says how many scans and passes.
    good_scans : sequence of GoodScan
        So many more are made of each of these.
    workers : Workers, optional
        The processes that share the work, and which of them this one is; by default it is alone.
    """
    if not config.validation_scans:
        return None
    workers = workers or Workers()
    draws: list[Draw] = [draw_scan, *(partial(draw_poorer, good) for good in good_scans)]
    scans = list(product(range(len(draws)), range(config.validation_scans)))
    found: list[float] = []
    with ThreadPoolExecutor(1) as threads:
        for place, number in scans[workers.rank :: workers.num]:
            rng = np.random.default_rng([SEED, number] if place == 0 else [SEED, number, place])
            trial = Trial(rng, threads, config.validation_passes, draw=draws[place])
            found += _losses_of(trial, learner)
    total, num = learner.sum_over_workers(float(np.sum(found)), float(len(found)))
    return total / num


def _losses_of(trial: Trial, learner: Learner) -> list[float]:
    """Return the loss of a scan after each of its passes."""
    found: list[float] = []
    is_going_on = True
    while is_going_on:
        batch = stack([trial])
        corrections = learner.change(batch.features) * batch.units[:, None, None, None]
        objects = (batch.objects + corrections).astype(np.float64)
        found += np.minimum(losses(objects, batch.truths, batch.weights), LOST).tolist()
        is_going_on = trial.advance(corrections[0])
    return found
