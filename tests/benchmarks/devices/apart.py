"""Run checks in processes of their own, with a time limit, so that none can hide the others."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

from .lines import Line, append_line, read_lines

Task = Callable[[], str]
"""Looks at one thing and returns what it saw; whatever it raises is a failure."""
SHORTEST_S = 2.0
"""With less time left, no further process is started."""
LONGEST_REASON = 300


@dataclass(frozen=True)
class Check:
    """Things that are looked at in one process.

    Attributes
    ----------
    name : str
    tasks : mapping of str to function
        What is looked at -> the function that does it, in this order.
    limit_s : float
        Seconds for all of them.
    needs_gpu : bool
        Whether they make sense only where a GPU is.
    environment : str
        Which Python runs them: "runtime", "pytorch" or "tensorflow".
    variables : mapping of str to str
        Environment variables of the process.
    """

    name: str
    tasks: Mapping[str, Task]
    limit_s: float
    needs_gpu: bool = False
    environment: str = "runtime"
    variables: Mapping[str, str] = field(default_factory=dict)


def run_all(
    checks: Sequence[Check],
    command: Callable[[Check, Path], Sequence[str]],
    *,
    has_gpu: bool,
    budget_s: float,
    clock: Callable[[], float] = perf_counter,
) -> Iterator[Line]:
    """Run checks one after the other within a time; yield the lines of each when it is done.

    Parameters
    ----------
    checks : sequence of Check
    command : callable
        Returns the command that runs a check and leaves its lines in a file.
    has_gpu : bool
        Without one, checks that need it are not run.
    budget_s : float
        Seconds for all checks; what does not fit has failed, and says so.
    clock : callable
        Tells the time in seconds.
    """
    end_s = clock() + budget_s
    for check in checks:
        if check.needs_gpu and not has_gpu:
            yield from (Line(what, "needs a GPU") for what in check.tasks)
            continue
        limit_s = min(check.limit_s, end_s - clock())
        if limit_s < SHORTEST_S:
            why = f"no time was left of {budget_s:.0f} s"
            yield from (Line(what, "failed", why) for what in check.tasks)
            continue
        yield from run_apart(check, command, limit_s)


def run_apart(
    check: Check, command: Callable[[Check, Path], Sequence[str]], limit_s: float
) -> list[Line]:
    """Run a check in a process of its own; what it did not come to has failed."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "lines")
        end = _end_of(command(check, path), check.variables, limit_s)
        said = {line.what: line for line in read_lines(path)}
    return [said.get(what) or Line(what, "failed", end) for what in check.tasks]


def _end_of(command: Sequence[str], variables: Mapping[str, str], limit_s: float) -> str:
    """Run a command to its end and say how it ended; all processes that it began end with it."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as errors:
        try:
            process = subprocess.Popen(
                command,
                env=os.environ | dict(variables),
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )
        except OSError as error:
            return f"it could not be started ({error})"
        try:
            code = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            return f"it was not done within {limit_s:.0f} s"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        errors.seek(0)
        last = errors.read().strip().splitlines()[-1:]
    how = f"signal {-code}" if code < 0 else f"code {code}"
    return ": ".join([f"its process ended with {how}", *last])[:LONGEST_REASON]


def run_tasks(check: Check, path: Path) -> None:
    """Do the tasks of a check in this process, and leave a line for each."""
    for what, task in check.tasks.items():
        try:
            line = Line(what, "checked", task())
        except Exception as error:  # whatever it is, the tasks that follow are looked at, too
            reason = " ".join(str(error).split()) or type(error).__name__
            line = Line(what, "failed", reason[:LONGEST_REASON])
        append_line(path, line)
