"""The folder of what this machine has measured or built, and may measure or build again."""

from __future__ import annotations

import os
from pathlib import Path

CACHE_VARIABLE = "PTYCHONYX_CACHE"
"""Environment variable that moves the cache folder."""


def cache_folder() -> Path:
    """Return the folder of benchmark results and TensorRT engines of this machine.

    By default where the system keeps such things: `~/.cache/ptychonyx` on Linux. It may not exist
    yet, and may be deleted at any time: things are then measured or built again.

    Examples
    --------
    >>> import os
    >>> os.environ["PTYCHONYX_CACHE"] = "/scratch/me"
    >>> cache_folder().as_posix()
    '/scratch/me'
    >>> del os.environ["PTYCHONYX_CACHE"]
    """
    moved = os.environ.get(CACHE_VARIABLE)
    if moved:
        return Path(moved)
    from platformdirs import user_cache_path  # deferred: it is needed by few, and slow to import

    return user_cache_path("ptychonyx", appauthor=False)
