"""The front door: the one folder that knows all parts, and imports each only when it is needed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from .console.interrupts import end_on_second_interrupt, interrupts_end_at_once
from .console.streams import secure_streams

PUBLIC = ("COMMANDS", "app")
"""What `commands` makes, for those who run commands within a process."""


def main() -> None:
    """Run the command line: exit code 0 success, 1 failure, 2 wrong use, 130 interrupted."""
    with interrupts_end_at_once():  # nothing has begun that could be kept
        secure_streams()
        from .commands import run
    end_on_second_interrupt()
    run()


def __getattr__(name: str) -> Any:
    """Import the commands when they are asked for, and not before `main` is ready for Ctrl-C."""
    if name not in PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.commands"), name)
