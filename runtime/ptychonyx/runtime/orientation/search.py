"""Find which way round patterns and positions are, or say that it cannot be told."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..plausibility import Finding
from ..residual import LARGEST_UNEXPLAINED
from ..scan import Scan, some_of
from ..solving.options import SolvingOptions
from ..solving.solve import solve
from ..turns import FLIPS, NO_TURN, Turn
from .explained import POSITION_TURNS, Explained, all_turns, explain

CLEARLY_BETTER = 0.6
"""A way that leaves less than this share of what another leaves is clearly better."""
NUM_PASSES = 3
PASSED_PATTERNS = 96
TRIED_PATTERNS = 40
FLAT = 1e-3
"""An object that varies by less is a place holder, and knows nothing."""
NUM_CONFIRMED = 2
NO_PROBE = "cannot be told without a trusted probe: give one of this beam, from another scan, with `--probe`"
MIRROR = (
    "A mirror image of everything, patterns, positions, probe and object alike, cannot be told."
)


@dataclass(frozen=True)
class Orientation:
    """What was found about the orientation of a scan.

    Attributes
    ----------
    verdict : "right", "wrong" or "unknown"
        Whether the scan as it is explains its patterns, another way does clearly better, or
        neither can be said.
    best : Turn
        The way that explains the patterns best; the untouched one unless the verdict is "wrong".
    ways : tuple of Explained
        What was tried, the best first.
    reason : str
        The verdict in words.
    """

    verdict: str
    best: Turn
    ways: tuple[Explained, ...]
    reason: str


def check_orientation(
    scan: Scan,
    *,
    probe: NDArray[np.complex64] | None = None,
    object_: NDArray[np.complex64] | None = None,
    with_passes: bool = True,
) -> Orientation:
    """Find which way of turning patterns and positions explains a scan.

    With a probe and an object that did not come from these patterns, some 32 of them decide. An
    object that came from patterns the wrong way round explains none; then a few passes over a part
    of the scan decide among all ways, with the probe alone. Without a probe nothing can be told.

    Parameters
    ----------
    scan : Scan
        Its patterns may stay on disk.
    probe : complex64 array, shape (modes, N, N), optional
        Instead of that of the scan.
    object_ : complex64 array, shape (H, W), optional
        Instead of that of the scan, at the same place.
    with_passes : bool
        Whether passes are made where the object does not decide: some seconds.

    Returns
    -------
    Orientation

    Examples
    --------
    >>> from ptychonyx.runtime import SimulationOptions, simulate_scan
    >>> scan = simulate_scan(SimulationOptions(num_patterns=49, window_px=32), np.random.default_rng(0))
    >>> check_orientation(Turn(flip="x").apply(scan)).best.options
    '--flip x'
    """
    probe = scan.probe if probe is None else probe
    object_ = scan.object_ if object_ is None else object_
    if probe is None:
        return Orientation("unknown", NO_TURN, (), f"The orientation {NO_PROBE}.")
    own: tuple[Explained, ...] = ()
    if object_ is not None and float(np.std(object_)) > FLAT * float(np.abs(object_).mean()):
        (own_way,) = own = tuple(explain(scan, object_, probe, [NO_TURN]))
        if _is_good(own_way):
            return _right(own_way, own)
        ways = tuple(_sorted(explain(scan, object_, probe, all_turns(scan.window_px))))
        if _is_good(ways[0]) and ways[0].residual < CLEARLY_BETTER * own_way.residual:
            return _decided(own_way, ways)
        own = ways
    if not with_passes:
        reason = "Neither way round do the scan's probe and object explain its patterns."
        return Orientation("unknown", NO_TURN, own, reason)
    return _by_passes(scan, probe)


def orientation_finding(found: Orientation) -> Finding | None:
    """Return what is to be said of an orientation, or None if the scan is the right way round."""
    if found.verdict != "wrong":
        return None
    cure = f"read it with `{found.best.options}`"
    return Finding("orientation", found.reason, cure, is_wrong=False)


def _right(own: Explained, ways: tuple[Explained, ...]) -> Orientation:
    reason = (
        f"Patterns and positions are the right way round: {100 * own.residual:.2g} % of the measured "
        f"amplitude is left unexplained. {MIRROR}"
    )
    return Orientation("right", NO_TURN, ways, reason)


def _decided(own: Explained, ways: tuple[Explained, ...]) -> Orientation:
    best = ways[0]
    rivals = [
        way for way in ways if best.residual > CLEARLY_BETTER * way.residual and _differs(way, best)
    ]
    if rivals:
        named = " or ".join(f"`{way.turn.options or 'as it is'}`" for way in (best, *rivals[:2]))
        reason = f"The orientation cannot be told: {named} explain the patterns alike"
        return Orientation("unknown", NO_TURN, ways, f"{reason}, as with a beam that is symmetric.")
    if best.turn == NO_TURN:
        return _right(best, ways)
    reason = (
        f"Turned, the patterns are explained clearly better: {100 * best.residual:.2g} % of the "
        f"measured amplitude is left unexplained, {100 * own.residual:.2g} % as it is"
    )
    return Orientation("wrong", best.turn, ways, reason)


def _differs(way: Explained, best: Explained) -> bool:
    return way.turn != best.turn


def _by_passes(scan: Scan, probe: NDArray[np.complex64]) -> Orientation:
    """Decide by a few passes over the middle of the scan, with each way that is still possible."""
    turns = [
        replace(of_positions, flip=flip) for flip in ("", *FLIPS) for of_positions in POSITION_TURNS
    ]
    first = _sorted([_passed(scan, probe, turn, TRIED_PATTERNS, 1) for turn in turns])
    chosen = [way.turn for way in first[: 2 * NUM_CONFIRMED]]
    if NO_TURN not in chosen:
        chosen.append(NO_TURN)
    ways = tuple(
        _sorted([_passed(scan, probe, turn, PASSED_PATTERNS, NUM_PASSES) for turn in chosen])
    )
    own = next(way for way in ways if way.turn == NO_TURN)
    if not _is_good(ways[0]):
        reason = "No way round do passes with this probe explain the patterns: is it of this beam?"
        return Orientation("unknown", NO_TURN, ways, reason)
    return _decided(own, ways)


def _passed(
    scan: Scan, probe: NDArray[np.complex64], turn: Turn, num: int, passes: int
) -> Explained:
    """Return what a few passes over the middle of a turned scan leave."""
    middle = np.median(scan.corners_px, axis=0)
    distances = np.square(scan.corners_px - middle).sum(axis=1)
    chosen = np.sort(np.argsort(distances, kind="stable")[:num])
    part = replace(turn.apply(some_of(scan, chosen)), object_=None)
    options = SolvingOptions(passes=passes, residual_patterns=num)
    metadata = solve(part, options, probe=probe).metadata
    share = metadata.get("unexplained_differences")
    return Explained(turn, float(metadata["residual"]), None if share is None else float(share))


def _is_good(way: Explained) -> bool:
    return way.unexplained is not None and way.unexplained <= LARGEST_UNEXPLAINED


def _sorted(ways: list[Explained]) -> list[Explained]:
    return sorted(ways, key=lambda way: way.residual)
