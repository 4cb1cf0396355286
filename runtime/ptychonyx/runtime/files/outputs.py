"""What a command reads and writes, compared before anything is opened or made."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .writing import temporary_path


@dataclass(frozen=True)
class Output:
    """A file that will be written, or replaced if it is there.

    Attributes
    ----------
    path : Path
    endings : tuple of str
        Its name must end in one of them, in small letters or capitals; empty: any name will do.
    is_folder_made : bool
        Whether the folders above it are made if they are missing.
    is_stream : bool
        Whether it is written line by line while others read, so that it may be a pipe or a terminal.
    what : str
        How messages call it.
    """

    path: Path
    endings: tuple[str, ...] = ()
    is_folder_made: bool = False
    is_stream: bool = False
    what: str = "output"


@dataclass(frozen=True)
class OutputFolder:
    """A folder that is made if it is missing, and gets files of which not all names are known.

    Attributes
    ----------
    path : Path
    is_emptied : bool
        Whether what it holds is deleted.
    """

    path: Path
    is_emptied: bool = False


def check_outputs(inputs: Iterable[Path], outputs: Iterable[Output | OutputFolder]) -> None:
    """Refuse outputs that would destroy an input or each other, or cannot be written at all.

    Nothing is opened or made. Links are resolved, and two names of one file count as that file.

    Parameters
    ----------
    inputs : iterable of path
        Every file that will be read; a folder stands for all files in it.
    outputs : iterable of Output or OutputFolder
        Every file and folder that will be written.

    Raises
    ------
    ValueError
        Names the output, and what to do.

    Examples
    --------
    >>> check_outputs([Path("scan.h5")], [Output(Path("./scan.h5"))])
    Traceback (most recent call last):
    ...
    ValueError: The output scan.h5 is the input scan.h5 itself, which would be destroyed; give \
another name for the output.
    """
    read = {_identity(file): file for path in inputs for file in (path, *_files_in(path))}
    named: set[object] = set()
    for output in outputs:
        if isinstance(output, OutputFolder):
            _check_folder(output, list(read.values()))
            continue
        identity = _identity(output.path)
        if identity in read:
            raise ValueError(
                f"The {output.what} {output.path} is the input {read[identity]} itself, which would "
                "be destroyed; give another name for the output."
            )
        if identity in named:
            raise ValueError(
                f"The {output.what} {output.path} is named twice, and the second would replace the "
                "first; give each output a name of its own."
            )
        named.add(identity)
        _check_file(output)


def is_same_file(a: Path, b: Path) -> bool:
    """Tell whether two names are of one file, which need not exist yet.

    Examples
    --------
    >>> is_same_file(Path("product.h5"), Path("./product.h5"))
    True
    """
    return _identity(a) == _identity(b)


def _check_file(output: Output) -> None:
    what, path = f"The {output.what} {output.path}", output.path
    if output.endings and not path.name.lower().endswith(output.endings):
        one_of = "one of: " if len(output.endings) > 1 else ""
        raise ValueError(
            f"The {output.what} is {path}; its name must end in {one_of}{', '.join(output.endings)}."
        )
    real = Path(os.path.realpath(path))
    mode = _mode(real)
    if mode is not None and stat.S_ISDIR(mode):
        raise ValueError(f"{what} is a folder, but a file is written; give the name of a file.")
    if mode is not None and not stat.S_ISREG(mode):
        if output.is_stream:
            return
        raise ValueError(
            f"{what} is no regular file but a link to itself, a pipe or a device; give another name."
        )
    if mode is not None and not os.access(real, os.W_OK):
        raise ValueError(
            f"{what} is there and may not be changed; give another name, or allow writing."
        )
    if not output.is_folder_made and not real.parent.is_dir():
        raise ValueError(f"There is no folder {real.parent} for {path.name}; make it first.")
    _check_place(real.parent, what)
    try:
        temporary_path(real).exists()
    except OSError as error:
        raise ValueError(f"{what} cannot be made ({error}); give another name.") from None


def _check_folder(output: OutputFolder, read: Iterable[Path]) -> None:
    real = Path(os.path.realpath(output.path))
    what = f"The output folder {output.path}"
    if real.exists() and not real.is_dir():
        raise ValueError(f"{what} is a file; give the name of a folder.")
    _check_place(real, what)
    if output.is_emptied:
        for path in read:
            if Path(os.path.realpath(path)).is_relative_to(real):
                raise ValueError(
                    f"The folder {output.path} would be deleted with the input {path} in it; give "
                    "another folder for the output."
                )


def _check_place(folder: Path, what: str) -> None:
    """Refuse a folder in which nothing can be made; of folders to be made, the first that exists."""
    there = next(each for each in (folder, *folder.parents) if each.exists())
    if not there.is_dir():
        raise ValueError(f"{what} lies in {there}, which is a file; give another place.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ValueError(
            f"{what} cannot be made, since nothing may be written in {there}; give another place, or "
            "allow writing there."
        )


def _files_in(path: Path) -> list[Path]:
    return [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else []


def _identity(path: Path) -> object:
    """Return what two names of one file have in common: its inode, or where it would be made."""
    real = Path(os.path.realpath(path))
    for there in (real, *real.parents):
        try:
            status = there.stat()
        except OSError:  # it does not exist
            continue
        return status.st_dev, status.st_ino, real.relative_to(there).as_posix()
    return real


def _mode(path: Path) -> int | None:
    """Return what a path is; None if there is nothing."""
    try:
        return path.lstat().st_mode
    except OSError:
        return None
