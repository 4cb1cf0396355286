r"""How far the objects of a batch are from the truth: the formula of both backends, and its oracle.

With the corrected object O, the truth T and weights w that sum to 1, the error is E = O − T·u, where
u = ⟨T, O⟩/|⟨T, O⟩| takes the global phase away, which no pattern tells. The loss of a scan is

    ln( Σ w |E|² / Σ w |T|² + 2 Σ w (|∂_y E|² + |∂_x E|²) / Σ w |T|² + ε )

The differences of neighbours make fine detail count as much as slow waves; the logarithm makes a
scan of many photons count as much as one of few.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DIFFERENCE_WEIGHT = 2.0
FLOOR = 3e-6
"""ε: errors below 0.2 % count no further."""
SMALLEST_OVERLAP = 1e-9


def losses(
    objects: NDArray[np.floating], truths: NDArray[np.floating], weights: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return the loss of each scan.

    Parameters
    ----------
    objects, truths : float array, shape (B, 2, S, S)
        Real and imaginary parts.
    weights : float array, shape (B, S, S)

    Examples
    --------
    >>> image = np.random.default_rng(0).normal(size=(1, 2, 8, 8))
    >>> turned = np.stack([-image[:, 1], image[:, 0]], axis=1)  # times i
    >>> bool(np.isclose(losses(turned, image, np.full((1, 8, 8), 1 / 64)), np.log(FLOOR)))
    True
    """
    object_, truth = (images[:, 0] + 1j * images[:, 1] for images in (objects, truths))
    overlap = (weights * truth.conj() * object_).sum(axis=(1, 2), keepdims=True)
    error = object_ - truth * overlap / (np.abs(overlap) + SMALLEST_OVERLAP)
    size = (weights * np.square(np.abs(truth))).sum(axis=(1, 2))
    down, across = (np.square(np.abs(np.diff(error, axis=axis))) for axis in (1, 2))
    differences = (weights[:, 1:] * down).sum(axis=(1, 2))
    differences += (weights[:, :, 1:] * across).sum(axis=(1, 2))
    whole = (weights * np.square(np.abs(error))).sum(axis=(1, 2))
    return np.asarray(np.log((whole + DIFFERENCE_WEIGHT * differences) / size + FLOOR))
