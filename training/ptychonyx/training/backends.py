"""Which training backends exist, and whether one can run here."""

from __future__ import annotations

import importlib
import importlib.util
from types import ModuleType
from typing import Final

from ptychonyx.runtime.environment import loading

BACKENDS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "tensorflow": ("TensorFlow", ("tensorflow",)),
    "pytorch": ("PyTorch", ("torch", "lightning")),
}
"""Backend name -> the name people know, and the modules it needs."""


def check_backend_name(backend: str) -> str:
    """Return `backend` if it names a backend.

    Raises
    ------
    ValueError
        If it does not; the message names both.

    Examples
    --------
    >>> check_backend_name("pytorch")
    'pytorch'
    """
    if backend not in BACKENDS:
        names = " or ".join(f'"{name}"' for name in BACKENDS)
        raise ValueError(f"`backend` is {backend!r}, expected exactly {names}.")
    return backend


def require_backend(backend: str) -> None:
    """Make sure that `backend` is installed, without importing it.

    Raises
    ------
    ValueError
        If `backend` is not a known name.
    RuntimeError
        If it is not installed; never a fallback to the other one.
    """
    title, modules = BACKENDS[check_backend_name(backend)]
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise RuntimeError(
                f"{title} backend selected, but {module} is not installed. "
                f'Install it with: pip install "ptychonyx[{backend}]"'
            )


def load_backend(backend: str, part: str) -> ModuleType:
    """Import one file (`network`, `probe`, `physics`, `loss`, `train`) of one backend, and nothing else.

    Raises
    ------
    ValueError, RuntimeError
        As `require_backend`.
    """
    require_backend(backend)
    with loading(backend):
        return importlib.import_module(f"ptychonyx.training.{backend}.{part}")
