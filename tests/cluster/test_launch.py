"""Starting, watching and ending processes, without any framework."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cluster.conftest import ENVIRONMENT, Start, children_of, finish, wait_for

from ptychonyx.training.config.config import TrainingConfig
from ptychonyx.training.distributed.launch import launch
from ptychonyx.training.distributed.slurm import requeue
from ptychonyx.training.distributed.workers import check_shares, find_workers

LAUNCH = """
import os, sys
from ptychonyx.training.distributed import launch
launch.GRACE_S = 1.0
sys.exit(launch.launch([sys.executable, "-c", sys.argv[1]], 2, os.environ))
"""
WORKER = """
import os, signal, sys, time
from pathlib import Path
from ptychonyx.training.distributed.workers import is_orphaned
rank = int(os.environ["LOCAL_RANK"])
stopped = []
signal.signal(signal.SIGINT, lambda number, frame: stopped.append(number))
Path(os.environ["FOLDER"], f"ready-{rank}").touch()
print(f"rank {rank} speaks", flush=True)
while not stopped and not is_orphaned():
    time.sleep(0.05)
Path(os.environ["FOLDER"], f"ended-{rank}").touch()
sys.exit(130)
"""


def launched(start: Start, worker: str, folder: Path) -> subprocess.Popen[str]:
    return start([sys.executable, "-c", LAUNCH, worker], FOLDER=str(folder))


def both_ready(process: subprocess.Popen[str], folder: Path) -> None:
    for rank in (0, 1):
        wait_for(folder / f"ready-{rank}", process, within_s=20)


def test_ctrl_c_reaches_every_process_and_their_code_comes_back(
    start: Start, tmp_path: Path
) -> None:
    process = launched(start, WORKER, tmp_path)
    both_ready(process, tmp_path)
    process.send_signal(signal.SIGINT)
    text = finish(process, within_s=20, code=130)
    assert (tmp_path / "ended-0").exists()
    assert (tmp_path / "ended-1").exists()
    assert "rank 0 speaks" in text
    assert "rank 1 speaks" not in text


def test_a_first_process_that_stops_last_speaks_alone(start: Start, tmp_path: Path) -> None:
    slow = WORKER.replace("sys.exit(130)", "time.sleep(0 if rank else 0.5)\nsys.exit(130)")
    process = launched(start, slow, tmp_path)
    both_ready(process, tmp_path)
    process.send_signal(signal.SIGINT)
    text = finish(process, within_s=20, code=130)
    assert "rank 0 speaks" in text
    assert "rank 1 speaks" not in text


def test_a_killed_process_is_named_and_the_other_is_ended(start: Start, tmp_path: Path) -> None:
    stubborn = WORKER.replace("sys.exit(130)", "")  # it would go on for ever
    process = launched(start, stubborn, tmp_path)
    both_ready(process, tmp_path)
    children = children_of(process.pid)
    started = time.monotonic()
    os.kill(children[1], signal.SIGKILL)
    text = finish(process, within_s=60, code=1)
    assert "Process 2 of 2 was ended by SIGKILL, so the others were stopped" in text
    assert time.monotonic() - started < 60
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]


def test_processes_end_when_the_one_that_started_them_is_gone(start: Start, tmp_path: Path) -> None:
    process = launched(start, WORKER, tmp_path)
    both_ready(process, tmp_path)
    process.kill()
    deadline = time.monotonic() + 20
    while not all((tmp_path / f"ended-{rank}").exists() for rank in (0, 1)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_error_of_another_process_is_shown(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    worker = """
import os, sys, time
if os.environ["LOCAL_RANK"] == "1":
    sys.exit("no such file")
time.sleep(0.5)
"""
    assert launch([sys.executable, "-c", worker], 2, ENVIRONMENT) == 1
    assert b"no such file" in capfdbinary.readouterr().err


def test_processes_share_the_cores_and_find_each_other() -> None:
    worker = """
