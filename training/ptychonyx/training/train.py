"""Train one model from scans: everything that does not depend on the backend."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptychonyx.runtime.scan import Scan

from .backends import load_backend, require_backend
from .config.config import TrainingConfig
from .data.samples import Samples, prepare_samples
from .distributed.workers import Workers, check_shares
from .network.architecture import Architecture
from .network.backprojection import backprojection_constants
from .network.weights import Weights, check_weights, draw_weights, load_weights
from .policy import Progress
from .run import EpochRow, Run, digest_file, start_run

logger = logging.getLogger(__name__)


class TrainingInterruptedError(RuntimeError):
    """Training was asked to stop; whole epochs are kept and the run can be resumed."""


@dataclass(frozen=True)
class TrainingResult:
    """What `train` returns.

    Attributes
    ----------
    backend : str
        Framework that trained.
    path : Path
        Run folder.
    epochs, best_epoch : int
    best_validation_loss : float
    """

    backend: str
    path: Path
    epochs: int
    best_epoch: int
    best_validation_loss: float


@dataclass(frozen=True)
class Watcher:
    """How a caller follows and stops a run.

    Attributes
    ----------
    on_start, on_batch, on_epoch : callable
        Called with (epochs done, epochs in all, samples in an epoch); with (samples done in this
        epoch, running mean loss); with the finished epoch's row.
    should_stop : callable
        Asked after each batch; True ends the run, keeping its whole epochs.
    """

    on_start: Callable[[int, int, int], None] = lambda done, total, samples: None
    on_batch: Callable[[int, float], None] = lambda samples, loss: None
    on_epoch: Callable[[EpochRow], None] = lambda row: None
    should_stop: Callable[[], bool] = lambda: False


def interrupted(run: Run, progress: Progress) -> TrainingInterruptedError:
    """Return the error that ends a run between two batches: what is kept and how to go on."""
    return TrainingInterruptedError(
        f"Training stopped in epoch {progress.epoch + 1}; {run.path} keeps {progress.epoch} whole "
        "epochs. The same command resumes it."
    )


def check_agreement(run: Run, workers: Workers, epoch: int, sum_of_epochs: float) -> None:
    """Make sure that all processes found the run in the same epoch.

    Raises
    ------
    ValueError
        If they did not: they do not see the same files.
    """
    if sum_of_epochs != workers.num * epoch:
        raise ValueError(
            f"The {workers.num} processes do not see the same run folder: process {workers.rank + 1} "
            f"finds {epoch} epochs in {run.path.absolute()}, others find another number; put the run "
            "folder on a file system that all of them share."
        )


def architecture_of(config: TrainingConfig, window_px: int) -> Architecture:
    """Return the network that a configuration means for N×N patterns."""
    return Architecture(
        name=config.architecture,
        window_px=window_px,
        num_channels=config.num_channels,
        filters=config.filters,
        amplitude_activation=config.amplitude_activation,
        amplitude_max=config.amplitude_max,
        pad_object=config.pad_object is not False,
        probe_big=config.probe_big is not False,
    )


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

    Of several processes that train the model together each calls this, with the same arguments but
    for `watcher` and `workers`. They must see the same files; only the first one writes.

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
        Follows and stops the run; of several processes, any may stop it.
    workers : Workers, optional
        Which of several processes this one is (`workers.find_workers`); one alone by default.

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
            probe=samples.probes[0].probe,
            overwrite=overwrite,
        )
        saved = run.saved_progress()
        if saved is not None:
            logger.info("Resuming %s after epoch %d.", output, saved[0].epoch)
    backend = load_backend(config.backend, "train")
    progress = backend.fit(run, samples, architecture, weights, watcher or Watcher(), workers)
    if run.is_written:
        run.finish(progress)
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
            constants = backprojection_constants(samples.probes[0].probe, scale)
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
        "input_scale": float(samples.constants.scale[index]),
        "counts_per_good_pixel": float(samples.constants.counts_per_good_pixel[index]),
        "probe_source": "trained" if config.trains_beam else choice.source,
        "probe_sha256": hashlib.sha256(np.ascontiguousarray(choice.probe).tobytes()).hexdigest(),
        "probe_modes": len(choice.probe),
        "probe_counts_ratio": choice.counts_ratio,
        "pixel_size_m": scan.pixel_size_m,
        "photon_energy_eV": scan.photon_energy_eV,
    }
