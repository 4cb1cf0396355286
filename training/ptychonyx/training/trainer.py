"""The front door of training: scans, a configuration and a folder in, a finished run out."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptychonyx.runtime.scan import Scan

from .backends import load_backend, require_backend
from .config.config import TrainingConfig, architecture_of
from .data.prepare import prepare_samples
from .data.samples import Samples
from .distributed.workers import Workers, check_shares
from .loop import Epochs, Watcher
from .network.architecture import Architecture
from .network.backprojection import backprojection_constants
from .network.weights import Weights, check_weights, draw_weights, load_weights
from .own_residual import OWN_RESIDUAL, measure_own_residual
from .run import Run, digest_file, start_run

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainingResult:
    """The outcome of `train`.

    Attributes
    ----------
    backend : str
        Framework that trained.
    path : Path
        Run folder.
    epochs, best_epoch : int
        Finished epochs, and the one whose weights are kept.
    best_validation_loss : float
    """

    backend: str
    path: Path
    epochs: int
    best_epoch: int
    best_validation_loss: float


def train(
    scans: Sequence[Scan],
    config: TrainingConfig,
    output: Path,
    *,
    probe: NDArray[np.complex64] | None = None,
    init_from: Path | None = None,
    overwrite: bool = False,
    watcher: Watcher | None = None,
    workers: Workers | None = None,
) -> TrainingResult:
    """Train one model from one or several scans.

    When several processes train the model together, each calls this with the same arguments except
    `watcher` and `workers`. They must see the same files; only the first one writes.

    Parameters
    ----------
    scans : sequence of Scan
        Each is trained with its own probe and scale, mixed in a batch.
    config : TrainingConfig
        `config.backend` decides the framework; the other one is never imported.
    output : Path
        Run folder; an unfinished run of the same configuration and scans is resumed.
    probe : complex64 array, shape (modes, N, N), optional
        Takes the place of the scans' own probes.
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
        For scans, weights, an output folder or a number of devices that do not fit.
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
    _check_window(scans, config)
    samples = prepare_samples(
        scans,
        validation_fraction=config.validation_fraction,
        probe=probe,
        group_size=config.group_size,
        max_distance_px=config.max_distance_px,
        with_truth="supervised" in config.loss_weights,
    )
    architecture = architecture_of(config, samples.window_px)
    weights = _first_weights(architecture, config, samples, init_from)
    run = Run(output, config, is_written=workers.is_first)
    if run.is_written:
        start_run(
            output,
            config,
            inputs=[_describe(scan, index, samples, config) for index, scan in enumerate(scans)],
            probe=samples.probes[0].array,
            overwrite=overwrite,
        )
        saved = run.saved_progress()
        if saved is not None:
            logger.info("Resuming %s after epoch %d.", output, saved[0].epoch)
    epochs = Epochs(run, watcher or Watcher(), workers, num_samples=len(samples.training))
    load_backend(config.backend, "train").fit(epochs, samples, architecture, weights)
    progress = epochs.progress
    if run.is_written:
        own = measure_own_residual(run, scans, samples, architecture)
        run.finish(progress, {OWN_RESIDUAL: None if own is None else own.to_values()})
    return TrainingResult(
        backend=config.backend,
        path=output,
        epochs=progress.epoch,
        best_epoch=progress.best_epoch,
        best_validation_loss=progress.best_loss,
    )


def _check_window(scans: Sequence[Scan], config: TrainingConfig) -> None:
    for scan in scans:
        if config.window_px is not None and scan.window_px != config.window_px:
            raise ValueError(
                f"`window_px` is {config.window_px}, but the patterns of {scan.source or scan.name} "
                f"are {scan.window_px}×{scan.window_px}; correct the one or the other."
            )


def _first_weights(
    architecture: Architecture, config: TrainingConfig, samples: Samples, init_from: Path | None
) -> Weights:
    if init_from is None:
        constants = None
        if architecture.is_backprojected:
            scale = float(samples.constants.scale[0])
            constants = backprojection_constants(samples.probes[0].array, scale)
        return draw_weights(architecture, np.random.default_rng(config.seed), constants)
    weights = load_weights(init_from)
    check_weights(weights, architecture)
    return weights


def _describe(scan: Scan, index: int, samples: Samples, config: TrainingConfig) -> dict[str, Any]:
    source = Path(scan.source) if scan.source else None
    choice = samples.probes[index]
    return {
        "path": scan.source,
        "name": scan.name,
        "sha256": digest_file(source) if source is not None and source.exists() else None,
        "num_patterns": scan.num_patterns,
        "window_px": scan.window_px,
        "position_origin": scan.position_origin,
        "turned": scan.turned,
        "input_scale": float(samples.constants.scale[index]),
        "counts_per_good_pixel": float(samples.constants.counts_per_good_pixel[index]),
        "probe_source": "trained" if config.trains_probe else choice.source,
        "probe_sha256": hashlib.sha256(np.ascontiguousarray(choice.array).tobytes()).hexdigest(),
        "probe_modes": len(choice.array),
        "probe_counts_ratio": choice.counts_ratio,
        "pixel_size_m": scan.pixel_size_m,
        "photon_energy_eV": scan.photon_energy_eV,
    }
