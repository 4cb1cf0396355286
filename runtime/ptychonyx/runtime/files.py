"""Writing files so that nothing is half written, and nothing that was read is destroyed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

CACHE_VARIABLE = "PTYCHONYX_CACHE"
"""Environment variable that moves the cache folder."""


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file under a temporary name beside it, flush it to disk, then rename it.

    Parameters
    ----------
    path : Path
        Appears whole or not at all; what was there before is replaced only by the whole file.
    write : callable
        Gets the open binary file.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb+") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all."""
    data = text.encode()
    write_atomically(path, lambda file: file.write(data))


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write a JSON object, whole or not at all.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_json(Path(folder, "run.json"), {"epoch": 3})
    ...     print(Path(folder, "run.json").read_text(), end="")
    {
      "epoch": 3
    }
    """
    write_text(path, json.dumps(values, indent=2) + "\n")


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


def refuse_destroying_inputs(
    inputs: Iterable[Path],
    *,
    written: Iterable[Path] = (),
    emptied: Iterable[Path] = (),
) -> None:
    """Refuse outputs that would destroy an input, before anything is opened.

    Links are resolved, and two names of one file count as that file.

    Parameters
    ----------
    inputs : iterable of path
        Every file and folder that will be read; of a folder, all files in it count.
    written : iterable of path
        Files that will be written or replaced.
    emptied : iterable of path
        Folders whose contents will be deleted.

    Raises
    ------
    ValueError
        Names the output and the input.

    Examples
    --------
    >>> refuse_destroying_inputs([Path("scan.h5")], written=[Path("./scan.h5")])
    Traceback (most recent call last):
    ...
    ValueError: The output scan.h5 is the input scan.h5 itself, which would be destroyed; give \
another name for the output.
    """
    read = {_identity(file): file for path in inputs for file in (path, *_files_in(path))}
    outputs: set[object] = set()
    for output in written:
        identity = _identity(output)
        if identity in read:
            raise ValueError(
                f"The output {output} is the input {read[identity]} itself, which would be destroyed; "
                "give another name for the output."
            )
        if identity in outputs:
            raise ValueError(
                f"The output {output} is named twice, and the second would replace the first; give "
                "each output a name of its own."
            )
        outputs.add(identity)
    for folder in emptied:
        for path in read.values():
            if path.resolve().is_relative_to(folder.resolve()):
                raise ValueError(
                    f"The folder {folder} would be deleted with the input {path} in it; give "
                    "another folder for the output."
                )


def _files_in(path: Path) -> list[Path]:
    return [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else []


def _identity(path: Path) -> object:
    """Return what two names of one file have in common: its inode, or where it would be made."""
    try:
        status = path.stat()
    except OSError:  # it does not exist
        return path.resolve()
    return status.st_dev, status.st_ino
