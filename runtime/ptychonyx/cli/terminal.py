"""How commands speak and end: lines, tables, signals, exit codes."""

from __future__ import annotations

import logging
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, NoReturn, Protocol

import typer

if TYPE_CHECKING:
    from rich.console import Console

INTERRUPTED = 130
"""Exit code after Ctrl-C or SIGTERM."""


def say(line: str) -> None:
    """Print what was done to stdout, unless only errors are wanted."""
    if logging.getLogger("ptychonyx").isEnabledFor(logging.WARNING):
        typer.echo(line)


def print_table(title: str, values: dict[str, str]) -> None:
    """Print names and values to stdout."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, show_header=False)
    for key, value in values.items():
        table.add_row(key, value)
    Console().print(table)


def print_columns(title: str, names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows of numbers under their names to stdout."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title)
    for index, name in enumerate(names):
        table.add_column(name, justify="right" if index else "left")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def as_text(value: object) -> str:
    """Return a value as a person reads it.

    Examples
    --------
    >>> as_text(0.12345), as_text((1.0, None))
    ('0.1235', '1.0000, not known')
    """
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, tuple):
        return ", ".join(as_text(part) for part in value)
    return "not known" if value is None else str(value)


class Show(Protocol):
    """Takes the number done so far, and where they change, the number of all and the title."""

    def __call__(self, done: int, *, total: int | None = None, title: str | None = None) -> None:
        """Draw it."""


@contextmanager
def progress_bar(title: str, total: int | None) -> Iterator[Show]:
    """Yield what takes the number done so far.

    Nothing is drawn where stderr is not a terminal, or only errors are wanted.

    Parameters
    ----------
    title : str
    total : int or None
        None: nobody knows.
    """
    if not sys.stderr.isatty() or not logging.getLogger("ptychonyx").isEnabledFor(logging.WARNING):
        yield lambda done, *, total=None, title=None: None
        return
    from rich.progress import Progress

    with Progress(transient=True, console=error_console()) as bar:
        task = bar.add_task(title, total=total)

        def show(done: int, *, total: int | None = None, title: str | None = None) -> None:
            bar.update(task, completed=done, total=total, description=title)

        yield show


def error_console() -> Console:
    """Return the console of progress bars: stderr, so that results can be piped."""
    from rich.console import Console

    return Console(stderr=True)


def fail(error: object, code: int) -> NoReturn:
    """Print an error to stderr and end with an exit code."""
    typer.echo(error, err=True)
    sys.exit(code)


@contextmanager
def stop_on_signal(*more: int) -> Iterator[list[int]]:
    """Yield a list of the signals by which the user or the system asked to stop, empty at first.

    These are SIGINT, SIGTERM and `more`. The second signal is not caught: it ends the process at once.
    """
    stopped: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM, *more)
    before = {number: signal.getsignal(number) for number in numbers}

    def stop(number: int, frame: FrameType | None) -> None:
        stopped.append(number)
        for each, handler in before.items():
            signal.signal(each, handler)

    for number in before:
        signal.signal(number, stop)
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
