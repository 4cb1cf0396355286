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
from ..distributed.workers import Workers
from ..loop import Epochs, Watcher
from ..network.weights import check_weights, draw_weights, load_weights
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
) -> TrainingResult:
    """Train a solver network on simulated scans, and on measured ones if there are some.

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
        Follows and stops the run.

    Returns
    -------
    TrainingResult

    Raises
    ------
    ValueError
        For weights or an output folder that do not fit.
    RuntimeError
        If the backend is not installed, or the training diverges.
    TrainingInterruptedError
        If `watcher.should_stop` ended it.
    """
    require_backend(config.backend)
    architecture = solver_architecture_of(config)
    if init_from is None:
        weights = draw_weights(architecture, np.random.default_rng(config.seed))
    else:
        weights = load_weights(init_from)
        check_weights(weights, architecture)
    run = Run(output, config)
    inputs = [_describe(scan) for scan in scans]
    start_run(output, config, inputs=inputs, probe=None, overwrite=overwrite)
    good_scans = [solve_good(scan) for scan in scans]
    saved = run.saved_progress()
    state = first_state(weights)
    if saved is not None:
        logger.info("Resuming %s after epoch %d.", output, saved[0].epoch)
        state = load_state(saved[1])
    learner: Learner = load_backend(config.backend, "solver_learner").SolverLearner(config, state)
    num_samples = config.steps_per_epoch * config.batch_size
    epochs = Epochs(run, watcher or Watcher(), Workers(), num_samples)
    _fit(epochs, learner, config, good_scans)
    progress = epochs.progress
    run.finish(progress)
    return TrainingResult(
        backend=config.backend,
        path=output,
        epochs=progress.epoch,
        best_epoch=progress.best_epoch,
        best_validation_loss=progress.best_loss,
    )


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


def _fit(
    epochs: Epochs[SolverConfig],
    learner: Learner,
    config: SolverConfig,
    good_scans: Sequence[GoodScan],
) -> None:
    def best() -> Best:
        return Best(learner.state().weights, None)

    epochs.begin(
        sum_over_workers=lambda value: value,
        validate=lambda: validation_loss(learner, config, good_scans),
        best=best,
    )
    while not epochs.progress.is_finished:
        _learn_epoch(epochs, learner, config, good_scans)
        epochs.end_epoch(
            validation_loss(learner, config, good_scans),
            best=best,
            save_checkpoint=lambda path: save_state(learner.state(), path),
            suffix=SUFFIX,
        )


def _learn_epoch(
    epochs: Epochs[SolverConfig],
    learner: Learner,
    config: SolverConfig,
    good_scans: Sequence[GoodScan],
) -> None:
    """Take the steps of an epoch; its scans depend on its number alone."""
    rate = epochs.begin_epoch()
    with Supply(
        (config.seed, epochs.progress.epoch),
        num_processes=config.num_processes,
        num_groups=config.num_groups,
        batch_size=config.batch_size,
        good_scans=good_scans,
    ) as supply:
        for _ in range(config.steps_per_epoch):
            lesson = learner.learn(supply.next_batch(), rate)
            supply.correct(lesson.corrections)
            epochs.add_batch(
                float(lesson.losses.mean()),
                len(lesson.losses),
                is_stopped=epochs.watcher.should_stop(),
            )
