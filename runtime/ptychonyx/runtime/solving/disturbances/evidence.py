r"""Tell from a solved scan whether its patterns differ in brightness, or have light in common.

Both tests ask how much of the misfit that photon noise does not explain one step of the fit would take
away, as the misfit is to second order. Errors of the probe and of positions leave misfits, too, but of
another kind: they make patterns brighter here and darker there, while a background only adds.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ...comparison.region import spread_indexes
from ...product import Metadata
from ...residual import Residual
from ..physics.disturbances import Disturbances
from ..physics.sweep import Problem, State
from .fitter import Fitter
from .sums import Light, light_of

NUM_PATTERNS = 256
SMALLEST_SPREAD = 0.03
"""Of the brightness of patterns, beyond photon noise: the real star has 0.017 by errors of its probe."""
SMALLEST_SHARE = 0.005
"""Of the counts that are in all patterns alike."""
SMALLEST_GAIN = 0.1
"""Share of the misfit beyond photon noise that brightness must take away at least: 0.03 on the real star,
0.8 where patterns vary by 20 % and nothing else is wrong."""
SMALLEST_BACKGROUND_GAIN = 0.05
"""The same of a background, less since the object has taken up most of it: 0.09 to 0.37 where it has 5 %
of the counts."""
LARGEST_OPPOSITE = 0.15
"""So much of what a background gains may be gained where patterns lack light, which none explains. With
5 % of background it is 0.09 and less, with a mode missing 0.3, and 1.04 on the real star, where as many
pixels have too much light as have too little."""
SMALLEST_CLEAR = 0.05
"""Share of the pixels that must clearly have more light than is predicted: with a background 0.24 to 0.6."""
CLEAR = 3.0
"""Standard errors by which a pixel must have more light than is predicted."""


def describe_fit(fitted: Disturbances, counts: float) -> Metadata:
    """Return how much the fitted factors vary (rms), and the share of the background in the counts.

    Parameters
    ----------
    fitted : Disturbances
    counts : float
        Mean counts of a pattern.

    Examples
    --------
    >>> describe_fit(Disturbances(np.array([0.9, 1.1]), np.ones((2, 2), np.float32)), 8.0)
    {'intensity_spread': 0.1, 'background_share': 0.5}
    """
    known: Metadata = {}
    if fitted.factors is not None:
        known["intensity_spread"] = round(float(fitted.factors.std()), 6)
    if fitted.background is not None:
        known["background_share"] = float(fitted.background.sum()) / counts
    return known


def needs_of(
    problem: Problem,
    state: State,
    residual: Residual,
    pool: ThreadPoolExecutor,
    *,
    fitter: Fitter | None,
) -> Metadata:
    """Return what a scan needs that was not fitted, with its size.

    Parameters
    ----------
    problem : Problem
    state : State
        After the last pass; what it or the problem has of disturbances is not needed.
    residual : Residual
        What that state leaves unexplained.
    pool : ThreadPoolExecutor
    fitter : Fitter or None
        What was fitted.

    Returns
    -------
    dict
        `intensity_needed`, how much brightness varies (rms), and `background_needed`, the share of
        counts that all patterns have in common at least; what is not needed is missing.
    """
    excess = residual.total - residual.of_noise
    if not problem.measured.are_photons:
        excess = residual.total
    chosen = spread_indexes(len(problem.measured.indexes), NUM_PATTERNS)
    light = light_of(problem, state, pool, chosen=chosen)
    needs: Metadata = {}
    known = problem.at(state).measured.disturbances or Disturbances()
    if known.factors is None and not (fitter and fitter.intensity):
        needs |= need_of_intensity(light, excess)
    if known.background is None and not (fitter and fitter.background):
        needs |= need_of_background(light, excess)
    return needs


def need_of_intensity(light: Light, excess: float) -> Metadata:
    """Return how much the brightness of patterns varies, if that explains much of what is unexplained.

    Parameters
    ----------
    light : Light
    excess : float
        Misfit beyond photon noise, as a share of the counts.

    Examples
    --------
    >>> image, predicted = np.zeros((1, 1)), np.full(60, 1e6)
    >>> counted = predicted * np.tile([0.9, 1.1], 30)
    >>> need_of_intensity(Light(counted, predicted, image, image, image, image), 0.003)
    {'intensity_needed': 0.060782}
    """
    is_lit = (light.predicted > 0) & (light.counted > 0)
    if not is_lit.any():
        return {}
    counted, predicted = light.counted[is_lit], light.predicted[is_lit]
    ratios = counted / predicted
    ratios /= np.median(ratios)
    # of a normal distribution, 90 % lie within 3.29 standard deviations; single patterns do not decide
    low, high = np.percentile(ratios, [5, 95])
    spread = float(np.sqrt(max(0.0, ((high - low) / 3.29) ** 2 - float((1 / counted).mean()))))
    gain = float((np.square(np.sqrt(ratios) - 1) * predicted).sum() / counted.sum())
    if spread < SMALLEST_SPREAD or gain < SMALLEST_GAIN * excess:
        return {}
    return {"intensity_needed": round(spread, 6)}


def need_of_background(light: Light, excess: float) -> Metadata:
    """Return the share of the counts in all patterns alike, if it explains much of what is unexplained.

    Parameters are those of `need_of_intensity`.

    Examples
    --------
    >>> counts, image = np.full(60, 1e4), np.ones((10, 10))
    >>> light = Light(counts, counts, image, 100 * image, 100 * image, 60 * image)
    >>> need_of_background(light, 0.01)  # one count more in each of 100 pixels
    {'background_needed': 0.01}
    >>> need_of_background(Light(counts, counts, image, -image, image, image), 0.01)
    {}
    """
    is_known = light.curvature > 0
    pull, curvature = light.pull[is_known], light.curvature[is_known]
    counts = light.counted.sum()
    gains = np.square(pull) / curvature / counts
    gain, opposite = float(gains[pull > 0].sum()), float(gains[pull < 0].sum())
    is_clear = 2 * pull > CLEAR * np.sqrt(curvature)
    share = float((pull / curvature)[is_clear].sum()) / float(light.counted.mean())
    is_everywhere = is_clear.sum() >= SMALLEST_CLEAR * len(pull)
    is_one_sided = opposite <= LARGEST_OPPOSITE * gain
    is_much = share >= SMALLEST_SHARE and gain >= SMALLEST_BACKGROUND_GAIN * excess
    if not (is_everywhere and is_one_sided and is_much):
        return {}
    return {"background_needed": round(share, 6)}
