"""What moves positions after a pass, by the freedom that they have."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from ..options import Freedom
from ..physics.sweep import Problem, State
from .bounds import FIRST_POSITION_PASS
from .free import move_freely
from .stretch import AFFINE, RIGID, move_together

_WAYS: dict[Freedom, Callable[..., State]] = {
    "rigid": partial(move_together, directions=RIGID),
    "affine": partial(move_together, directions=AFFINE),
    "free": move_freely,
}


@dataclass(frozen=True)
class Mover:
    """How positions may move.

    Attributes
    ----------
    freedom : "rigid", "affine" or "free"
        A turn about the middle of the scan; a turn, stretch and shear; or each pattern by itself.
    largest_px : int
        How far a window may move in all.
    """

    freedom: Freedom
    largest_px: int

    def move(self, problem: Problem, state: State, pool: ThreadPoolExecutor) -> State:
        """Return the state after a pass with its windows moved; the first passes move none."""
        if state.num_passes < FIRST_POSITION_PASS:
            return state
        way = _WAYS[self.freedom]
        return way(problem, state, pool, largest_px=float(self.largest_px))
