r"""Positions that move all together: a turn about their middle, or a stretch and shear with it.

The object moves with them. Where all beams p become C + (1 + E)(p − C), and the object is stretched
likewise, a pattern sees the same pixels but for the stretch inside its own window:

    ∂ψ_m/∂E_ab = −P_m ∂_a O · r_b

with r counted from the middle of the beam. So a few patterns tell the four numbers of E by one
Gauss-Newton step, where positions that move over a fixed object would have to drag it along.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ...comparison.region import spread_indexes
from ..physics.comparing import CHUNK
from ..physics.disturbances import with_background
from ..physics.exit_waves import SMALLEST_AMPLITUDE, predicted_amplitudes
from ..physics.fourier import transform
from ..physics.moves import unmoved
from ..physics.sweep import Problem, State
from ..probe.freedom import center_of

STRETCH_PATTERNS = 256
LARGEST_STEP = 0.02
"""Of a length, or of a turn in radians, in one pass."""
SMALLEST_STEP_PX = 1e-3
"""An object whose farthest pixel moves by less is left as it is."""
OVERSTEP = 1.5
"""The object keeps some of the stretch that it was drawn with, so that steps are too small."""
AFFINE = np.eye(4)
"""Directions that E may take, row by row: all four numbers of (E_yy, E_yx, E_xy, E_xx)."""
RIGID = np.array([[0.0, 1.0, -1.0, 0.0]])
"""A turn alone."""

Complex = NDArray[np.complex64]
Real64 = NDArray[np.float64]


def move_together(
    problem: Problem,
    state: State,
    pool: ThreadPoolExecutor,
    *,
    directions: Real64,
    largest_px: float,
) -> State:
    """Return the state with all windows, and the object, turned or stretched about their middle.

    Parameters
    ----------
    problem : Problem
        Its canvas must have a margin of at least `largest_px`.
    state : State
        After a pass.
    pool : ThreadPoolExecutor
    directions : float64 array, shape (k, 4)
        `AFFINE` or `RIGID`.
    largest_px : float
        How far a window may move along each axis in all.
    """
    step = OVERSTEP * stretch_of(problem, state, pool, directions=directions)
    stretch = np.clip(step, -LARGEST_STEP, LARGEST_STEP)
    moves = state.moves or unmoved(len(problem.placement.whole_px))
    corners_px = problem.placement.corners_px
    middle_px = corners_px.mean(axis=0)
    now_px = corners_px + moves.total_px
    total_px = now_px + (now_px - middle_px) @ stretch.T - corners_px
    total_px -= total_px.mean(axis=0)
    farthest_px = float(np.linalg.norm(total_px, axis=1).max())
    total_px *= min(1, largest_px / max(farthest_px, 1e-9))
    beam_px = problem.placement.window_px // 2 + center_of(state.beam.intensity)
    return replace(
        state,
        moves=replace(moves, total_px=total_px),
        object_=_stretched(state.object_, stretch, middle_px + beam_px),
        last_change=_stretched(state.last_change, stretch, middle_px + beam_px),
    )


def stretch_of(
    problem: Problem, state: State, pool: ThreadPoolExecutor, *, directions: Real64
) -> Real64:
    """Return E (2, 2), one Gauss-Newton step along some directions."""
    problem = problem.at(state)
    chosen = spread_indexes(len(problem.measured.indexes), STRETCH_PATTERNS)
    chunks = [chosen[start : start + CHUNK] for start in range(0, len(chosen), CHUNK)]
    steepness = steepness_of(state.object_)
    parts = list(pool.map(lambda chunk: _slopes_of_chunk(problem, state, steepness, chunk), chunks))
    pull = directions @ np.sum([pull for pull, _ in parts], axis=0)
    curvature = directions @ np.sum([curvature for _, curvature in parts], axis=0) @ directions.T
    along, *_ = np.linalg.lstsq(curvature, pull, rcond=1e-6)
    return np.asarray(along @ directions).reshape(2, 2)


def _slopes_of_chunk(
    problem: Problem, state: State, steepness: tuple[Complex, Complex], chunk: NDArray[np.int64]
) -> tuple[Real64, Real64]:
    """Return Σ Jᵀ(a − A), shape (4,), and Σ JᵀJ, shape (4, 4), of some patterns."""
    beam, placement, side = state.beam, problem.placement, problem.placement.window_px
    fractions_px = placement.fractions_px[chunk]
    windows = placement.cut(state.object_, chunk)[:, None]
    probes = beam.shifted(fractions_px)
    waves = transform(probes * windows)
    known = problem.measured
    predicted = with_background(predicted_amplitudes(waves), known.background_of(chunk))
    measured, good = known.even_amplitudes(chunk), known.good_of(chunk)
    good = np.ones((side, side), np.float32) if good is None else good
    residual = (measured - predicted) * good
    middle_px = side // 2 + center_of(beam.intensity)
    from_middle_px = (np.arange(side) - middle_px[:, None]).astype(np.float32)
    slopes = np.empty((4, *predicted.shape), np.float32)
    for axis, image in enumerate(steepness):
        seen = probes * placement.cut(image, chunk)[:, None]
        for other, distance_px in enumerate((from_middle_px[0][:, None], from_middle_px[1][None])):
            changed = transform(-seen * distance_px)
            slopes[2 * axis + other] = (waves.conj() * changed).real.sum(axis=1)
    slopes *= good / (predicted + SMALLEST_AMPLITUDE)
    flat = slopes.reshape(4, -1).astype(np.float64)
    return flat @ residual.ravel().astype(np.float64), flat @ flat.T


def steepness_of(object_: Complex) -> tuple[Complex, Complex]:
    """Return ∂O along y and x, per pixel, from two neighbours on either side.

    Examples
    --------
    >>> down, across = steepness_of(np.arange(8)[:, None] ** 2 * np.ones((1, 8), np.complex64))
    >>> round(float(down[3, 0].real), 3), round(float(across[3, 3].real), 3)
    (6.0, 0.0)
    """

    def along(axis: int) -> Complex:
        near = np.roll(object_, -1, axis) - np.roll(object_, 1, axis)
        far = np.roll(object_, -2, axis) - np.roll(object_, 2, axis)
        return np.asarray(near * np.float32(2 / 3) - far * np.float32(1 / 12))

    return along(0), along(1)


def _stretched(image: Complex, stretch: Real64, middle_px: Real64) -> Complex:
    """Return an image whose pixel at C + (1 + E)(x − C) is what was at x."""
    farthest_px = np.abs(stretch).sum() * max(image.shape)
    if farthest_px < SMALLEST_STEP_PX:
        return image
    from scipy import ndimage

    back = np.linalg.inv(np.eye(2) + stretch)
    offset = middle_px - back @ middle_px
    stretched = ndimage.affine_transform(image, back, offset, order=3, mode="nearest")
    return np.asarray(stretched, np.complex64)
