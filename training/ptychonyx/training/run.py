"""The folder a training run leaves, and how a run finds its place in it again."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import importlib.metadata
import io
import json
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from ptychonyx.runtime.files import Output, write_atomically, write_json, write_text

from .config.any import RunConfig
from .config.config import TrainingConfig
from .config.kinds import read_config
from .config.solver import SolverConfig
from .network.weights import WEIGHTS_FILE, Weights, load_weights, save_weights
from .policy import Progress

CONFIG_FILE, PROVENANCE_FILE = "config.yaml", "provenance.json"
HISTORY_FILE, PROBE_FILE = "history.csv", "probe.npy"
REPLACED_FILES = (PROVENANCE_FILE, HISTORY_FILE, WEIGHTS_FILE, PROBE_FILE)
"""Files of a run folder that are written again while a run is resumed."""
PACKAGES = ("ptychonyx", "numpy", "tensorflow", "keras", "torch", "lightning")


@dataclass(frozen=True)
class EpochRow:
    """One line of history.csv; losses are None before the first epoch, or where nothing validates."""

    epoch: int
    training_loss: float | None
    validation_loss: float | None
    learning_rate: float
    seconds: float
    num_samples: int

    @property
    def deciding_loss(self) -> float:
        """The loss that decides which epoch is the best: that of the validation if there is one."""
        loss = self.training_loss if self.validation_loss is None else self.validation_loss
        assert loss is not None
        return loss

    @property
    def samples_per_s(self) -> float:
        """Training samples a second."""
        return self.num_samples / self.seconds if self.seconds else 0.0


class Best(NamedTuple):
    """The results of the best epoch: weights, and the probe (modes, N, N) of the first scan, if any."""

    weights: Weights
    probe: NDArray[np.complex64] | None


Config = TypeVar("Config", bound=RunConfig)


@dataclass(frozen=True)
class Run(Generic[Config]):
    """A run folder.

    Attributes
    ----------
    path : Path
        The folder.
    config : TrainingConfig or SolverConfig
        The configuration it was started with.
    is_written : bool
        Whether this process writes it; of several that train together, only the first one does.
    """

    path: Path
    config: Config
    is_written: bool = True

    @property
    def config_file(self) -> Path:
        """The configuration, as YAML; a folder without it is no run."""
        return self.path / CONFIG_FILE

    @property
    def provenance_file(self) -> Path:
        """Scans, versions and dates, as JSON."""
        return self.path / PROVENANCE_FILE

    @property
    def history_file(self) -> Path:
        """One row of losses for each epoch, as CSV."""
        return self.path / HISTORY_FILE

    @property
    def weights_file(self) -> Path:
        """The weights of the best epoch."""
        return self.path / WEIGHTS_FILE

    @property
    def probe_file(self) -> Path:
        """The probe of the first scan."""
        return self.path / PROBE_FILE

    @property
    def checkpoints(self) -> Path:
        """The folder of the native checkpoints."""
        return self.path / "checkpoints"

    @property
    def progress_file(self) -> Path:
        """How far the run got, and the name of its native checkpoint, as JSON."""
        return self.checkpoints / "progress.json"

    def provenance(self) -> dict[str, Any]:
        """Return the content of provenance.json."""
        values: dict[str, Any] = json.loads(self.provenance_file.read_text())
        return values

    def best_weights(self) -> Weights:
        """Return the weights of the best epoch."""
        return load_weights(self.path)

    def probe(self) -> NDArray[np.complex64]:
        """Return the probe (modes, N, N) of the first scan, in sqrt(counts)."""
        probe: NDArray[np.complex64] = np.load(self.probe_file, allow_pickle=False)
        return probe

    def history(self) -> list[dict[str, str]]:
        """Return the rows of history.csv."""
        if not self.history_file.exists():
            return []
        with self.history_file.open(newline="") as lines:
            return list(csv.DictReader(lines))

    def saved_progress(self) -> tuple[Progress, Path] | None:
        """Return how far the run got and its native checkpoint, or None before the first epoch."""
        if not self.progress_file.exists():
            return None
        values = json.loads(self.progress_file.read_text())
        return Progress(**values["progress"]), self.checkpoints / values["checkpoint"]

    def record_epoch(
        self,
        progress: Progress,
        row: EpochRow,
        best: Callable[[], Best],
        save_checkpoint: Callable[[Path], None] | None,
        suffix: str = "",
    ) -> None:
        """Keep one epoch: history, weights and probe if they are the best, the native checkpoint.

        progress.json is replaced last, so a run that dies at any point resumes from a whole epoch.
        Processes that do not write call `best` and `save_checkpoint`, too: these may have to gather
        from all processes.
        """
        if self.is_written:
            self._write_history(row)
        if progress.is_best:
            self._save_best(best())
        if save_checkpoint is None:
            return
        checkpoint = self.checkpoints / f"epoch-{progress.epoch:05d}{suffix}"
        save_checkpoint(checkpoint)
        if not self.is_written:
            return
        values = {"progress": dataclasses.asdict(progress), "checkpoint": checkpoint.name}
        write_json(self.progress_file, values)
        for old in self.checkpoints.glob(f"epoch-*{suffix}"):
            if old != checkpoint:
                old.unlink()

    def finish(self, progress: Progress, more: Mapping[str, Any] | None = None) -> None:
        """Write down that the run is finished, and what else was found out about its result."""
        values = self.provenance() | dict(more or {})
        values |= {
            "finished": now(),
            "best_epoch": progress.best_epoch,
            "best_validation_loss": progress.best_loss,
            "epochs": progress.epoch,
        }
        write_json(self.provenance_file, values)

    def _save_best(self, best: Best) -> None:
        if self.is_written:
            save_weights(best.weights, self.weights_file)
            if best.probe is not None and self.config.trains_probe:
                save_array(best.probe, self.probe_file)

    def _write_history(self, row: EpochRow) -> None:
        fields = [*(field.name for field in dataclasses.fields(EpochRow)), "samples_per_s"]
        rows = [old for old in self.history() if int(old["epoch"]) < row.epoch]
        lines = io.StringIO(newline="")
        writer = csv.DictWriter(lines, fields)
        writer.writeheader()
        writer.writerows(rows)
        writer.writerow(dataclasses.asdict(row) | {"samples_per_s": row.samples_per_s})
        write_text(self.history_file, lines.getvalue())


def files_of_run(path: Path) -> list[Path]:
    """Return the files of a run folder that its export reads.

    Examples
    --------
    >>> [file.name for file in files_of_run(Path("run"))]
    ['config.yaml', 'provenance.json', 'history.csv', 'weights.safetensors', 'probe.npy']
    """
    return [path / CONFIG_FILE, *(path / name for name in REPLACED_FILES)]


def outputs_of_run(path: Path) -> list[Output]:
    """Return the files that a run which is started or resumed replaces, for `check_outputs`."""
    return [Output(path / name, is_folder_made=True) for name in REPLACED_FILES]


def open_run(path: Path) -> Run[TrainingConfig | SolverConfig]:
    """Open the folder of an existing run.

    Raises
    ------
    ValueError
        If it is not a run folder.

    Examples
    --------
    >>> open_run(Path("nowhere"))
    Traceback (most recent call last):
    ...
    ValueError: nowhere is not a run folder: it has no config.yaml. Make one with `ptychonyx train`.
    """
    file = path / CONFIG_FILE
    if not file.is_file():
        raise ValueError(
            f"{path} is not a run folder: it has no {CONFIG_FILE}. Make one with `ptychonyx train`."
        )
    return Run(path, read_config(file))


def start_run(
    path: Path,
    config: Config,
    *,
    inputs: Sequence[Mapping[str, Any]],
    probe: NDArray[np.complex64] | None,
    overwrite: bool,
) -> Run[Config]:
    """Make a run folder, or take up an unfinished one of the same configuration and inputs.

    Raises
    ------
    ValueError
        If `path` holds a finished or different run and `overwrite` is false, or is no run at all.
    """
    run = Run(path, config)
    if path.exists() and not path.is_dir():
        raise ValueError(f"{path} is a file; give a folder for the run.")
    if run.config_file.exists() and not overwrite:
        return _resume(path, config, inputs)
    if path.exists() and any(path.iterdir()):
        if not run.config_file.exists():
            raise ValueError(f"{path} is not empty and not a run folder; give another folder.")
        shutil.rmtree(path.resolve())  # the folder itself: of a link, rmtree removes nothing
    run.path.resolve().mkdir(parents=True, exist_ok=True)
    run.checkpoints.mkdir()
    if probe is not None:
        save_array(probe, run.probe_file)
    write_json(run.provenance_file, _provenance(config, inputs))
    config.save(run.config_file)
    return run


def _resume(path: Path, config: Config, inputs: Sequence[Mapping[str, Any]]) -> Run[Config]:
    run = open_run(path)
    provenance = run.provenance()
    advice = "give another folder, or --overwrite to start anew"
    if "finished" in provenance:
        raise ValueError(f"{path} holds a finished run; {advice}.")
    if run.config.digest() != config.digest():
        old, new = run.config.values(), config.values()
        name = next(name for name in old if old[name] != new[name])
        raise ValueError(
            f"{path} holds an unfinished run with `{name}` = {old[name]!r}, now {new[name]!r}; {advice}."
        )
    if _identity(provenance["inputs"]) != _identity(inputs):
        raise ValueError(f"{path} holds an unfinished run on other scans or probes; {advice}.")
    return Run(path, config)


def _identity(inputs: Sequence[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    """Return what tells scans apart; the scale, since a file may be read in several ways."""
    names = ("sha256", "probe_sha256", "window_px", "num_patterns", "input_scale")
    return [(*(entry.get(name) for name in names), entry.get("turned", "")) for entry in inputs]


def _provenance(config: RunConfig, inputs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "started": now(),
        "config_digest": config.digest(),
        "seed": config.seed,
        "inputs": [dict(entry) for entry in inputs],
        "packages": versions,
        "git_revision": _git_revision(),
    }


def _git_revision() -> str | None:
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None  # not a checkout, or no git: both are ordinary
    return done.stdout.strip()


def digest_file(path: Path) -> str:
    """Return the sha256 of a file, or of the files of a folder in the order of their names."""
    digest = hashlib.sha256()
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    for file in files:
        if file.is_file():
            with file.open("rb") as data:
                digest.update(hashlib.file_digest(data, "sha256").digest())
    return digest.hexdigest()


def now() -> str:
    """Return the time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def save_array(array: NDArray[Any], path: Path) -> None:
    """Write an array as .npy, whole or not at all."""
    write_atomically(path, lambda file: np.save(file, array, allow_pickle=False))
