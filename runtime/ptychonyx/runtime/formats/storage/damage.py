"""What to say of a file that a library cannot read."""

from __future__ import annotations

import time
from pathlib import Path

from ...errors import ScanError

STILL_WRITTEN_S = 60
"""A file that was changed so few seconds ago may not be whole yet."""


def damaged(what: str, path: Path, kind: str, error: BaseException) -> ScanError:
    """Return the error for a file, or an array of it, that is no readable file of its kind.

    Parameters
    ----------
    what : str
        Names the file or the array.
    path : Path
    kind : str
        NPZ, HDF5 or NPY.
    error : exception
        What the library raised.
    """
    if isinstance(error, PermissionError):
        return ScanError(f"{path} may not be read ({error}); change its permissions.")
    wait = "wait until it is whole, or " if _is_fresh(path) else ""
    recent = (
        "it was changed a moment ago and is perhaps still being written, or it" if wait else "it"
    )
    return ScanError(
        f"{what} is not a readable {kind} file ({error}); an undamaged file is needed: {recent} may "
        f"be truncated or damaged; {wait}copy it again."
    )


def being_written(path: Path, error: BaseException) -> ScanError:
    """Return the error for a file that another program has locked."""
    return ScanError(
        f"{path} is being written by another program ({error}); a finished file is needed: wait "
        "until it is closed, or read a copy. If its writer died, `h5clear -s` frees it."
    )


def _is_fresh(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime < STILL_WRITTEN_S
    except OSError:
        return False
