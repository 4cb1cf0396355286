"""The table of `make gpu`: a line for each thing that was looked at, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

Verdict = Literal["checked", "failed", "needs a GPU"]


@dataclass(frozen=True)
class Line:
    """One line of the table.

    Attributes
    ----------
    what : str
        What was looked at.
    verdict : "checked", "failed" or "needs a GPU"
    detail : str
        What was seen, or why it failed.
    """

    what: str
    verdict: Verdict
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.verdict}: {self.detail}" if self.detail else self.verdict


def table(lines: Sequence[Line]) -> str:
    """Return the lines under each other.

    Examples
    --------
    >>> print(table([Line("cpu", "checked", "3 patterns/s"), Line("tensorrt", "needs a GPU")]))
    cpu       checked: 3 patterns/s
    tensorrt  needs a GPU
    """
    width = max((len(line.what) for line in lines), default=0)
    return "\n".join(f"{line.what:{width}}  {line}" for line in lines)


def summary(lines: Sequence[Line]) -> str:
    """Return how many lines have which verdict.

    Examples
    --------
    >>> summary([Line("cpu", "checked"), Line("cuda", "needs a GPU")])
    '1 checked, 0 failed, 1 needs a GPU'
    """
    counts = dict.fromkeys(("checked", "failed", "needs a GPU"), 0)
    for line in lines:
        counts[line.verdict] += 1
    return ", ".join(f"{number} {verdict}" for verdict, number in counts.items())


def exit_code(lines: Sequence[Line]) -> int:
    """Return 1 if a line failed, else 0: what needs a GPU is no failure where there is none."""
    return int(any(line.verdict == "failed" for line in lines))


def write_json(path: Path, lines: Sequence[Line], facts: dict[str, Any]) -> None:
    """Write facts about the machine and all lines as one JSON document."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = facts | {"lines": [asdict(line) for line in lines]}
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def append_line(path: Path, line: Line) -> None:
    """Leave a line for the process that waits; what comes later cannot take it back."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(line)) + "\n")


def read_lines(path: Path) -> list[Line]:
    """Return the lines that a process left; one that was cut short at its end is left out."""
    if not path.exists():
        return []
    whole = [text for text in path.read_text(encoding="utf-8").splitlines(True) if text[-1] == "\n"]
    return [Line(**json.loads(text)) for text in whole]
