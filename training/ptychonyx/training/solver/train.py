"""The front door of a solver's training: a configuration and a folder in, a finished run out."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ptychonyx.runtime import Scan

from ..backends import load_backend, require_backend
from ..config.solver import SolverConfig, solver_architecture_of
from ..distributed.workers import Workers, check_shares
from ..loop import Epochs, Watcher
from ..network.weights import Weights, check_weights, draw_weights, load_weights
from ..run import Best, Run, digest_file, start_run
from ..simulated.poorer import GoodScan, solve_good
from ..simulated.supply import Supply
from ..trainer import TrainingResult
from .learner import Learner, first_state, load_state, save_state
from .validation import validation_loss

logger = logging.getLogger(__name__)

SUFFIX = ".safetensors"


def train_solver(
    config: SolverConfig,
    output: Path,
    *,
    scans: Sequence[Scan] = (),
    init_from: Path | None = None,
    overwrite: bool = False,
    watcher: Watcher | None = None,
    workers: Workers | None = None,
) -> TrainingResult:
    """Train a solver network on simulated scans, and on measured ones if there are some.

    When several processes train the network together, each calls this with the same arguments except
    `watcher` and `workers`, and simulates its own share of the scans. They must see the same files;
    only the first one writes.

    Parameters
    ----------
    config : SolverConfig
        `config.backend` decides the framework; the other one is never imported.
    output : Path
        Run folder; an unfinished run of the same configuration is resumed.
    scans : sequence of Scan, optional
        Measured scans that are good: half of what is learned from is then made of their parts, with
        fewer positions and photons.
    init_from : Path, optional
        Run folder or weights file, of either backend, to start from.
    overwrite : bool
        Delete a run that is already there.
    watcher : Watcher, optional
        Follows and stops the run; any of several processes may stop it.
    workers : Workers, optional
        Which of several processes this one is (`distributed.workers.find_workers`); by default it is
        alone.

    Returns
    -------
    TrainingResult

    Raises
    ------
    ValueError
        For weights, an output folder or a number of devices that do not fit.
    RuntimeError
        If the backend is not installed, or the training diverges.
    WorkerLostError
        If another process has ended.
    TrainingInterruptedError
        If `watcher.should_stop` ended it.
    """
    require_backend(config.backend)
    workers = workers or Workers()
    check_shares(workers, config)
    weights = _first_weights(config, init_from)
    run = Run(output, config, is_written=workers.is_first)
    if run.is_written:
        inputs = [_describe(scan) for scan in scans]
        start_run(output, config, inputs=inputs, probe=None, overwrite=overwrite)
    good_scans = [solve_good(scan) for scan in scans]
    num_samples = config.steps_per_epoch * config.batch_size
    epochs = Epochs(run, watcher or Watcher(), workers, num_samples)
    with load_backend(config.backend, "strategy").watched_workers(workers):
        make_learner = load_backend(config.backend, "solver_learner").SolverLearner
        _fit(epochs, make_learner(config, first_state(weights), workers), good_scans)
    progress = epochs.progress
    if run.is_written:
        run.finish(progress)
    return TrainingResult(
        backend=config.backend,
        path=output,
        epochs=progress.epoch,
        best_epoch=progress.best_epoch,
        best_validation_loss=progress.best_loss,
    )


def _first_weights(config: SolverConfig, init_from: Path | None) -> Weights:
    architecture = solver_architecture_of(config)
    if init_from is None:
        return draw_weights(architecture, np.random.default_rng(config.seed))
    weights = load_weights(init_from)
    check_weights(weights, architecture)
    return weights


def _describe(scan: Scan) -> dict[str, Any]:
    """Return what a run notes about a measured scan."""
    source = Path(scan.source) if scan.source else None
    return {
        "path": scan.source,
        "name": scan.name,
        "sha256": digest_file(source) if source is not None and source.exists() else None,
        "num_patterns": scan.num_patterns,
        "probe_sha256": None,
    }


def _fit(epochs: Epochs[SolverConfig], learner: Learner, good_scans: Sequence[GoodScan]) -> None:
    run, workers, config = epochs.run, epochs.workers, epochs.run.config

    def best() -> Best:
        return Best(learner.state().weights, None)

    def validate() -> float | None:
        return validation_loss(learner, config, good_scans, workers)

    def save_checkpoint(path: Path) -> None:
        if run.is_written:
            save_state(learner.state(), path)

    checkpoint = epochs.begin(
        sum_over_workers=lambda value: learner.sum_over_workers(value)[0],
        validate=validate,
        best=best,
    )
    if checkpoint is not None:
        logger.info("Resuming %s after epoch %d.", run.path, epochs.progress.epoch)
        learner.load(load_state(checkpoint))
    while not epochs.progress.is_finished:
        _learn_epoch(epochs, learner, good_scans)
        epochs.end_epoch(validate(), best=best, save_checkpoint=save_checkpoint, suffix=SUFFIX)


def _learn_epoch(
    epochs: Epochs[SolverConfig], learner: Learner, good_scans: Sequence[GoodScan]
) -> None:
    """Take the steps of an epoch.

    The scans depend on its number, and on which of the processes that simulate draws them.
    """
    workers, config = epochs.workers, epochs.run.config
    rate = epochs.begin_epoch()
    with Supply(
        (config.seed, epochs.progress.epoch),
        num_processes=config.num_processes,
        first_process=workers.rank * config.num_processes,
        num_groups=config.num_groups,
        batch_size=config.batch_size // workers.num,
        good_scans=good_scans,
    ) as supply:
        for _ in range(config.steps_per_epoch):
            lesson = learner.learn(supply.next_batch(), rate)
            supply.correct(lesson.corrections)
            loss, num_stopped = learner.sum_over_workers(
                float(lesson.losses.mean()) / workers.num, float(epochs.watcher.should_stop())
            )
            epochs.add_batch(loss, config.batch_size, is_stopped=num_stopped > 0)
