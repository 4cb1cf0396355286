"""Fixed scans, solved by passes with the network after each epoch."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ..config.solver import SolverConfig
from ..simulated.pool import Trial, stack
from .learner import Learner
from .loss import losses

SEED = 987_654_321
"""Of all validations, whatever the seed of a training: runs can be compared."""


def validation_loss(learner: Learner, config: SolverConfig) -> float | None:
    """Return the mean loss of fixed scans, over all passes; None if there are no scans.

    Parameters
    ----------
    learner : Learner
    config : SolverConfig
        Says how many scans and passes.
    """
    if not config.validation_scans:
        return None
    found: list[float] = []
    with ThreadPoolExecutor(1) as threads:
        for number in range(config.validation_scans):
            rng = np.random.default_rng([SEED, number])
            trial = Trial(rng, threads, last_pass=config.validation_passes)
            is_going_on = True
            while is_going_on:
                batch = stack([trial])
                corrections = learner.change(batch.features) * batch.units[:, None, None, None]
                objects = (batch.objects + corrections).astype(np.float64)
                found += losses(objects, batch.truths, batch.weights).tolist()
                is_going_on = trial.advance(corrections[0])
    return float(np.mean(found))
