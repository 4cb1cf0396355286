"""Any file of arrays, opened by what it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ...errors import ScanError
from ..storage.arrays import ArrayFile
from ..storage.frames import Hdf5Frames, WholeFrames
from ..storage.hdf5 import Hdf5
from ..storage.kinds import kind_of
from ..storage.mat import Mat5, Mat73, is_mat73
from ..storage.npy import Npy
from ..storage.npz import Npz
from .text_table import ENDINGS, TextTable

OPENERS: dict[str, Callable[[Path], ArrayFile]] = {
    "hdf5": lambda path: Mat73(path) if is_mat73(path) else Hdf5(path),
    "npz": Npz,
    "npy": Npy,
    "mat5": Mat5,
}
"""Kind of a file -> what opens it."""
LABELS = {"hdf5": "HDF5", "npz": "NPZ", "npy": "NPY", "mat5": "MATLAB 5"}

Frames = Hdf5Frames | WholeFrames


def open_arrays(path: Path) -> ArrayFile:
    """Open a file of named arrays; nothing is read yet.

    Raises
    ------
    ScanError
        If it is none, or cannot be read.
    """
    if not path.is_file():
        raise ScanError(f"There is no file {path}; check the path.")
    kind = kind_of(path)
    if kind is None and path.suffix.lower() in ENDINGS:
        return TextTable(path)
    if kind is None:
        raise ScanError(
            f"{path} is no file of arrays; HDF5, NPZ, NPY, MATLAB or columns of text "
            f"({', '.join(ENDINGS)}) are needed: give another."
        )
    return OPENERS[kind](path)


def open_frames(
    path: Path, names: Sequence[str], letters: str | None = None, num_images: int | None = None
) -> Frames:
    """Open stacks of images, one behind the other.

    Parameters
    ----------
    path : Path
    names : sequence of str
    letters : str, optional
        A letter for each axis, see `Axes`; of MATLAB's files in MATLAB's order.
    num_images : int, optional
        How many there should be, which can tell the axis that counts them.
    """
    file = open_arrays(path)
    if isinstance(file, Hdf5):
        return Hdf5Frames([(path, name) for name in names], letters, num_images)
    if isinstance(file, Mat73):
        shape = file.header(names[0]).shape
        own = letters or default_matlab_axes(shape, num_images)
        return Hdf5Frames([(path, name) for name in names], own[::-1], num_images)
    if len(names) > 1:
        raise ScanError(
            f"{path} has its patterns in {len(names)} arrays; several are only read from HDF5: put "
            "them into one."
        )
    if isinstance(file, Mat5):
        letters = letters or default_matlab_axes(file.header(names[0]).shape, num_images)
    return WholeFrames(file, names[0], letters, num_images)


def default_matlab_axes(shape: tuple[int, ...], num_images: int | None) -> str:
    """Return which axis is which in MATLAB's order: images first count along the last.

    Examples
    --------
    >>> default_matlab_axes((64, 64, 100), None)
    'yxn'
    """
    if len(shape) == 3 and num_images == shape[0] != shape[2]:
        return "nyx"
    return {2: "yx", 3: "yxn", 4: "yxmn"}.get(len(shape), "")
