"""The one folder outside of the user's own where something is kept: what a machine was found to do.

Nothing in it is needed: without it, things are measured or built again.
"""

from __future__ import annotations

import os
from pathlib import Path

CACHE_VARIABLE = "PTYCHONYX_CACHE"
"""Environment variable that moves the folder."""


def cache_folder() -> Path:
    """Return the folder, which may not exist yet.

    By default where the system keeps such things: `~/.cache/ptychonyx` on Linux.

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
    from platformdirs import user_cache_path

    return user_cache_path("ptychonyx", appauthor=False)
