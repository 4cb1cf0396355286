"""What a product tells of positions that were refined."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ...product import Metadata, name_patterns
from ...scan import Scan
from ..physics.placement import Placement
from .mover import Mover

AT_BOUND = 0.99
"""A pattern is at the bound if it moved by this share of it."""


def moved_scan(scan: Scan, placement: Placement, *, is_moved: bool) -> Scan:
    """Return the scan with its corners where a placement has them; the very same if none moved."""
    if not is_moved:
        return scan
    return replace(scan, corners_px=placement.corners_px + np.array(placement.corner_px))


def describe_moves(scan: Scan, moved: Scan, mover: Mover | None) -> Metadata:
    """Return how far the positions of a scan have moved, and which are at the bound.

    Parameters
    ----------
    scan, moved : Scan
        The scan with its own positions, and with the refined ones.
    mover : Mover or None
        What moved them; None if a product did that they were taken from.

    Returns
    -------
    dict
        `positions_moved_px`, the root mean square of the moves; `positions_refined`, their freedom;
        and, if some are at the bound, `positions_at_bound`, their names.
    """
    lengths_px = np.linalg.norm(moved.corners_px - scan.corners_px, axis=1)
    known: Metadata = {"positions_moved_px": float(np.sqrt(np.square(lengths_px).mean()))}
    if mover is None:
        return known | {"positions_refined": "by the start"}
    known |= {"positions_refined": mover.freedom, "positions_bound_px": mover.largest_px}
    at_bound = np.flatnonzero(lengths_px >= AT_BOUND * mover.largest_px)
    return known | (
        {"positions_at_bound": name_patterns(at_bound.tolist())} if len(at_bound) else {}
    )
