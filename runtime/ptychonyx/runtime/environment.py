"""How frameworks are loaded: with which environment variables, and without their notes."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Final

LEVEL: Final = "TF_CPP_MIN_LOG_LEVEL"
"""What TensorFlow logs: 0 all, 1 without notes, 2 without warnings, 3 only what ends the process."""

FRAMEWORKS: Final[Mapping[str, Mapping[str, str]]] = {
    # its wheels for GPUs keep an identity of the device, and report to their maker
    "onnxruntime": {"ORT_DISABLE_TELEMETRY": "1"},
    # A lower level tells of errors where there are none: on every machine without a GPU, for one.
    # What really fails comes as an exception of Python.
    "tensorflow": {LEVEL: "3"},
    # Threads of OpenMP that wait for others spin for milliseconds otherwise, on the core that another
    # process could have, or the very thread they wait for. This is for some microseconds.
    "pytorch": {"GOMP_SPINCOUNT": "2000"},
}
"""Framework -> environment variables it is loaded with, and their values."""

STDERR = 2

FILTER: Final = """
import re, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)  # ends when the process that loads has closed the pipe
header = rb"WARNING: All log messages before absl::InitializeLog"
note = re.compile(rb"I\\d{4} |" + header + rb"|To enable the following instructions")
for line in sys.stdin.buffer:
    if not note.match(line):
        sys.stderr.buffer.write(line)
        sys.stderr.buffer.flush()
"""
"""Program that copies lines to stderr, all but those by which TensorFlow marks a note."""


def prepare_for(framework: str, environment: MutableMapping[str, str] | None = None) -> None:
    """Set the environment variables that a framework is loaded with; it must not be loaded yet.

    Variables that are set already keep their values, so that a user can choose others.

    Parameters
    ----------
    framework : "onnxruntime", "tensorflow" or "pytorch"
    environment : mapping of str to str, optional
        Where they are set; by default the environment of this process.

    Examples
    --------
    >>> environment: dict[str, str] = {}
    >>> prepare_for("tensorflow", environment)
    >>> environment
    {'TF_CPP_MIN_LOG_LEVEL': '3'}
    >>> environment = {"TF_CPP_MIN_LOG_LEVEL": "0"}
    >>> prepare_for("tensorflow", environment)
    >>> environment
    {'TF_CPP_MIN_LOG_LEVEL': '0'}
    """
    chosen = os.environ if environment is None else environment
    for name, value in FRAMEWORKS[framework].items():
        chosen.setdefault(name, value)


@contextlib.contextmanager
def loading(framework: str) -> Iterator[None]:
    """Set what a framework is loaded with, and keep its notes from the terminal while it is loaded.

    TensorFlow writes some notes before it reads the level that forbids them. While it is loaded,
    and only then, a process of its own passes on what comes to stderr, all but such notes; it does
    so even if loading ends this process. With `TF_CPP_MIN_LOG_LEVEL=0` nothing is held back.

    Examples
    --------
    >>> with loading("pytorch"):
    ...     pass  # here it is imported
    """
    prepare_for(framework)
    is_noisy = framework == "tensorflow" and "tensorflow" not in sys.modules
    with without_notes() if is_noisy and os.environ[LEVEL] != "0" else contextlib.nullcontext():
        yield


@contextlib.contextmanager
def without_notes() -> Iterator[None]:
    """Hold back lines that TensorFlow marks as notes; every other line reaches stderr."""
    try:
        stderr = os.dup(STDERR)
    except OSError:  # stderr is closed: nothing can appear there
        yield
        return
    sys.stderr.flush()
    command = [sys.executable, "-I", "-S", "-c", FILTER]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as passing:
        assert passing.stdin is not None
        os.dup2(passing.stdin.fileno(), STDERR)
        passing.stdin.close()
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(stderr, STDERR)  # closes the pipe, so that the other process ends
            os.close(stderr)
