"""Stacks of images, read piece by piece, whichever axes count them and however many datasets hold them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ScanError
from .arrays import MAX_POSITIONS, REALS, ArrayFile, Header, check_fits, check_kind, check_size
from .hdf5 import MAX_WINDOW_PX, Hdf5, opened, read_rows

DEFAULT_AXES = {2: "yx", 3: "nyx", 4: "mnyx"}
"""Number of dimensions -> which axis is which, if nobody says."""


@dataclass(frozen=True)
class Axes:
    """Which axis of a stack is which.

    Attributes
    ----------
    letters : str
        One for each axis: y and x are those of an image, all others count images.
    """

    letters: str

    def __post_init__(self) -> None:
        letters = self.letters
        if len(set(letters)) != len(letters) or not {"x", "y"} <= set(letters) or len(letters) > 4:
            raise ScanError(
                f"`axes` is {letters!r}; one letter for each axis is needed, y and x for those of an "
                'image: "nyx", "yxn" or, for a raster of images, "mnyx".'
            )

    @property
    def counting(self) -> list[int]:
        """Axes that count images."""
        return [axis for axis, letter in enumerate(self.letters) if letter not in "yx"]

    def sides(self, shape: tuple[int, ...]) -> tuple[int, int, int]:
        """Return (number of images, height, width)."""
        num = math.prod(shape[axis] for axis in self.counting)
        return num, shape[self.letters.index("y")], shape[self.letters.index("x")]

    def arrange(self, block: NDArray[Any]) -> NDArray[Any]:
        """Return a block of images as (n, H, W)."""
        order = [*self.counting, self.letters.index("y"), self.letters.index("x")]
        arranged = block.transpose(order)
        return arranged.reshape(-1, *arranged.shape[-2:])


def axes_of(header: Header, letters: str | None, num_images: int | None = None) -> Axes:
    """Return the axes of a stack; without letters, from its shape and the number of images.

    Raises
    ------
    ScanError
        If the array is no stack of images.

    Examples
    --------
    >>> stack = Header("dp", Path("scan.mat"), (64, 64, 100), np.dtype("f4"))
    >>> axes_of(stack, None, num_images=100).letters
    'yxn'
    """
    check_kind(header, REALS)
    num_dimensions = len(header.shape)
    if letters is None:
        letters = DEFAULT_AXES.get(num_dimensions, "")
        is_last = num_images is not None and header.shape[-1] == num_images != header.shape[0]
        letters = "yxn" if num_dimensions == 3 and is_last else letters
    if len(letters) != num_dimensions:
        raise ScanError(
            f"{header} has shape {header.shape}, which does not fit the axes {letters or 'nyx'!r}; "
            "(n, H, W) or a letter for each axis is needed: say it by `axes` in a map (`--map`)."
        )
    axes = Axes(letters)
    num, height, width = axes.sides(header.shape)
    if num > MAX_POSITIONS:
        raise ScanError(
            f"{header} has shape {header.shape}; at most {MAX_POSITIONS} patterns can be used: check the "
            "axes, or split the scan."
        )
    if max(height, width) > MAX_WINDOW_PX:
        raise ScanError(
            f"{header} has shape {header.shape}; images of at most {MAX_WINDOW_PX} pixels a side are "
            "needed: check the axes."
        )
    return axes


class Hdf5Frames:
    """Images of one or several datasets, one behind the other, opened only while they are read.

    Parameters
    ----------
    parts : sequence of (Path, str)
        Files and datasets, in the order of the scan.
    letters : str, optional
        See `Axes`.
    num_images : int, optional
        How many there should be, which can tell the axis that counts them.

    Raises
    ------
    ScanError
        If a dataset is missing, is not a stack of images, or does not fit the first.
    """

    def __init__(
        self,
        parts: Sequence[tuple[Path, str]],
        letters: str | None = None,
        num_images: int | None = None,
    ) -> None:
        self._parts = tuple(parts)
        self.headers = [Hdf5(path).header(name) for path, name in self._parts]
        first = self.headers[0]
        self._axes = axes_of(first, letters, num_images if len(self._parts) == 1 else None)
        sides = [self._axes.sides(header.shape) for header in self._checked()]
        _, height, width = sides[0]
        for header, (_, *own) in zip(self.headers, sides, strict=True):
            if own != [height, width]:
                raise ScanError(
                    f"{header} has images of {own[0]}×{own[1]}, but {first} has {height}×{width}; images "
                    "of one size are needed: leave one of them out."
                )
        self._starts = np.cumsum([0, *(num for num, *_ in sides)])
        self.dtype = np.result_type(*(header.dtype for header in self.headers))
        check_size(Header(first.name, first.path, (1, height, width), self.dtype))
        self.shape: tuple[int, ...] = (int(self._starts[-1]), height, width)

    def __getitem__(self, key: slice | NDArray[np.int64], /) -> NDArray[Any]:
        """Read the images of one slice, or of some indexes."""
        rows = np.arange(self.shape[0])[key]
        return read_rows(rows, self._read, self.shape, self.dtype)

    def _checked(self) -> list[Header]:
        num_axes = len(self._axes.letters)
        for header in self.headers:
            check_kind(header, REALS)
            if len(header.shape) != num_axes:
                raise ScanError(
                    f"{header} has shape {header.shape}, but the first dataset has {num_axes} axes; "
                    "stacks of one kind are needed: leave one of them out."
                )
        return self.headers

    def _read(self, *parts: slice) -> list[NDArray[Any]]:
        return [self._read_block(part.start, part.stop) for part in parts]

    def _read_block(self, start: int, stop: int) -> NDArray[Any]:
        blocks = []
        for number, (path, name) in enumerate(self._parts):
            first, last = int(self._starts[number]), int(self._starts[number + 1])
            if start < last and stop > first:
                part = slice(max(start, first) - first, min(stop, last) - first)
                blocks.append(self._read_part(path, name, part, self.headers[number].shape))
        return np.concatenate(blocks) if len(blocks) > 1 else blocks[0]

    def _read_part(
        self, path: Path, name: str, part: slice, shape: tuple[int, ...]
    ) -> NDArray[Any]:
        """Read images of one dataset; of a raster, whole lines, of which the wanted are kept."""
        counting = self._axes.counting
        selection = [slice(None)] * len(shape)
        in_line = math.prod(shape[axis] for axis in counting[1:])
        if counting:
            selection[counting[0]] = slice(part.start // in_line, -(-part.stop // in_line))
        with opened(path) as file:
            block = np.asarray(file[name][tuple(selection)])  # links were checked with the header
        skipped = part.start - part.start // in_line * in_line
        return self._axes.arrange(block)[skipped : skipped + part.stop - part.start]


class WholeFrames:
    """Images of an array that can only be unpacked as a whole: at the first slice, then kept.

    Parameters
    ----------
    file : ArrayFile
    name : str
    letters, num_images
        See `Hdf5Frames`.
    """

    def __init__(
        self,
        file: ArrayFile,
        name: str,
        letters: str | None = None,
        num_images: int | None = None,
    ) -> None:
        self._file, self._name = file, name
        header = file.header(name)
        self.headers = [header]
        self._axes = axes_of(header, letters, num_images)
        check_fits(header)
        self.shape: tuple[int, ...] = self._axes.sides(header.shape)
        self.dtype = header.dtype

    @cached_property
    def _array(self) -> NDArray[Any]:
        return np.ascontiguousarray(self._axes.arrange(self._file.read(self._name)))

    def __getitem__(self, key: slice | NDArray[np.int64], /) -> NDArray[Any]:
        """Return the images of one slice, or of some indexes."""
        part: NDArray[Any] = self._array[key]
        return part
