"""Where the data of an HDF5 file really lie: in other files only if these are HDF5 and beside it.

A file may name any other file of the machine, as raw bytes, by a link or as the source of a virtual
dataset, and HDF5 follows without a word. NeXus files need links; raw bytes nobody needs.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import h5py

from ...errors import ScanError

MAX_DEPTH = 8
"""Links to links, and virtual datasets of virtual datasets."""


def names_of(group: h5py.Group) -> tuple[str, ...]:
    """Return the names of the members of a group, sorted.

    h5py's own loop over a group lets HDF5 make a sorted table first, and if a byte of the names is
    damaged, some releases (1.14 is one) free that table before it is filled, which ends the process.

    Examples
    --------
    >>> with h5py.File("names.h5", "w", driver="core", backing_store=False) as file:
    ...     file["probe"] = file["object"] = 1.0
    ...     names_of(file)
    ('object', 'probe')
    """
    names: list[bytes] = []
    group.id.links.iterate(names.append, order=h5py.h5.ITER_NATIVE)
    return tuple(name.decode("utf-8", "surrogateescape") for name in sorted(names))


def find(file: h5py.File, name: str) -> Any:
    """Return a group or dataset, whose data may be read, or None if there is none of this name.

    Raises
    ------
    ScanError
        If its data lie in a file that is not HDF5, is missing, or is not in the folder of this one.
    """
    return _find(file, name, _folder_of(file), 0)


def _find(file: h5py.File, name: str, folder: Path, depth: int) -> Any:
    found = _walk(file["/"], name, folder, depth)
    if found is not None and not _is_inside(folder, Path(found.file.filename)):
        raise _outside(found.file.filename, f"`{name}` of {file.filename}", folder)
    if isinstance(found, h5py.Dataset):
        _check_storage(found, folder, depth)
    return found


def _walk(group: h5py.Group, path: str, folder: Path, depth: int) -> Any:
    """Follow a path link by link, since h5py would follow all of them at once."""
    if depth > MAX_DEPTH:
        raise ScanError(
            f"{group.file.filename} has links to links to links ({path}); at most {MAX_DEPTH} are "
            "followed: link to the data themselves."
        )
    found: Any = group.file["/"] if path.startswith("/") else group
    for part in filter(None, path.split("/")):
        if not isinstance(found, h5py.Group) or not found.id.links.exists(part.encode()):
            return None
        kind = found.id.links.get_info(part.encode()).type
        if kind == h5py.h5l.TYPE_SOFT:
            target = os.fsdecode(found.id.links.get_val(part.encode()))
            found = _walk(found, target, folder, depth + 1)
            continue
        if kind == h5py.h5l.TYPE_EXTERNAL:
            target = os.fsdecode(found.id.links.get_val(part.encode())[0])
            _check_target(found, part, _check_file(target, _name(found, part), folder))
        found = found[part]
    return found


def _name(group: h5py.Group, part: str) -> str:
    return f"`{group.name.rstrip('/')}/{part}` of {group.file.filename}"


def _check_target(group: h5py.Group, part: str, file: Path) -> None:
    """Refuse an external link into a file that is no HDF5 file, or lacks what is linked."""
    inside = os.fsdecode(group.id.links.get_val(part.encode())[1])
    if not h5py.is_hdf5(file):
        raise ScanError(
            f"{_name(group, part)} lies in another file, {file.name}, which is no readable HDF5 file; "
            "a whole one is needed: copy it again."
        )
    try:
        group[part]
    except KeyError:
        raise ScanError(
            f"{_name(group, part)} is `{inside}` of another file, {file.name}, which does not have it; "
            "copy all files of the scan again."
        ) from None


def _check_storage(dataset: h5py.Dataset, folder: Path, depth: int) -> None:
    what = f"`{dataset.name}` of {dataset.file.filename}"
    if dataset.id.get_create_plist().get_external_count():
        raw = os.fsdecode(dataset.id.get_create_plist().get_external(0)[0])
        raise ScanError(
            f"The data of {what} are the raw bytes of another file, {raw}, which may be any file of "
            "this machine; data inside HDF5 files are needed: repack it with `h5repack`."
        )
    if dataset.is_virtual:
        sources = {(source.file_name, source.dset_name) for source in dataset.virtual_sources()}
        for file_name, name in sorted(sources):
            _check_source(dataset, file_name, name, folder, depth)


def _check_source(
    dataset: h5py.Dataset, file_name: str, name: str, folder: Path, depth: int
) -> None:
    """Look at the dataset that a virtual one is made of, which may be virtual itself."""
    what = f"`{dataset.name}` of {dataset.file.filename}"
    if "%" in file_name or "%" in name:
        raise ScanError(
            f"{what} is made of files that are counted ({file_name}), which cannot be checked; a "
            "list of files is needed: copy it into one file with `h5repack`."
        )
    if depth > MAX_DEPTH:
        raise ScanError(
            f"{what} is made of virtual datasets of virtual datasets; at most {MAX_DEPTH} are "
            "followed: copy it into one file with `h5repack`."
        )
    if file_name == ".":
        _find(dataset.file, name, folder, depth + 1)
        return
    with h5py.File(_check_file(file_name, what, folder), "r") as file:
        if _find(file, name, folder, depth + 1) is None:
            raise ScanError(
                f"{what} is made of `{name}` of {file_name}, which that file does not have; copy "
                "all files of the scan again."
            )


def _check_file(name: str, what: str, folder: Path) -> Path:
    """Return the file that a link names, if it may be read."""
    target = folder / name  # an absolute name stays as it is
    if Path(name).is_absolute() and not target.exists():
        target = folder / target.name  # as HDF5 does, for files that were moved together
    if not _is_inside(folder, target):
        raise _outside(name, what, folder)
    if not target.is_file():
        raise ScanError(
            f"{what} lies in another file, {name}, which is missing; it is needed: copy it to "
            f"{target}."
        )
    return target


def _outside(name: str, what: str, folder: Path) -> ScanError:
    return ScanError(
        f"{what} lies in another file, {name}, outside the folder {folder}; only files in that "
        "folder are read, since a scan could name any file: put it there and link it."
    )


def _is_inside(folder: Path, path: Path) -> bool:
    return path.resolve().is_relative_to(folder)


def _folder_of(file: h5py.File) -> Path:
    return Path(os.fsdecode(file.filename)).resolve().parent
