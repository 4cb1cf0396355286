"""How commands speak and end: lines, tables, progress bars, exit codes."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn, Protocol

from .interrupts import INTERRUPTED as INTERRUPTED
from .interrupts import stop_on_signal as stop_on_signal
from .streams import Unfailing, printable, write_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text


def say(line: str) -> None:
    """Print what was done to stdout, unless only errors are wanted.

    It is done by then, so a full disk or a reader that is gone changes nothing.
    """
    if logging.getLogger("ptychonyx").isEnabledFor(logging.WARNING):
        write_line(line, sys.stdout)


def complain(line: object) -> None:
    """Print what failed to stderr."""
    write_line(line, sys.stderr)


def print_table(title: str, values: dict[str, str]) -> None:
    """Print names and values to stdout."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=_cell(title), show_header=False)
    for key, value in values.items():
        table.add_row(_cell(key), _cell(value))
    Console().print(table)


def print_columns(title: str, names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows of numbers under their names to stdout."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=_cell(title))
    for index, name in enumerate(names):
        table.add_column(_cell(name), justify="right" if index else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(_cell, row))
    Console().print(table)


def _cell(text: str) -> Text:
    """Return text that rich prints as it is, whatever brackets are in it."""
    from rich.text import Text

    return Text(printable(text))


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

    def __call__(self, done: float, *, total: int | None = None, title: str | None = None) -> None:
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

        def show(done: float, *, total: int | None = None, title: str | None = None) -> None:
            bar.update(task, completed=done, total=total, description=title)

        yield show


def error_console() -> Console:
    """Return the console of progress bars: stderr, so that results can be piped."""
    from rich.console import Console

    return Console(file=Unfailing(sys.stderr))  # type: ignore[arg-type]


def fail(error: object, code: int) -> NoReturn:
    """Print an error to stderr and end with an exit code."""
    complain(error)
    sys.exit(code)
