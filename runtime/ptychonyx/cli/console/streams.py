"""Where commands write to people: what fails there never decides about work that is done."""

from __future__ import annotations

import io
import os
import sys
import unicodedata
from contextlib import suppress
from typing import TextIO


def secure_streams() -> None:
    """Give the process all three standard streams, which can write any text.

    A closed one is opened on nothing: else the next file would get its number, and with it what
    libraries print. What a terminal cannot show is written as an escape.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def write_line(text: object, stream: TextIO) -> None:
    """Write a line at once; a stream that takes nothing, like a full disk, is given up."""
    try:
        stream.write(f"{printable(str(text))}\n")
        stream.flush()
    except (OSError, ValueError):  # ValueError: it was closed
        give_up(stream)


def flush_or_give_up(stream: TextIO) -> None:
    """Write what is waiting; what a stream does not take must not fail once more at the exit."""
    try:
        stream.flush()
    except (OSError, ValueError):
        give_up(stream)


def give_up(stream: TextIO) -> None:
    """Lead what is still written to a stream nowhere."""
    with suppress(OSError, ValueError):  # no file is behind it
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def printable(text: str) -> str:
    r"""Return text that a terminal shows and does not obey: control characters as escapes.

    Examples
    --------
    >>> print(printable("σ of \x1b[31mred\nand \udcff"))
    σ of \x1b[31mred
    and \udcff
    """
    return "".join(
        each.encode("unicode_escape").decode()
        if each not in "\n\t" and unicodedata.category(each) in ("Cc", "Cf", "Cs")
        else each
        for each in text
    )


class Unfailing(io.TextIOBase):
    """A stream for progress bars: what cannot be written is lost, and the work goes on."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """What the stream can show."""
        return getattr(self._stream, "encoding", None) or "ascii"

    def isatty(self) -> bool:
        """Tell whether a person reads it."""
        return self._stream.isatty()

    def fileno(self) -> int:
        """Return the number of the stream behind it."""
        return self._stream.fileno()

    def write(self, text: str) -> int:
        """Write if that is possible."""
        with suppress(OSError, ValueError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush if that is possible."""
        with suppress(OSError, ValueError):
            self._stream.flush()
