"""What a network sees of a pass over a scan: images of the object, and numbers as flat images.

Nothing here depends on the side N of the patterns, on the number of modes or on the beam, so one
network serves every scan. What it returns is a change of the object in the same unit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..physics.sweep import State

FEATURE_VERSION = 1
"""Of the list below; a network trained with another version cannot be used."""
FEATURES = (
    "real part of the pass' change",
    "imaginary part of the pass' change",
    "the same times the light, real part",
    "the same times the light, imaginary part",
    "real part of the change before",
    "imaginary part of the change before",
    "real part of the network's last correction",
    "imaginary part of the network's last correction",
    "real part of the object",
    "imaginary part of the object",
    "square root of the light",
    "logarithm of the photon noise",
    "logarithm of how much the pass changed",
    "logarithm of the residual",
    "logarithm of the share of the first misfit that was no noise",
    "logarithm of the number of the pass",
)
NUM_FEATURES = len(FEATURES)
LARGEST_CHANGE = 8.0
"""Changes are cut at so many units, so that a single pixel cannot lead a network astray."""
LARGEST_OBJECT = 4.0
LIT = 0.2
"""Pixels with at least this share of the brightest one's light count fully in the unit, which is what
the pass changed, and what photon noise alone would leave, both as root mean squares."""
SMALLEST_UNIT = 0.01
"""Of the object: passes that change nothing any more may still be corrected by so much at once."""
SMALLEST_NOISE, LARGEST_NOISE = 1e-4, 1.0

Complex = NDArray[np.complex64]
Real = NDArray[np.float32]


@dataclass(frozen=True)
class Features:
    """Hold the input of a network, and the unit of its output.

    Attributes
    ----------
    images : float32 array, shape (NUM_FEATURES, H, W)
        What the network sees, in the order of `FEATURES`.
    unit : float
        What a correction of 1 means, as a complex transmission.
    """

    images: Real
    unit: float


def features_of(before: State, after: State, light: Real) -> Features:
    """Return what a network sees after a pass.

    Parameters
    ----------
    before, after : State
        Before and after the pass, on one canvas.
    light : float32 array, shape (H, W)
        Σ_j Σ_m |P_jm|² in counts; some of it must be above 0.

    Examples
    --------
    >>> from ..physics.sweep import start_state
    >>> probe, light = np.ones((1, 4, 4), np.complex64), np.full((8, 8), 100, np.float32)
    >>> before = start_state(np.ones((8, 8), np.complex64), probe)
    >>> after = start_state(np.full((8, 8), 1.5, np.complex64), probe)
    >>> features = features_of(before, after, light)
    >>> features.images.shape, round(features.unit, 3), round(float(features.images[0, 0, 0]), 3)
    ((16, 8, 8), 0.565, 0.885)
    """
    object_ = after.object_
    change = object_ - before.object_
    share = light / light.max()
    size = float(np.sqrt(_mean(np.square(np.abs(object_)), light)))
    lit, noise = np.minimum(share / np.float32(LIT), 1), _noise(light)
    changed, noisy = (
        float(np.sqrt(_mean(np.square(np.abs(each)), lit))) for each in (change, noise)
    )
    unit = changed + min(noisy, LARGEST_NOISE * size) + SMALLEST_UNIT * size
    images = np.empty((NUM_FEATURES, *object_.shape), np.float32)
    correction = np.zeros_like(change) if before.correction is None else before.correction
    changes = (change, change * share, before.last_change, correction)
    for number, image in enumerate(changes):
        _put(images[2 * number : 2 * number + 2], image / np.float32(unit), LARGEST_CHANGE)
    _put(images[8:10], object_ / np.float32(size), LARGEST_OBJECT)
    images[10] = np.sqrt(share)
    images[11] = _logarithm(noise / np.float32(size))
    images[12:] = np.array(
        [
            _logarithm(changed / size),
            _logarithm(after.residual),
            _logarithm(before.first_step),
            np.log10(1.0 + before.num_passes),
        ],
        np.float32,
    )[:, None, None]
    return Features(images, unit)


def _put(target: Real, image: Complex, largest: float) -> None:
    np.clip(image.real, -largest, largest, out=target[0])
    np.clip(image.imag, -largest, largest, out=target[1])


def _mean(values: Real, weights: Real) -> float:
    return float(np.vdot(values, weights)) / float(weights.sum())


def _noise(light: Real) -> Real:
    """Return the standard deviation of an object that photon noise alone would leave: 1/(2√light).

    Each pixel of a pattern's amplitude has the variance 1/4 (see `noise`), and so has each pixel of
    the exit wave behind it; the object is their mean with the weights |P|².
    """
    return np.asarray(0.5 / np.sqrt(np.maximum(light, np.float32(1e-12))), np.float32)


def _logarithm(value: float | Real) -> Real:
    """Return log10 of a noise, a change or a share, moved so that usual values lie about 0."""
    return np.asarray(np.log10(np.clip(value, SMALLEST_NOISE, LARGEST_NOISE)) + 2, np.float32)
