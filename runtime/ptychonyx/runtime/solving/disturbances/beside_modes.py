"""Tell light that is in all patterns alike from a mode that a probe lacks.

Both fill what would be dark in a pattern, so a further mode takes up much of a background, and a
background much of a mode. They differ where the beam sends little light: there a mode has little, too,
while a detector adds as much as elsewhere.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..physics.sweep import State
from ..stopping import CLEARLY_WORSE, HeldBack, standard_errors

SMALLEST_LEAD = 1.05
"""A background must take away so many times what a mode takes away of the held-back misfit: 1.06 to 1.2
where patterns have 5 % of background and the probe lacks two modes or none, 0.4 to 1.02 where it lacks
one and they have none."""
SMALLEST_SHARE = 0.2
"""Share of the misfit beyond photon noise that it must take away: 0.26 to 0.98 with 5 % of background,
0.1 on the real star with its three modes, and up to 0.2 where a probe lacks a second mode."""
LARGEST_UNEVENNESS = 0.6
"""Of a background in the darker half of the pixels (standard deviation over mean): up to 0.53 of one
that the detector added; 0.66 and more of what stands for a missing mode."""


def is_background(
    held_back: HeldBack, *, without: State, with_mode: State, with_background: State
) -> bool:
    """Tell whether a scan has a background rather than one mode more.

    Parameters
    ----------
    held_back : HeldBack
        What the states were made of, and are judged by.
    without, with_mode, with_background : State
        After as many passes: with neither, with one more mode, and with a background fitted.

    Returns
    -------
    bool
        True if the background explains pixels that were held back better than the mode does, much of
        what is no photon noise, and is about even where patterns are dark.
    """
    fitted = with_background.disturbances
    if fitted is None or fitted.background is None:
        return False
    # by amplitudes, whose photon noise is known, however the passes weigh differences
    judged = held_back.counted_as("amplitude")
    losses = [judged.losses(each) for each in (without, with_mode, with_background)]
    before, of_mode, left = (float(each.sum()) for each in losses)
    worse_of_mode, _ = standard_errors(losses[1:])
    is_better = worse_of_mode > CLEARLY_WORSE and before - left > SMALLEST_LEAD * (before - of_mode)
    is_much = before - left > SMALLEST_SHARE * (before - held_back.noise(with_background))
    return (
        bool(is_better and is_much)
        and _unevenness(held_back, fitted.background) < LARGEST_UNEVENNESS
    )


def _unevenness(held_back: HeldBack, background: NDArray[np.float32]) -> float:
    """Return standard deviation over mean of a background, in the darker half of the good pixels."""
    measured = held_back.problem.measured
    mean = np.square(measured.kept).mean(axis=0, dtype=np.float64)
    is_good = np.ones(mean.shape, np.bool_) if measured.good is None else measured.good > 0
    dark = background[is_good & (mean <= np.median(mean[is_good]))].astype(np.float64)
    return float(dark.std() / dark.mean()) if dark.any() else float("inf")
