"""Processor cores: how many the machine has, and how many this process may use."""

from __future__ import annotations

import os
from pathlib import Path

_SMT = Path("/sys/devices/system/cpu/smt/active")
"""Holds 1 where Linux runs two threads on each core (simultaneous multithreading)."""


def num_cores() -> int:
    """Return the number of logical cores that this process may use.

    Examples
    --------
    >>> num_cores() >= 1
    True
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def num_confined_cores() -> int | None:
    """Return the cores this process is confined to, or None if it may use all.

    onnxruntime counts the machine's physical cores by itself; in a confined process it would start
    a thread for each of them.
    """
    allowed = num_cores()
    return allowed if allowed < (os.cpu_count() or 1) else None


def num_physical_cores() -> int:
    """Return the machine's cores; where that is known, two threads of one core count once."""
    is_doubled = _SMT.is_file() and _SMT.read_text().strip() == "1"
    return max(1, (os.cpu_count() or 1) // (2 if is_doubled else 1))
