"""Ctrl-C: once asks a command to stop, twice ends the process, whatever it is doing.

Imports nothing that takes time, since until then Ctrl-C would end in a traceback.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

INTERRUPTED = 130
"""Exit code after Ctrl-C or SIGTERM."""
GRACE_S = 1.0
"""How long a process may still take after the second signal, to hand it on and to clean up."""


@contextmanager
def interrupts_end_at_once() -> Iterator[None]:
    """End the process at the first Ctrl-C, without a traceback, while nothing has begun yet."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # else whoever started the process ignores it
        signal.signal(signal.SIGINT, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def end_on_second_interrupt() -> None:
    """End the process a moment after the second SIGINT or SIGTERM, even if a library never returns.

    Python runs its own handlers only between two of its instructions. The operating system writes
    the numbers of signals into a socket at once, and a thread reads them there.
    """
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    if hasattr(os, "register_at_fork"):  # a child would write into the socket of its parent
        os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))
    threading.Thread(target=_watch, args=(reader, writer), daemon=True).start()


def _watch(reader: socket.socket, writer: socket.socket) -> None:
    """Count signals; `writer` is only kept open."""
    number = 0
    while number < 2:
        number += sum(byte in (signal.SIGINT, signal.SIGTERM) for byte in reader.recv(64))
    reader.settimeout(GRACE_S)
    with suppress(TimeoutError):
        reader.recv(1)  # a third one ends the grace
    _end()


def _end(number: int = signal.SIGINT, frame: FrameType | None = None) -> None:
    with suppress(OSError):
        os.write(2, b"Interrupted.\n")
    os._exit(INTERRUPTED)


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
