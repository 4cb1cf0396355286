"""What compares the patterns of a pass: NumPy and SciPy here, or whatever takes their place."""

from __future__ import annotations

from collections import deque
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..options import Noise
from .exit_waves import Beam, Change, Complex, Real, Workspace, compare_batch

CHUNK = 16
"""Patterns that one thread takes at a time: enough that Python does not matter, and they fit a cache."""


class Comparer(Protocol):
    """Compares chunks of patterns; several threads may ask at the same time."""

    @property
    def providers(self) -> tuple[str, ...]:
        """Execution providers at work, in onnxruntime's names; none where NumPy and SciPy compute."""

    def chunk(self, beam: Beam) -> int:
        """Return how many patterns to give at a time."""

    def compare(
        self,
        beam: Beam,
        windows: Complex,
        fractions_px: NDArray[np.float64],
        measured: Real,
        *,
        good: Real | None,
        noise: Noise,
        with_probe: bool,
        background: Real | None = None,
    ) -> Change:
        """Return what `exit_waves.compare_batch` returns for the same arguments."""


class ScipyComparer:
    """Compare patterns in the threads that ask, each with a workspace of its own.

    Beams of one shape only, as all of one pass are.
    """

    providers = ()

    def __init__(self) -> None:
        self._spare: deque[Workspace] = deque()

    def chunk(self, beam: Beam) -> int:
        """Return how many patterns to give at a time."""
        return CHUNK

    def compare(
        self,
        beam: Beam,
        windows: Complex,
        fractions_px: NDArray[np.float64],
        measured: Real,
        *,
        good: Real | None,
        noise: Noise,
        with_probe: bool,
        background: Real | None = None,
    ) -> Change:
        """Return what `exit_waves.compare_batch` returns for the same arguments."""
        try:
            workspace = self._spare.pop()
        except IndexError:  # all are in use
            workspace = Workspace(CHUNK, beam)
        change = compare_batch(
            beam,
            windows,
            fractions_px,
            measured,
            good=good,
            noise=noise,
            with_probe=with_probe,
            background=background,
            workspace=workspace,
        )
        self._spare.append(workspace)
        return change
