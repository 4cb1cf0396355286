"""What became of a spoilt file: refused with one of our errors, read as before, read as another, or worse."""

from __future__ import annotations

import dataclasses
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ptychonyx.runtime.errors import ManifestError, NotFiniteError, ProviderError, ScanError

CLEAN, SAME, DIFFERENT = "refused", "same", "different"
NAMELESS, TRACEBACK, HANG, CRASH = "nameless", "traceback", "hang", "crash"
OUTCOMES = (CLEAN, SAME, DIFFERENT, NAMELESS, TRACEBACK, HANG, CRASH)
ALWAYS_FAILURES = (NAMELESS, TRACEBACK, HANG, CRASH)
OURS = (ScanError, ManifestError, NotFiniteError, ProviderError)


class HangError(BaseException):
    """A reader took longer than it may; no reader catches it."""


@dataclass(frozen=True)
class Found:
    """An outcome, and the message or traceback that shows it."""

    outcome: str
    detail: str = ""


def judge(read: Callable[[Path], Any], path: Path, original: Any, atol: float = 0.0) -> Found:
    """Read a spoilt file, and compare with what the whole one held."""
    try:
        result = read(path)
    except HangError:
        return Found(HANG, traceback.format_exc())
    except Exception as error:
        return _judge_error(error, path)
    return Found(SAME if alike(original, result, atol) else DIFFERENT)


def _judge_error(error: Exception, path: Path) -> Found:
    """Tell our errors from a library's: ours name the file, or another of its scan."""
    is_named = str(path.parent) in str(error)
    if is_named and (isinstance(error, OURS) or type(error) in (ValueError, RuntimeError)):
        return Found(CLEAN, str(error))
    what = NAMELESS if isinstance(error, OURS) else TRACEBACK
    return Found(what, "".join(traceback.format_exception(error)))


def alike(one: Any, other: Any, atol: float = 0.0) -> bool:
    """Tell whether two results are equal in every field; NaN equals NaN."""
    if type(one) is not type(other):
        return False
    if dataclasses.is_dataclass(one):
        names = [field.name for field in dataclasses.fields(one)]
        return all(alike(getattr(one, name), getattr(other, name), atol) for name in names)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(alike(one[key], other[key], atol) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(alike, one, other, [atol] * len(one)))
    if isinstance(one, np.ndarray):
        return one.shape == other.shape and one.dtype == other.dtype and _equal(one, other, atol)
    return bool(one == other or (one != one and other != other))


def _equal(one: Any, other: Any, atol: float) -> bool:
    if atol == 0:
        return bool(one.tobytes() == other.tobytes())
    return bool(np.allclose(one, other, rtol=0, atol=atol, equal_nan=True))
