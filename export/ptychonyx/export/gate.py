"""How much a model of fewer bits may lose: the gate of all derived models."""

from __future__ import annotations

import numpy as np

from ptychonyx.runtime.comparison.metrics import nrmse, pearson
from ptychonyx.runtime.comparison.region import without_common_phase
from ptychonyx.runtime.model.manifest.verification import HIGHEST_TOLERANCES
from ptychonyx.runtime.product import Product

from .errors import PrecisionLossError

LOWEST_PHASE_PEARSON = 0.999
HIGHEST_COMPLEX_NRMSE = 0.02
"""Bounds on what the object of the calibration scan may differ by from that of the float32 model."""


def difference(after: Product, before: Product) -> dict[str, float]:
    """Compare two objects of one scan.

    They lie on the same canvas, so nothing has to be aligned. Only pixels with at least half of the
    usual overlap count: at the rim of a scan phases are noise, and near ±π.
    """
    assert before.coverage is not None
    usual = np.median(before.coverage[before.coverage > 0])
    is_valid = before.coverage >= usual / 2
    a, b = (
        without_common_phase(product.object_, is_valid, reference=before.object_)
        for product in (after, before)
    )
    return {
        "phase_pearson": pearson(np.angle(a), np.angle(b), is_valid),
        "amplitude_pearson": pearson(np.abs(a), np.abs(b), is_valid),
        "complex_nrmse": nrmse(a, b, is_valid),
    }


def check_difference(
    measured: dict[str, float],
    precision: str,
    lowest_phase_pearson: float = LOWEST_PHASE_PEARSON,
    highest_complex_nrmse: float = HIGHEST_COMPLEX_NRMSE,
) -> None:
    """Refuse a model whose object differs too much.

    Raises
    ------
    PrecisionLossError
        Says by how much it differs, and how much is allowed.
    """
    phase, error = measured["phase_pearson"], measured["complex_nrmse"]
    if not (phase >= lowest_phase_pearson and error <= highest_complex_nrmse):
        raise PrecisionLossError(
            f"In {precision} the object of the calibration scan has phase Pearson {phase:.5f} and "
            f"complex error {error:.4f} against that of the float32 model; needed are at least "
            f"{lowest_phase_pearson} and at most {highest_complex_nrmse}. Calibrate with the scan "
            "the model was trained on, or choose float16; no model file was written."
        )


def tolerance_of(precision: str, largest: float, native: float) -> float:
    """Return by how much a derived model may differ from the network's own answers.

    Twice what was seen is allowed, since other machines round other sums.

    Parameters
    ----------
    precision : str
    largest : float
        Difference that was seen.
    native : float
        Tolerance of the float32 model.

    Raises
    ------
    PrecisionLossError
        If more was seen than any model of this precision may differ by.
    """
    tolerance = min(max(2 * largest, native), HIGHEST_TOLERANCES[precision])
    if largest > tolerance:
        raise PrecisionLossError(
            f"In {precision} the answers of the model to its test differ by {largest:.1e} from those "
            f"of the float32 model; at most {tolerance:g} are allowed. Calibrate with a scan as the "
            "model was trained on, or choose float16; no model file was written."
        )
    return tolerance
