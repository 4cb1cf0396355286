"""Tell a refined probe that is right from one that only fits: predict patterns it has not seen.

A probe that is refined has room enough to fit patterns with a wrong object. But then an object that
is solved with it from some patterns says nothing about the others, although their beams overlap. So
some patterns are left out, the others are solved with the probe as it is, and what that predicts
for those left out is compared with what was measured.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..noise import noise_of_amplitudes
from ..residual import LARGEST_LEFT_OUT, unexplained_share
from .options import Noise
from .part import middle_part
from .passes import Passer
from .physics.disturbances import with_background
from .physics.exit_waves import predict_amplitudes
from .physics.measured import Measured
from .physics.placement import Placement
from .physics.sweep import Problem, first_step_of, start_state
from .start import vacuum

PART_PATTERNS = 128
EVERY = 8
"""One of so many patterns of the part is left out."""
NUM_PASSES = 10
LARGEST_UNEXPLAINED = LARGEST_LEFT_OUT


def unexplained_of_left_out(
    measured: Measured,
    placement: Placement,
    probe: NDArray[np.complex64],
    passer: Passer,
    *,
    noise: Noise,
) -> float | None:
    """Return how much of what differs between left-out patterns a probe leaves unexplained.

    Parameters
    ----------
    measured : Measured
        The patterns, with the disturbances that were found; these are held fixed, too.
    placement : Placement
        Where the patterns lie.
    probe : complex64 array, shape (modes, N, N)
        Held fixed.
    passer : Passer
        Makes the passes.
    noise : "amplitude", "unbiased" or "poisson"

    Returns
    -------
    float or None
        As `Residual.unexplained_differences`, of a few patterns in the middle of the scan; None if
        there are too few.
    """
    (near, around), _ = middle_part(measured, placement, PART_PATTERNS)
    numbers = np.arange(len(near.indexes))
    is_left_out = numbers % EVERY == EVERY // 2
    if is_left_out.sum() < 2:
        return None
    seen, left_out = numbers[~is_left_out], numbers[is_left_out]
    problem = Problem(
        near.only(seen),
        replace(around, whole_px=around.whole_px[seen], fractions_px=around.fractions_px[seen]),
        noise,
    )
    object_ = vacuum(around, passer.power / float(near.counts.mean()))
    state = start_state(object_, probe, first_step_of(problem, object_, probe))
    fixed = replace(passer, refine_probe=False, mover=None, fitter=None)
    for _ in range(NUM_PASSES):
        state = fixed.step(problem, state)
    windows = around.cut(state.object_, left_out)
    predicted = predict_amplitudes(state.beam, windows, around.fractions_px[left_out])
    predicted = with_background(predicted, near.background_of(left_out))
    return _unexplained(predicted, near.even_amplitudes(left_out), near.good)


def _unexplained(
    predicted: NDArray[np.float32], measured: NDArray[np.float32], good: NDArray[np.float32] | None
) -> float | None:
    if good is not None:
        predicted = predicted * good
    counts = np.square(measured, dtype=np.float64)
    each = counts.sum(axis=(1, 2), keepdims=True)
    total = float(each.sum())
    if total == 0:
        return None
    of_mean = np.sqrt(counts.sum(axis=0) / total * each)
    return unexplained_share(
        float(np.square(predicted - measured, dtype=np.float64).sum()) / total,
        of_noise=float(noise_of_amplitudes(np.square(predicted)).sum()) / total,
        of_mean_pattern=float(np.square(of_mean - measured).sum()) / total,
    )
