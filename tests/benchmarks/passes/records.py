"""Rows of record in docs/solving: one file a measurement, one line a row, written as they are made."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ptychonyx.runtime import solving

ROOT = Path(__file__).parents[3]
STAR = ROOT.parent / "shared" / "data" / "velociprobe_siemens_star"
RECORDS = ROOT / "docs" / "solving"
BUILD = ROOT / "build" / "solving"
DIGITS = 4

Row = dict[str, Any]


def load(name: str) -> dict[str, Row]:
    """Return the rows of a measurement by their key."""
    path = RECORDS / f"{name}.json"
    rows: list[Row] = json.loads(path.read_text()) if path.exists() else []
    return {row["key"]: row for row in rows}


def keep(name: str, row: Row) -> Row:
    """Put a row in its measurement's file, in place of the one with its key, and print it.

    Several processes may do so at once.
    """
    row = {"key": row["key"], "solver": solver_digest()} | rounded(row)
    RECORDS.mkdir(parents=True, exist_ok=True)
    with _locked(RECORDS):
        rows = load(name) | {row["key"]: row}
        lines = ",\n".join(json.dumps(rows[key]) for key in sorted(rows))
        waiting = RECORDS / f"{name}.json.part"
        waiting.write_text(f"[\n{lines}\n]\n")
        waiting.replace(RECORDS / f"{name}.json")
    print(json.dumps(row), flush=True)
    return row


def is_missing(name: str, key: str, *, again: bool) -> bool:
    """Tell whether a row must be made: there is none, or, if `again`, none of today's solver."""
    row = load(name).get(key)
    return row is None or (again and row["solver"] != solver_digest())


def solver_digest() -> str:
    """Return eight letters that change with the solver's source, or with its network."""
    digest = hashlib.sha256()
    paths = Path(solving.__path__[0]).rglob("*")
    for path in sorted(path for path in paths if path.suffix in (".py", ".onnx")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:8]


def rounded(value: Any) -> Any:
    """Return a value with its floats cut to four digits."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(one) for one in value]
    return value


def figure(rows: dict[str, Row], key: str, field: str) -> float | None:
    """Return a figure of a row; None if the row has not been measured."""
    return float(rows[key][field]) if key in rows else None


def ratio(value: float | None, other: float | None) -> float | None:
    """Return one figure over another; None if either has not been measured."""
    return None if value is None or other is None else value / other


def verdict(what: str, value: float | None, bound: float, *, at_least: bool = False) -> None:
    """Print a figure beside its bound, or that there is none yet; nothing gates on it."""
    if value is None:
        print(f"{what:72} not measured")
        return
    holds = value >= bound if at_least else value <= bound
    sign = "≥" if at_least else "≤"
    print(f"{what:72} {value:9.4g} {sign} {bound:<8.4g} {'holds' if holds else 'CROSSED'}")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
