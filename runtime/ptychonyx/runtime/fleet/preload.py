"""Set up a local worker of a fleet when Dask starts it."""

from __future__ import annotations

import signal


def dask_setup(worker: object) -> None:
    """Leave Ctrl-C, which a terminal sends to workers, too, to the command that started them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
