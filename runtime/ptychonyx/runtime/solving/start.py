"""What passes start from: the probe in its unit, and an object of the right size."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..comparison.region import spread_indexes
from ..product import Product
from .physics.exit_waves import make_beam, predict_amplitudes
from .physics.measured import Measured
from .physics.placement import Placement, common_slices

FITTED_PATTERNS = 64
"""Patterns that decide the one factor of a given object."""


def vacuum(placement: Placement, counts_ratio: float) -> NDArray[np.complex64]:
    """Return an object that lets through, of a probe's power, what was counted.

    Parameters
    ----------
    placement : Placement
    counts_ratio : float
        q, power of the probe over mean counts.
    """
    return np.full(placement.shape, counts_ratio**-0.5, np.complex64)


def object_of_product(
    product: Product, placement: Placement, elsewhere: NDArray[np.complex64]
) -> NDArray[np.complex64]:
    """Lay the object of a product on the canvas; where it knows nothing, `elsewhere` stays."""
    object_ = elsewhere.copy()
    known = product.object_ != 0 if product.coverage is None else product.coverage > 0
    there, here = common_slices(
        placement.corner_px, placement.shape, product.object_corner_px, product.object_.shape
    )
    np.copyto(object_[there], product.object_[here], where=known[here])
    return object_


def fitting_factor(
    measured: Measured,
    placement: Placement,
    object_: NDArray[np.complex64],
    probe: NDArray[np.complex64],
) -> float:
    """Return the factor c of an object for which |F(P·cO)| fits the measured amplitudes best.

    A network that saw only patterns cannot know how much of the beam its object absorbs.

    Returns
    -------
    float
        Σ A·a / Σ A² over good pixels of patterns that are spread over the scan, where a is that of
        even brightness, or √(Σ (a² − b) / Σ A²) over a background; 1 if the object predicts nothing.
    """
    beam = make_beam(probe)
    chosen = spread_indexes(len(measured.indexes), FITTED_PATTERNS)
    windows = placement.cut(object_, chosen)
    predicted = predict_amplitudes(beam, windows, placement.fractions_px[chosen])
    if measured.good is not None:
        predicted *= measured.good
    power = float(np.vdot(predicted, predicted))
    if power == 0:
        return 1.0
    amplitudes, background = measured.even_amplitudes(chosen), measured.background_of(chosen)
    if background is None:
        return float(np.vdot(predicted, amplitudes)) / power
    good = 1.0 if measured.good is None else measured.good
    counts = float(((np.square(amplitudes) - background) * good).sum(dtype=np.float64))
    return float(np.sqrt(max(counts, 0.0) / power)) or 1.0
