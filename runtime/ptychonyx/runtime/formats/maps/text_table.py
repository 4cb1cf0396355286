"""Numbers in a text file: columns with or without names, as a file of arrays."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ScanError
from ..storage.arrays import MAX_POSITIONS, Header

ENDINGS = (".csv", ".txt", ".dat", ".tsv")
MAX_BYTES = 10**9
_SEPARATOR = re.compile(r"[,;\s]+")


class TextTable:
    r"""A text file with a column for each array; columns without names are "0", "1" and so on.

    Lines that begin with # are left out, but the last of them before the numbers may name the columns.

    Raises
    ------
    ScanError
        If a line has other than as many numbers as the first.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "positions.csv")
    ...     _ = file.write_text("y, x\n1.5, 2\n2.5, 3\n")
    ...     table = TextTable(file)
    >>> table.names, table.read("y").tolist()
    (('y', 'x'), [1.5, 2.5])
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.stat().st_size > MAX_BYTES:
            raise ScanError(f"{path} has more than 1 GB of text; write the positions as HDF5.")
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError as error:
            raise ScanError(
                f"{path} is no text ({error}); lines of numbers are needed: check the path."
            ) from None
        names: list[str] = []
        rows: list[list[float]] = []
        for number, line in enumerate(lines, 1):
            words = [word for word in _SEPARATOR.split(line.strip("# \t")) if word]
            values = _numbers(words)
            if values is None or line.startswith("#"):
                names = words if not rows else names
            elif values:
                self._check(rows, values, number)
                rows.append(values)
        self._columns = np.array(rows, np.float64).reshape(len(rows), -1)
        num = self._columns.shape[1]
        self.names = tuple(names) if len(names) == num else tuple(str(each) for each in range(num))

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def header(self, name: str) -> Header:
        """Return shape and dtype of a column."""
        return Header(name, self.path, self._column(name).shape, np.dtype(np.float64))

    def read(self, name: str, part: int | None = None) -> NDArray[Any]:
        """Return a column, or one of its numbers."""
        column = self._column(name)
        return column if part is None else column[part]

    def _column(self, name: str) -> NDArray[np.float64]:
        if name not in self:
            raise ScanError(
                f"{self.path} has no column `{name}`; it has: {', '.join(self.names)}: correct the map."
            )
        return self._columns[:, self.names.index(name)]

    def _check(self, rows: list[list[float]], values: list[float], number: int) -> None:
        if rows and len(values) != len(rows[0]):
            raise ScanError(
                f"Line {number} of {self.path} has {len(values)} numbers, but the first has "
                f"{len(rows[0])}; as many on each line are needed: correct it."
            )
        if len(rows) >= MAX_POSITIONS:
            raise ScanError(f"{self.path} has more than {MAX_POSITIONS} lines; split the scan.")


def _numbers(words: list[str]) -> list[float] | None:
    try:
        return [float(word) for word in words]
    except ValueError:
        return None
