"""Processes that are killed or sent away, and what a rerun with the same command makes of it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from cluster.conftest import (
    COMMAND,
    ROOT,
    Start,
    finish,
    losses_of,
    slurm,
    wait_for_epoch,
)

from ptychonyx.export import export_run
from ptychonyx.runtime.model.session import Model
from ptychonyx.training import load_config
from ptychonyx.training.network.weights import load_weights
from ptychonyx.training.run import open_run

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(600)]

BACKENDS = [
    pytest.param(name, marks=getattr(pytest.mark, name)) for name in ("tensorflow", "pytorch")
]
OTHER = {"tensorflow": "pytorch", "pytorch": "tensorflow"}
EPOCHS = 4
SAME_LOSS = 1e-4


def command(name: str, scan_file: Path, run: Path, devices: int) -> list[object]:
    options = ("--backend", name, "--quantity", "counts", "--filters", 0.25, "--batch-size", 8)
    return [
        *COMMAND,
        "train",
        scan_file,
        *options,
        "--epochs",
        EPOCHS,
        "-o",
        run,
        "--devices",
        devices,
    ]


@pytest.mark.parametrize("name", BACKENDS)
def test_a_killed_process_and_a_requeued_job_change_nothing(
    name: str, scan_file: Path, tmp_path: Path, start: Start
) -> None:
    run, whole = tmp_path / "run", tmp_path / "whole"
    finish(start(command(name, scan_file, whole, 2)), within_s=200)

    # as srun starts them: nobody else ends the one that is left
    tasks = [start(command(name, scan_file, run, 2), **slurm(rank, 2, 4711)) for rank in (0, 1)]
    wait_for_epoch(run, 1, tasks[0])
    tasks[1].kill()
    text = finish(tasks[0], within_s=60, code=1)
    assert "Process 1 of 2 stops, because it cannot go on without the others" in text
    assert len(losses_of(run)) < EPOCHS

    # as a batch script starts them, without srun
    called = tmp_path / "called"
    (tmp_path / "scontrol").write_text(f'#!/bin/sh\necho "$@" > {called}\n')
    (tmp_path / "scontrol").chmod(0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    job = start(command(name, scan_file, run, 2), SLURM_JOB_ID="4711", PATH=path)
    wait_for_epoch(run, 2, job)
    job.send_signal(signal.SIGUSR1)
    assert "The same command resumes it" in finish(job, within_s=60, code=130)
    assert called.read_text() == "requeue 4711\n"
    assert len(losses_of(run)) < EPOCHS

    script = ROOT / "docs" / "examples" / f"train_{name}.sbatch"
    arguments = command(name, scan_file, run, 2)[len(COMMAND) + 1 : -2]
    finish(start(["bash", script, *arguments], **cluster(tmp_path, 4711)), within_s=200)
    np.testing.assert_allclose(losses_of(run), losses_of(whole), rtol=SAME_LOSS)
    check_exports(name, run, tmp_path)


def cluster(folder: Path, job: int) -> dict[str, str]:
    """Return what sbatch sets for a script, with an srun of two tasks on this machine."""
    programs = folder / "bin"
    programs.mkdir()
    tasks = [
        " ".join(f"{key}={value}" for key, value in slurm(rank, 2, job).items()) for rank in (0, 1)
    ]
    texts = {
        "activate": f'export PATH="{programs}:$PATH"',
        "ptychonyx": f'#!/bin/bash\nexec {" ".join(COMMAND)} "$@"',
        "srun": "#!/bin/bash\nset -e\nwhile [[ $1 == --* ]]; do shift; done\n"
        f'{tasks[0]} "$@" & first=$!\n{tasks[1]} "$@" & wait $first; wait $!',
    }
    for name, text in texts.items():
        (programs / name).write_text(f"{text}\n")
        (programs / name).chmod(0o755)
    given = {"SLURM_JOB_ID": str(job), "SLURM_CPUS_PER_TASK": "1", "SLURM_NNODES": "1"}
    return given | {"SLURM_NTASKS_PER_NODE": "2", "PTYCHONYX_VENV": str(folder)}


def check_exports(name: str, path: Path, folder: Path) -> None:
    """Make sure that the run's weights export to the same bits from both backends, with proof."""
    models, run = {}, open_run(path)
    for backend in (name, OTHER[name]):
        copy = folder / backend
        copy.mkdir()
        for file in (run.weights_file, run.probe_file, run.provenance_file):
            (copy / file.name).write_bytes(file.read_bytes())
        config = load_config(run.config_file, {"backend": backend})
        config.save(copy / run.config_file.name)
        export_run(copy, folder / f"{backend}.onnx")  # compares with the native network
        models[backend] = Model(folder / f"{backend}.onnx", provider="cpu")
        assert models[backend].verify().passed
    manifest = models[name].manifest
    rng = np.random.default_rng(0)
    amplitude = rng.exponential(10, (7, 1, manifest.window_px, manifest.window_px))
    first, second = (model.predict(amplitude.astype(np.float32), 0.05) for model in models.values())
    np.testing.assert_array_equal(first, second)
    assert np.ptp(np.abs(first)) > 0


@pytest.mark.parametrize("name", BACKENDS)
def test_one_killed_process_ends_with_the_same_bits_when_rerun(
    name: str, scan_file: Path, tmp_path: Path, start: Start
) -> None:
    process = start(command(name, scan_file, tmp_path / "run", 1))
    wait_for_epoch(tmp_path / "run", 1, process)
    process.kill()
    process.communicate()
    assert len(losses_of(tmp_path / "run")) < EPOCHS
    finish(start(command(name, scan_file, tmp_path / "run", 1)), within_s=100)
    finish(start(command(name, scan_file, tmp_path / "whole", 1)), within_s=100)
    run, whole = (load_weights(tmp_path / folder) for folder in ("run", "whole"))
    for key, weights in whole.items():
        np.testing.assert_array_equal(run[key], weights)
    assert losses_of(tmp_path / "run") == losses_of(tmp_path / "whole")
