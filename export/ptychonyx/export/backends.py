"""Load the exporter of a backend."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from ptychonyx.runtime.environment import loading
from ptychonyx.training.backends import require_backend


def load_exporter(backend: str) -> ModuleType:
    """Import the exporter of one backend, and nothing of the other one.

    Raises
    ------
    ValueError
        If there is no such backend.
    RuntimeError
        If it is not installed.
    """
    require_backend(backend)
    with loading(backend):
        return import_module(f"ptychonyx.export.{backend}")
