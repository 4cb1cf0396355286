"""Take over brightness and background of patterns from a product that has fitted them."""

from __future__ import annotations

import numpy as np

from ...product import Metadata, Product
from ...scan import Scan
from ..physics.disturbances import Disturbances

SAME_PX = 1e-6
"""Positions that differ by less are the same."""


def is_of_scan(product: Product, scan: Scan) -> bool:
    """Tell whether a product was made of all positions of a scan, as the file has them."""
    given_px = product.corners_px if product.given_corners_px is None else product.given_corners_px
    return given_px.shape == scan.corners_px.shape and np.allclose(
        given_px, scan.corners_px, rtol=0, atol=SAME_PX
    )


def disturbances_to_start_from(scan: Scan, start: Product | None) -> Disturbances | None:
    """Return what a product has fitted of the brightness and background of these very patterns.

    Parameters
    ----------
    scan : Scan
    start : Product or None
        What passes start from.

    Returns
    -------
    Disturbances or None
        None if there is nothing of the kind, or the product is of another scan.
    """
    if start is None or not is_of_scan(start, scan):
        return None
    if start.pattern_factors is None and start.background is None:
        return None
    background = start.background
    return Disturbances(
        start.pattern_factors, None if background is None else np.fft.ifftshift(background)
    )


def describe_taken(disturbances: Disturbances | None) -> Metadata:
    """Return which of both were taken over.

    Examples
    --------
    >>> describe_taken(Disturbances(np.ones(2)))
    {'start_disturbances': 'brightness'}
    """
    if disturbances is None:
        return {}
    taken = {"brightness": disturbances.factors, "background": disturbances.background}
    names = [name for name, values in taken.items() if values is not None]
    return {"start_disturbances": " and ".join(names)}
