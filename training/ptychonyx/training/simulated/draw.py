"""Draw a scan for a solver network: any object, beam, dose and spacing, with what is wrong in reality."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ptychonyx.runtime import Scan
from ptychonyx.runtime.simulation.objects import OBJECTS
from ptychonyx.runtime.simulation.positions import POSITIONS
from ptychonyx.runtime.simulation.scan import MARGIN_PX, diffract
from ptychonyx.runtime.solving.physics.exit_waves import make_beam
from ptychonyx.runtime.solving.physics.measured import read_measured
from ptychonyx.runtime.solving.physics.placement import (
    Placement,
    common_slices,
    place_windows,
)
from ptychonyx.runtime.solving.physics.sweep import Problem
from ptychonyx.runtime.solving.probe.freedom import with_power

from .beams import beam_diameter_px, draw_beam

CANVAS_PX = 144
"""Side of the canvas on which every drawn scan fits, and on which a network is trained."""
WINDOWS_PX = (32, 48, 64, 64, 64)
MODE_SHARES = (0.35, 0.25, 0.25, 0.15)
FEWEST_PATTERNS, MAX_PATTERNS = 9, 240
LOG_COUNTS = (2.7, 6.8)
OVERLAPS = (0.4, 0.93)
WELL_LIT = 0.1
"""A pixel counts if its light is at least this share of the median between the outermost beams."""
OUTER_WEIGHT = 0.01
"""Weight of well-lit pixels beyond the centers of the outermost beams: little is known of them."""
SMALLEST_STEP_PX = 2.5
MOST_SHRUNK = 3.5
"""What `simulate` draws has detail of three pixels and more; specimens have finer detail, too."""

Complex = NDArray[np.complex64]
Real = NDArray[np.float64]


@dataclass(frozen=True)
class DrawnScan:
    """Hold a scan as passes need it, and the truth.

    Attributes
    ----------
    problem : Problem
        Patterns and positions as they are believed.
    probe : complex64 array, shape (modes, N, N)
        As it is believed.
    truth : complex64 array, shape (H, W)
        On the canvas of the problem's placement.
    weights : float32 array, shape (H, W)
        How much each pixel counts.
    """

    problem: Problem
    probe: Complex
    truth: Complex
    weights: NDArray[np.float32]


def draw_scan(rng: np.random.Generator) -> DrawnScan:
    """Draw a scan at random.

    In half of the scans each of these is wrong: the positions (up to 0.4 px) and the probe (up to a
    sixth of its amplitude); a fifth has a background.

    Examples
    --------
    >>> drawn = draw_scan(np.random.default_rng(1))
    >>> drawn.truth.shape == drawn.problem.placement.shape == drawn.weights.shape
    True
    """
    window_px = int(rng.choice(WINDOWS_PX))
    num_modes = 1 + int(rng.choice(len(MODE_SHARES), p=MODE_SHARES))
    counts = 10 ** rng.uniform(*LOG_COUNTS)
    true_probe = with_power(draw_beam(window_px, num_modes, rng), counts)
    corners_px = _positions(window_px, beam_diameter_px(true_probe), rng)
    errors_px = rng.normal(0, rng.uniform(0, 0.4), corners_px.shape) * (rng.random() < 0.5)
    margin_px = MARGIN_PX + 3
    shape = np.ceil(corners_px.max(axis=0)).astype(int) + window_px + 2 * margin_px
    object_ = draw_object((int(shape[0]), int(shape[1])), rng)
    true_corners_px = np.maximum(corners_px + errors_px, -2) + margin_px
    patterns = diffract(object_, true_probe.astype(np.complex128), true_corners_px, rng)
    if rng.random() < 0.2:
        background = rng.uniform(0, 0.02) * counts / window_px**2
        patterns += rng.poisson(background, patterns.shape).astype(np.uint32)
    probe = _believed(true_probe, rng) if rng.random() < 0.5 else true_probe
    scan = Scan(patterns, "counts", corners_px, name="drawn")
    measured = read_measured(scan, np.arange(len(corners_px)))
    placement = place_windows(corners_px, window_px)
    truth = np.ones(placement.shape, np.complex64)
    there, here = common_slices(
        placement.corner_px, placement.shape, (-margin_px, -margin_px), object_.shape
    )
    truth[there] = object_[here]
    weights = weights_of(placement, probe)
    return DrawnScan(Problem(measured, placement), probe, truth, weights)


def draw_object(shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.complex128]:
    """Draw an object: amplitude and phase of one kind or of two, of one material or independent."""
    names = [*OBJECTS, *OTHER_OBJECTS]
    first = _image(str(rng.choice(names)), shape, rng)
    if rng.random() < 0.5:
        other = first if rng.random() < 0.5 else 1 - first
    else:
        other = _image(str(rng.choice(names)), shape, rng)
    top = rng.uniform(0.7, 1.05)
    depth = top * (0.02 if rng.random() < 0.15 else rng.uniform(0.05, 0.8))
    reach = float(np.exp(rng.uniform(np.log(0.1), np.log(1.5)))) * rng.choice([-1, 1])
    amplitude = np.maximum(top - depth * first, 0.1)
    result: NDArray[np.complex128] = amplitude * np.exp(1j * reach * (2 * other - 1))
    return result


def _image(name: str, shape: tuple[int, int], rng: np.random.Generator) -> Real:
    """Draw an image larger than it will be, and shrink it, for detail of all sizes."""
    shrinking = float(np.exp(rng.uniform(0, np.log(MOST_SHRUNK))))
    large = int(np.ceil(shape[0] * shrinking)), int(np.ceil(shape[1] * shrinking))
    image = (OBJECTS | OTHER_OBJECTS)[name](large, rng)
    image = ndimage.gaussian_filter(image, 0.4 * np.sqrt(shrinking**2 - 1))
    image = ndimage.zoom(image, np.divide(shape, large), order=1, mode="nearest", grid_mode=True)
    low, high = np.percentile(image, (1, 99))
    return np.asarray(np.clip((image - low) / max(high - low, 1e-9), 0, 1))


def _labyrinth(shape: tuple[int, int], rng: np.random.Generator) -> Real:
    """Draw domains as magnetic ones: where a field of one wavelength is positive."""
    frequency = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1]))
    middle = rng.uniform(0.01, 0.12)
    ring = np.exp(-(((frequency - middle) / (middle * rng.uniform(0.2, 0.6))) ** 2) / 2)
    field = np.fft.ifft2(np.fft.fft2(rng.normal(size=shape)) * ring).real
    domains = (field > rng.uniform(-0.7, 0.7) * field.std()).astype(float)
    return np.asarray(ndimage.gaussian_filter(domains, rng.uniform(0.4, 1.0)))


def _blocks(shape: tuple[int, int], rng: np.random.Generator) -> Real:
    """Draw turned rectangles, as of circuits, some of them holes."""
    image = np.zeros(shape)
    y, x = np.indices(shape)
    for _ in range(int(rng.integers(8, 60))):
        angle, middle = rng.uniform(0, np.pi), rng.uniform(0, 1, 2) * shape
        half = np.exp(rng.uniform(np.log(2), np.log(40), 2))
        down = (y - middle[0]) * np.cos(angle) + (x - middle[1]) * np.sin(angle)
        across = (x - middle[1]) * np.cos(angle) - (y - middle[0]) * np.sin(angle)
        inside = (np.abs(down) < half[0]) & (np.abs(across) < half[1])
        image[inside] = rng.choice([rng.random(), 1.0, 0.0])
    return np.asarray(ndimage.gaussian_filter(image, rng.uniform(0.4, 1.0)))


OTHER_OBJECTS = {"labyrinth": _labyrinth, "blocks": _blocks}


def _positions(window_px: int, diameter_px: float, rng: np.random.Generator) -> Real:
    """Draw corners from 0 on, within the canvas."""
    span_px = CANVAS_PX - window_px - 2
    overlap = rng.uniform(*OVERLAPS)
    step_px = max((1 - overlap) * diameter_px, SMALLEST_STEP_PX)
    num = int(np.clip((span_px / step_px + 1) ** 2, FEWEST_PATTERNS, MAX_PATTERNS))
    corners_px = POSITIONS[str(rng.choice(list(POSITIONS)))](num, step_px, rng)
    corners_px = corners_px - corners_px.min(axis=0)
    fitting_px = corners_px[(corners_px <= span_px).all(axis=1)]
    return (
        fitting_px
        if len(fitting_px) >= FEWEST_PATTERNS
        else _positions(window_px, diameter_px, rng)
    )


def _believed(probe: Complex, rng: np.random.Generator) -> Complex:
    """Return a probe as a bad calibration has it, with the same power."""
    fields = ndimage.gaussian_filter(rng.normal(size=(2, *probe.shape)), (0, 0, 2, 2))
    fields /= fields.std()
    error = np.abs(probe).mean() * rng.uniform(0, 0.17) * (fields[0] + 1j * fields[1])
    power = float(np.square(np.abs(probe)).sum())
    return with_power((probe + error).astype(np.complex64), power)


def weights_of(placement: Placement, probe: Complex) -> NDArray[np.float32]:
    """Return how much each pixel of a canvas counts: its light, and where it lies, decide."""
    light = placement.overlaid(make_beam(probe).intensity)
    centers_px = placement.whole_px + probe.shape[-1] // 2
    low, high = centers_px.min(axis=0), centers_px.max(axis=0) + 1
    inside = slice(int(low[0]), int(high[0])), slice(int(low[1]), int(high[1]))
    is_lit = light >= WELL_LIT * np.median(light[inside])
    weights = np.where(is_lit, np.float32(OUTER_WEIGHT), np.float32(0))
    weights[inside] = is_lit[inside]
    return weights