import json, os
config = json.loads(os.environ["TF_CONFIG"])
assert config["task"]["index"] == int(os.environ["LOCAL_RANK"])
assert len(set(config["cluster"]["worker"])) == 3
assert int(os.environ["OMP_NUM_THREADS"]) >= 1
assert os.environ["MASTER_PORT"] not in str(config)
"""
    environment = {key: ENVIRONMENT[key] for key in ("PATH", "PYTHONPATH")}
    assert launch([sys.executable, "-c", worker], 3, environment) == 0


SLURM = {"SLURM_STEP_NUM_TASKS": "8", "SLURM_PROCID": "5", "SLURM_LOCALID": "1"}
TF_CONFIG = {
    "TF_CONFIG": '{"cluster": {"worker": ["a:1", "a:2"]}, "task": {"type": "worker", "index": 1}}'
}


def test_a_process_finds_its_place() -> None:
    alone = find_workers("pytorch", environment={})
    assert alone is not None
    assert (alone.num, alone.rank, alone.is_first) == (1, 0, True)
    for backend in ("tensorflow", "pytorch"):
        place = find_workers(backend, devices=4, num_nodes=2, environment=SLURM)
        assert place is not None
        assert (place.num, place.rank, place.local_rank, place.has_slurm) == (8, 5, 1, True)
        assert find_workers(backend, devices=2, environment={}) is None
    place = find_workers("tensorflow", devices=2, environment=TF_CONFIG)
    assert place is not None
    assert (place.rank, place.local_rank, place.is_first) == (1, 1, False)
    place = find_workers(
        "pytorch", devices=4, num_nodes=2, environment={"NODE_RANK": "1", "LOCAL_RANK": "3"}
    )
    assert place is not None
    assert place.rank == 7
    place = find_workers("tensorflow", devices=4, strategy="mirrored", environment={})
    assert place is not None
    assert (place.num, place.num_devices) == (1, 4)


@pytest.mark.parametrize(
    ("backend", "options", "environment", "message"),
    [
        ("pytorch", {"devices": 0}, {}, "`devices` is 0, expected at least 1"),
        ("pytorch", {"strategy": "mirrored"}, {}, "expected of pytorch one of"),
        ("tensorflow", {"strategy": "ddp"}, {}, "expected of tensorflow one of"),
        ("pytorch", {"devices": 2}, SLURM, "needs 2 processes, but srun started 8"),
        ("tensorflow", {"devices": 3}, TF_CONFIG, "needs 3 processes, but TF_CONFIG names 2"),
        ("pytorch", {"num_nodes": 2}, {}, "start the command with srun, or set LOCAL_RANK"),
        ("tensorflow", {"num_nodes": 2}, {}, "start the command with srun, or set TF_CONFIG"),
        ("tensorflow", {"num_nodes": 2, "strategy": "mirrored"}, {}, "one process on one machine"),
    ],
)
def test_what_does_not_fit_is_refused(
    backend: str, options: dict[str, object], environment: dict[str, str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        find_workers(backend, environment=environment, **options)  # type: ignore[arg-type]


def test_a_batch_that_cannot_be_shared_evenly_names_those_that_can() -> None:
    workers = find_workers("tensorflow", devices=3, strategy="mirrored", environment={})
    assert workers is not None
    with pytest.raises(ValueError, match=r"`batch_size` is 16, which 3 devices .* use 15 or 18"):
        check_shares(workers, TrainingConfig(batch_size=16))
    with pytest.raises(ValueError, match=r"use 3\.$"):
        check_shares(workers, TrainingConfig(batch_size=2))


def test_requeueing_needs_a_job_and_names_the_array_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requeue({}, is_first=True)  # no job, nothing to do
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="Job 12 could not be put back into the queue"):
        requeue({"SLURM_JOB_ID": "12"}, is_first=True)
    (tmp_path / "scontrol").write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/called\n')
    (tmp_path / "scontrol").chmod(0o755)
    task = {"SLURM_JOB_ID": "12", "SLURM_ARRAY_JOB_ID": "10", "SLURM_ARRAY_TASK_ID": "2"}
    requeue(task, is_first=False)  # the first one's task
    assert not (tmp_path / "called").exists()
    requeue(task, is_first=True)
    assert (tmp_path / "called").read_text() == "requeue 10_2\n"
