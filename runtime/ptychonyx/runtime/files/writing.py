"""Writing files so that each appears whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file under a temporary name beside it, flush it to disk, then rename it.

    Temporary files of this name that processes of this machine left when they were killed are
    removed.

    Parameters
    ----------
    path : Path
        Appears whole or not at all; what was there before is replaced only by the whole file. A
        symbolic link stays one: the file that it names is written.
    write : callable
        Gets the open binary file.
    """
    path = Path(os.path.realpath(path))
    _remove_stale(path)
    temporary = temporary_path(path)
    try:
        with temporary.open("wb+") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all.

    Bytes of file names that are no UTF-8 are written as escapes.
    """
    data = text.encode(errors="backslashreplace")
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


@contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """Make a folder beside a file that will be written, and remove it in the end.

    One that a killed process has left is removed like its temporary files.
    """
    path = Path(os.path.realpath(path))
    _remove_stale(path)
    folder = temporary_path(path)
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def temporary_path(path: Path) -> Path:
    """Return the name under which this process writes a file before it is whole.

    Machine and process are in it, so that a killed process can be told from one at work.

    Examples
    --------
    >>> name = temporary_path(Path("product.h5")).name
    >>> name.startswith(".product.h5."), name.endswith(f"-{os.getpid()}.tmp")
    (True, True)
    """
    return path.with_name(f".{path.name}.{_machine()}-{os.getpid()}.tmp")


def digest_of(path: Path) -> str:
    """Return the sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _machine() -> str:
    return socket.gethostname().partition(".")[0]


def _remove_stale(path: Path) -> None:
    """Remove temporary files of this name whose process, on this machine, is no longer there."""
    if os.name != "posix":  # Windows has no way to ask for a process without touching it
        return
    start = f".{path.name}.{_machine()}-"
    with os.scandir(path.parent) as entries:
        names = [each.name for each in entries if each.name.startswith(start)]
    for name in names:
        number = name.removeprefix(start).removesuffix(".tmp")
        if name.endswith(".tmp") and number.isdecimal() and _is_gone(int(number)):
            left = path.with_name(name)
            if left.is_dir():
                shutil.rmtree(left)
            else:
                left.unlink(missing_ok=True)


def _is_gone(process: int) -> bool:
    try:
        os.kill(process, 0)  # asks, and sends nothing
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False
    return False
