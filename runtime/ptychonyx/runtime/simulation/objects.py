"""Draw images that look like specimens, for the amplitude and the phase of simulated objects.

Each function takes a shape (height, width) in pixels and a random generator, and returns a float64
array of that shape. The range of its values is arbitrary; `draw_object` scales it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Real = NDArray[np.float64]

BLURS_PX = (1, 5, 10)
BLUR_WEIGHTS = (1.0, 2.0, 5.0)
LINE_DENSITY = 0.26
"""Number of lines in `blurred_lines` for each pixel of its mean side: 26 lines on 100×100 pixels."""


def lines(shape: tuple[int, int], rng: np.random.Generator) -> Real:
    """Draw random lines of random width and brightness, softened by a pixel.

    Examples
    --------
    >>> lines((48, 64), np.random.default_rng(0)).shape
    (48, 64)
    """
    image = np.zeros(shape)
    y, x = np.ogrid[: shape[0], : shape[1]]
    for _ in range(max(20, shape[0] * shape[1] // 1200)):
        angle, width = rng.uniform(0, np.pi), rng.uniform(1.0, 3.0)
        along = np.array([np.sin(angle), np.cos(angle)])
        middle = rng.uniform(0, 1, 2) * shape
        length = rng.uniform(0.1, 0.5) * max(shape)
        brightness = rng.uniform(0.3, 1.0)
        reach = np.abs(along) * length / 2 + width
        rows, columns = _box(middle, reach, shape)
        dy, dx = y[rows] - middle[0], x[:, columns] - middle[1]
        across = np.abs(dy * along[1] - dx * along[0])
        inside = (across < width) & (np.abs(dy * along[0] + dx * along[1]) < length / 2)
        image[rows, columns][inside] += brightness
    return _blurred(image, 1.0)


def blurred_lines(shape: tuple[int, int], rng: np.random.Generator) -> Real:
    """Draw thin lines from edge to edge, as the sum of blurs by 1, 5 and 10 px.

    The result has fine lines on slow, strong changes, like the specimens of the PtychoPINN paper
    (Hoidn et al., Scientific Reports 13, 22789 (2023)).

    Examples
    --------
    >>> blurred_lines((48, 64), np.random.default_rng(0)).shape
    (48, 64)
    """
    margin = 3 * BLURS_PX[-1]
    height, width = (side + 2 * margin for side in shape)
    y, x = np.ogrid[:height, :width]
    image = np.zeros((height, width))
    for _ in range(round(LINE_DENSITY * (height + width) / 2)):
        angle = rng.uniform(0, np.pi)
        middle = rng.uniform(0, 1, 2) * (height, width)
        across = (y - middle[0]) * np.cos(angle) - (x - middle[1]) * np.sin(angle)
        image = np.maximum(image, np.clip(1 - np.abs(across), 0, 1))
    blurred = sum(
        weight * _blurred(image, blur_px)
        for weight, blur_px in zip(BLUR_WEIGHTS, BLURS_PX, strict=True)
    )
    return np.asarray(blurred)[margin:-margin, margin:-margin]


def dead_leaves(shape: tuple[int, int], rng: np.random.Generator) -> Real:
    """Draw overlapping disks whose sizes are distributed as in natural scenes: density ∝ radius⁻³.

    Examples
    --------
    >>> dead_leaves((48, 64), np.random.default_rng(0)).shape
    (48, 64)
    """
    image = np.full(shape, 0.5)
    y, x = np.ogrid[: shape[0], : shape[1]]
    smallest, largest = 3.0, max(shape) / 4
    for _ in range(shape[0] * shape[1] // 40):
        uniform = rng.uniform()
        radius = (smallest**-2 - uniform * (smallest**-2 - largest**-2)) ** -0.5
        middle = rng.uniform(-0.1, 1.1, 2) * shape
        brightness = rng.uniform()
        rows, columns = _box(middle, np.array([radius, radius]), shape)
        inside = (y[rows] - middle[0]) ** 2 + (x[:, columns] - middle[1]) ** 2 < radius**2
        image[rows, columns][inside] = brightness
    return _blurred(image, 0.8)


def gaussian_random_field(shape: tuple[int, int], rng: np.random.Generator) -> Real:
    """Draw smooth noise whose power falls with the cube of the frequency.

    Examples
    --------
    >>> gaussian_random_field((48, 64), np.random.default_rng(0)).shape
    (48, 64)
    """
    frequency = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1]))
    filter_ = (frequency + 0.02) ** -1.5 * np.exp(-((frequency / 0.25) ** 4))
    field: Real = np.fft.ifft2(np.fft.fft2(rng.normal(size=shape)) * filter_).real
    return field


def natural(shape: tuple[int, int], rng: np.random.Generator) -> Real:
    """Take one of the photographs inside the scikit-image package, mirrored to fill the shape.

    Nothing is downloaded.

    Raises
    ------
    RuntimeError
        If scikit-image is not installed.
    """
    try:
        from skimage import data
    except ImportError as error:
        raise RuntimeError(
            "Natural images were asked for, but scikit-image, which holds them, is not installed: "
            'pip install "ptychonyx[compare]"'
        ) from error
    photographs = (data.camera, data.coins, data.page, data.text, data.moon)
    image = np.asarray(photographs[rng.integers(len(photographs))](), dtype=np.float64)
    margin = [(0, max(0, side - length)) for side, length in zip(shape, image.shape, strict=True)]
    image = np.pad(image, margin, mode="symmetric")
    y, x = (
        int(rng.integers(0, length - side + 1))
        for side, length in zip(shape, image.shape, strict=True)
    )
    cut = image[y : y + shape[0], x : x + shape[1]]
    return _blurred(cut, 0.8)


def _box(middle: Real, reach: Real, shape: tuple[int, int]) -> tuple[slice, slice]:
    """Return the rows and columns that lie within `reach` of `middle`."""
    low = np.clip(np.floor(middle - reach), 0, shape).astype(int).tolist()
    high = np.clip(np.ceil(middle + reach) + 1, 0, shape).astype(int).tolist()
    return slice(low[0], high[0]), slice(low[1], high[1])


def _blurred(image: Real, sigma_px: float) -> Real:
    from scipy import ndimage  # takes longer to import than all of the runtime

    return np.asarray(ndimage.gaussian_filter(image, sigma_px))


OBJECTS: dict[str, Callable[[tuple[int, int], np.random.Generator], Real]] = {
    "lines": lines,
    "blurred_lines": blurred_lines,
    "dead_leaves": dead_leaves,
    "gaussian_random_field": gaussian_random_field,
    "natural": natural,
}
"""Functions that draw an image from its shape and an rng, by name; its values have any range."""
