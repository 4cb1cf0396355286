"""Which network corrects the passes: the one that ships with Ptychonyx, one of a file, or none."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from ..options import NO_SOLVER, SHIPPED_SOLVER
from .correction import Network
from .from_model import open_solver

SHIPPED = Path(__file__).with_name("solver.onnx")
"""The model file that is part of this package; `models/solver` says what it was trained on."""

OpenNetwork = Callable[[], Network | None]
"""Opens a network when it is needed; None if there is nothing that could run it."""


def network_of(solver: str) -> OpenNetwork | None:
    """Return what opens a network, or None if there shall be none.

    The file of a name that was given is opened at once, so that what is wrong with it is said before
    any work. The network that ships is opened when a scan needs it, which most do not.

    Parameters
    ----------
    solver : str
        "shipped", "none" or the path of a model file; see `SolvingOptions.solver`.

    Raises
    ------
    ManifestError, ProviderError, ValueError, RuntimeError
        As `open_solver` raises them.

    Examples
    --------
    >>> network_of("none") is None, network_of("shipped") is open_shipped
    (True, True)
    """
    if solver == NO_SOLVER:
        return None
    if solver == SHIPPED_SOLVER:
        return open_shipped
    network = open_solver(solver)
    return lambda: network


def open_shipped() -> Network | None:
    """Open the network that ships; None if onnxruntime, which is an extra, is not installed."""
    return open_solver(SHIPPED) if find_spec("onnxruntime") else None
