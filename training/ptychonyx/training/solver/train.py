"""The front door of a solver's training: a configuration and a folder in, a finished run out."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from ..backends import load_backend, require_backend
from ..config.solver import SolverConfig, solver_architecture_of
from ..distributed.workers import Workers
from ..loop import Epochs, Watcher
from ..network.weights import check_weights, draw_weights, load_weights
from ..run import Best, Run, start_run
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
    init_from: Path | None = None,
    overwrite: bool = False,
    watcher: Watcher | None = None,
) -> TrainingResult:
    """Train a solver network on simulated scans.

    Parameters
    ----------
    config : SolverConfig
        `config.backend` decides the framework; the other one is never imported.
    output : Path
        Run folder; an unfinished run of the same configuration is resumed.
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
    start_run(output, config, inputs=[], probe=None, overwrite=overwrite)
    saved = run.saved_progress()
    state = first_state(weights)
    if saved is not None:
        logger.info("Resuming %s after epoch %d.", output, saved[0].epoch)
        state = load_state(saved[1])
    learner: Learner = load_backend(config.backend, "solver_learner").SolverLearner(config, state)
    num_samples = config.steps_per_epoch * config.batch_size
    epochs = Epochs(run, watcher or Watcher(), Workers(), num_samples)
    _fit(epochs, learner, config)
    progress = epochs.progress
    run.finish(progress)
    return TrainingResult(
        backend=config.backend,
        path=output,
        epochs=progress.epoch,
        best_epoch=progress.best_epoch,
        best_validation_loss=progress.best_loss,
    )


def _fit(epochs: Epochs[SolverConfig], learner: Learner, config: SolverConfig) -> None:
    def best() -> Best:
        return Best(learner.state().weights, None)

    epochs.begin(
        sum_over_workers=lambda value: value,
        validate=lambda: validation_loss(learner, config),
        best=best,
    )
    while not epochs.progress.is_finished:
        _learn_epoch(epochs, learner, config)
        epochs.end_epoch(
            validation_loss(learner, config),
            best=best,
            save_checkpoint=lambda path: save_state(learner.state(), path),
            suffix=SUFFIX,
        )


def _learn_epoch(epochs: Epochs[SolverConfig], learner: Learner, config: SolverConfig) -> None:
    """Take the steps of an epoch; its scans depend on its number alone."""
    rate = epochs.begin_epoch()
    with Supply(
        (config.seed, epochs.progress.epoch),
        num_processes=config.num_processes,
        num_groups=config.num_groups,
        batch_size=config.batch_size,
    ) as supply:
        for _ in range(config.steps_per_epoch):
            lesson = learner.learn(supply.next_batch(), rate)
            supply.correct(lesson.corrections)
            epochs.add_batch(
                float(lesson.losses.mean()),
                len(lesson.losses),
                is_stopped=epochs.watcher.should_stop(),
            )
