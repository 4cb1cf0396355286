"""Other files that an HDF5 file reads from: by external links, and in virtual datasets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py

from .storage.links import names_of


def linked_files(path: Path) -> list[Path]:
    """Return the files that an HDF5 file names as holding a part of it, and those that these name.

    Files that do not exist are left out; of one that cannot be read, nothing is found.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     h5py.File(f"{folder}/raw.h5", "w").close()
    ...     with h5py.File(f"{folder}/master.h5", "w") as file:
    ...         file["patterns"] = h5py.ExternalLink("raw.h5", "/data")
    ...     [each.name for each in linked_files(Path(folder, "master.h5"))]
    ['raw.h5']
    """
    found: dict[Path, None] = {path.resolve(): None}
    waiting = [path.resolve()]
    while waiting:
        for each in _named_in(waiting.pop()):
            if each.is_file() and each not in found:
                found[each] = None
                waiting.append(each)
    return list(found)[1:]


def _named_in(path: Path) -> list[Path]:
    try:
        with h5py.File(path, "r") as file:
            return [(path.parent / name).resolve() for name in _names(file)]
    except (OSError, RuntimeError, KeyError, ValueError):  # loading it says why
        return []


def _names(group: h5py.Group) -> Iterator[str]:
    for key in names_of(group):
        link = group.get(key, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            yield link.filename
        elif isinstance(link, h5py.HardLink):
            member = group[key]
            if isinstance(member, h5py.Dataset) and member.is_virtual:
                yield from (source.file_name for source in member.virtual_sources())
            elif isinstance(member, h5py.Group):
                yield from _names(member)
