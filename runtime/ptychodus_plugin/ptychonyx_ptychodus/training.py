"""Training in a process of its own: `ptychonyx train`, then `ptychonyx export`."""

from __future__ import annotations

import csv
import importlib.util
import json
import logging
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from pathlib import Path

from ptychodus.api.product import LossValue
from ptychodus.api.reconstruct import TrainOutput

from ptychonyx.runtime.files import Output, check_outputs
from ptychonyx.runtime.formats import files_of, ptychodus_training
from ptychonyx.runtime.formats.ptychodus_scan import PATTERNS, PRODUCT
from ptychonyx.training.backends import require_backend
from ptychonyx.training.config.config import load_config

from .running import PROGRESS_GOAL
from .settings import TrainingOptions

_logger = logging.getLogger("ptychonyx.ptychodus")

MODEL, RUN, LOG = "model.onnx", "ptychonyx-run", "ptychonyx-train.log"
CONFIG, OWN_CONFIG = "training.yaml", "ptychonyx-train.yaml"
"""A file of the user's in the training folder comes before the settings of the page."""
COMMAND = (sys.executable, "-c", "from ptychonyx.cli import main; main()")
EXPORT_NEEDS = {"tensorflow": ("onnx", "tf2onnx"), "pytorch": ("onnx", "onnxscript")}
POLL_S, PATIENCE_S = 0.5, 60.0


def train(
    input_path: Path, output_path: Path, options: TrainingOptions
) -> Generator[TrainOutput, None, None]:
    """Train on every training file of a folder; yield the losses after each epoch.

    The run folder, its log and model.onnx are left in `output_path`. An unfinished run of the same
    settings is resumed, a finished one replaced. Closing the generator stops after the current step.
    A training.yaml in the folder, as `ptychonyx train --config` reads it, comes before `options`.

    Raises
    ------
    ValueError
        If there is nothing to train on.
    RuntimeError
        If the backend or the exporter is not installed, or one of them fails.
    """
    check_installed(options.backend)
    scans = find_scans(input_path)
    names = (MODEL, LOG, OWN_CONFIG)
    check_outputs(
        [file for scan in scans for file in files_of(scan)],
        [Output(output_path / name, is_folder_made=True) for name in names],
    )
    output_path.mkdir(parents=True, exist_ok=True)
    run, log = output_path / RUN, output_path / LOG
    _logger.info("Training on %d scans with %s; log: %s", len(scans), options.backend, log)
    config = input_path / CONFIG
    if not config.is_file():
        config = output_path / OWN_CONFIG
        config.write_text(json.dumps(options.config(), indent=2) + "\n")  # which is YAML, too
    words = ["train", *map(str, scans), "-o", str(run), "--config", str(config)]
    words += ["--backend", options.backend, "--verbose"]  # its log says what was resumed
    if is_finished(run):
        words.append("--overwrite")
    num_epochs = load_config(config).epochs
    with log.open("w") as text:
        process = subprocess.Popen([*COMMAND, *words], stdout=text, stderr=subprocess.STDOUT)
        try:
            num_seen = 0
            while True:
                is_over = process.poll() is not None
                losses = read_losses(run / "history.csv")
                if len(losses[1]) > num_seen:
                    num_seen = len(losses[1])
                    percent = (PROGRESS_GOAL - 1) * losses[1][-1].epoch // num_epochs
                    yield TrainOutput(*losses, progress=percent)
                if is_over:
                    break
                time.sleep(POLL_S)
        finally:
            _stop(process)
    _check_success(process.returncode, "train", log)
    with log.open("a") as text:
        words = ["export", str(run), "-o", str(output_path / MODEL)]
        done = subprocess.run(
            [*COMMAND, *words], stdout=text, stderr=subprocess.STDOUT, check=False
        )
    _check_success(done.returncode, "export", log)
    yield TrainOutput(*losses, progress=PROGRESS_GOAL)


def check_installed(backend: str) -> None:
    """Say which pip line is missing, before any time is spent.

    Raises
    ------
    ValueError
        If there is no such backend.
    RuntimeError
        If it, or what exports its models, is not installed.
    """
    require_backend(backend)
    missing = [name for name in EXPORT_NEEDS[backend] if importlib.util.find_spec(name) is None]
    if missing:
        raise RuntimeError(
            f"A trained model is exported with {' and '.join(missing)}, not installed here: "
            'pip install "ptychonyx[export]"'
        )


def find_scans(folder: Path) -> list[Path]:
    """Return the training files of a folder; if there are none, the folder itself as a scan.

    Raises
    ------
    ValueError
        If there is neither.
    """
    files = [path for path in sorted(folder.iterdir()) if path.suffix in (".h5", ".hdf5")]
    scans = [path for path in files if ptychodus_training.recognises(path)]
    if scans:
        return scans
    if (folder / PATTERNS).is_file() and (folder / PRODUCT).is_file():
        return [folder]
    raise ValueError(
        f"{folder} holds no training data; export some there with Export Training Data, or give a "
        f"folder with {PATTERNS} and {PRODUCT}."
    )


def is_finished(run: Path) -> bool:
    """Tell whether a run folder holds a training that came to its end."""
    provenance = run / "provenance.json"
    return provenance.is_file() and "finished" in json.loads(provenance.read_text())


def read_losses(path: Path) -> tuple[Sequence[LossValue], Sequence[LossValue]]:
    """Return training and validation loss of each epoch so far.

    Epoch 0, before any training, has only been validated.
    """
    if not path.is_file():
        return [], []
    with path.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    training, validation = (
        [LossValue(int(row["epoch"]), float(row[name])) for row in rows if row[name]]
        for name in ("training_loss", "validation_loss")
    )
    return training, validation


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask a training that still runs to end with what it has, and insist after a while."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _check_success(code: int, what: str, log: Path) -> None:
    if code != 0:
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
        last = lines[-1] if lines else "no output"
        raise RuntimeError(f"`ptychonyx {what}` ended with code {code} ({last}); see {log}.")
