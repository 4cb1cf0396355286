"""Start the processes of a training on this machine, and end all of them when one has ended."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from types import FrameType
from typing import IO

from ptychonyx.runtime.model.cores import num_cores

from .workers import LAUNCHER

POLL_S = 0.1
GRACE_S = 15.0
"""How long the others may take to end by themselves, once one has failed, and again when asked."""
FORWARDED = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGUSR1")
    if hasattr(signal, name)  # Windows has no SIGUSR1
)


def launch(command: Sequence[str], num: int, environment: Mapping[str, str]) -> int:
    """Run a command as several processes that train one model, and wait for them.

    Each finds its place by LOCAL_RANK and its partners by MASTER_ADDR and MASTER_PORT, or TF_CONFIG.
    Signals are handed on. Once one has failed, the others are ended. What the first one prints is
    shown; if another one failed first, so is its output.

    Parameters
    ----------
    command : sequence of str
    num : int
        Number of processes.
    environment : mapping of str to str
        Variables of all of them. Where it does not say how many threads each may use, they share
        the cores evenly.

    Returns
    -------
    int
        Exit code: 0 if all succeeded, else that of the process which failed first; 1 if it was killed.
    """
    with ExitStack() as stack:
        outputs = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(1, num)]
        processes: list[subprocess.Popen[bytes]] = []
        stack.callback(_end, processes)
        before = {number: signal.getsignal(number) for number in FORWARDED}
        asked: list[int] = []

        def forward(number: int, frame: FrameType | None) -> None:
            asked.append(number)
            for process in processes:
                if process.poll() is None:
                    process.send_signal(number)

        for number in FORWARDED:
            signal.signal(number, forward)
            stack.callback(signal.signal, number, before[number])
        for variables, output in zip(
            _environments(num, environment), [None, *outputs], strict=True
        ):
            processes.append(
                subprocess.Popen(
                    command,
                    env=variables,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,  # a terminal's Ctrl-C comes once, from here
                )
            )
        return _wait(processes, outputs, asked)


def _wait(
    processes: list[subprocess.Popen[bytes]], outputs: Sequence[IO[bytes]], asked: Sequence[int]
) -> int:
    while True:
        codes = [process.poll() for process in processes]
        if all(code == 0 for code in codes):
            return 0
        failed = {rank: code for rank, code in enumerate(codes) if code}
        if failed:
            break
        time.sleep(POLL_S)
    # Several may have failed between two polls; report the likeliest cause: a process that a signal
    # killed, then any exit code but 1.
    rank, code = min(failed.items(), key=lambda each: (each[1] > 0, each[1] == 1, each[0]))
    _wait_for(processes)
    # Processes that were asked to stop end in any order, and the first one has said so already.
    as_asked = bool(asked) and processes[0].poll() == code
    if rank > 0 and not as_asked:
        outputs[rank - 1].seek(0)
        sys.stderr.buffer.write(outputs[rank - 1].read())
        sys.stderr.flush()
    if code > 0:
        return code
    sys.stderr.write(
        f"Process {rank + 1} of {len(processes)} was ended by {signal.Signals(-code).name}, so the "
        "others were stopped. Whole epochs are kept; the same command resumes the run.\n"
    )
    return 1


def _end(processes: list[subprocess.Popen[bytes]]) -> None:
    """End the processes that still run: ask first, and use force after a while."""
    for action in (subprocess.Popen.terminate, subprocess.Popen.kill):
        for process in processes:
            if process.poll() is None:
                action(process)
        if _wait_for(processes):
            return


def _wait_for(processes: list[subprocess.Popen[bytes]]) -> bool:
    """Give all processes a while to end; tell whether they did."""
    deadline = time.monotonic() + GRACE_S
    while any(process.poll() is None for process in processes):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


def _environments(num: int, environment: Mapping[str, str]) -> list[dict[str, str]]:
    main_port, *ports = _free_ports(num + 1)
    threads = str(max(1, num_cores() // num))
    common = {
        "OMP_NUM_THREADS": threads,
        "TF_NUM_INTRAOP_THREADS": threads,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(main_port),
    }
    cluster = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    return [
        common
        | dict(environment)
        | {
            "LOCAL_RANK": str(rank),
            "TF_CONFIG": json.dumps(
                {"cluster": cluster, "task": {"type": "worker", "index": rank}}
            ),
            LAUNCHER: str(os.getpid()),
        }
        for rank in range(num)
    ]


def _free_ports(num: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(num)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
