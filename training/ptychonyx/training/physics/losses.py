"""The losses in NumPy float64, the oracle of both backends; and the loss of a batch, once for both."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

FLAT_SLOPE_SQUARED = 1e-6
"""Keeps the gradient of total variation finite where the object is flat."""


class Batch(NamedTuple):
    """The arrays of B groups of G patterns: NumPy's, or the tensors that a backend makes of them.

    Attributes
    ----------
    amplitude : float32 array, shape (B, G, N, N)
        Square root of the counts, bad pixels 0, not scaled.
    scan : int64 array, shape (B,)
        Which scan each group belongs to.
    kernels : float32 array, shape (B, G, G, 2, 2N − 1)
        `merging.shift_kernels` of the group; with G = 1, where nothing is merged, (B, 0).
    truth : complex64 array, shape (B, G, N, N)
        The scan's own object in each window; (B, 0) unless the loss asks for it.
    """

    amplitude: Any
    scan: Any
    kernels: Any
    truth: Any


class Prediction(NamedTuple):
    """The prediction of network and forward model for a batch; arrays of any framework.

    Attributes
    ----------
    rate : real array, shape (B, C, N, N)
        Expected counts.
    object_ : complex array, shape (B, C, N, N)
        The (merged) object in each window.
    """

    rate: Any
    object_: Any


class Measured(NamedTuple):
    """The measured data and constants of a batch; arrays of any framework.

    Attributes
    ----------
    counts : real array, shape (B, C, N, N)
    good_pixels : real array, shape (B, N, N)
        1 where a pixel counts, 0 where it is bad.
    counts_per_good_pixel : real array, shape (B,)
        Mean counts of a good pixel in each sample's scan.
    truth : complex array, shape (B, C, N, N), or None
        The scan's own object in each window; only for `supervised`.
    illumination : real array, shape (B, N, N)
        `merging.illumination_of` the probe of each sample's scan.
    """

    counts: Any
    good_pixels: Any
    counts_per_good_pixel: Any
    truth: Any
    illumination: Any


class Operations(NamedTuple):
    """The functions of one framework in which `batch_loss` is written.

    Attributes
    ----------
    gather : callable
        Takes an array (S, …) and integers (B,), and returns the rows (B, …) of these numbers.
    square : callable
        Squares each element.
    apply_network, turn_to_first, merge_patches, predict_rate, loss : callable
        The backend's functions of these names.
    """

    gather: Callable[[Any, Any], Any]
    square: Callable[[Any], Any]
    apply_network: Callable[[Any, Any, Any], Any]
    turn_to_first: Callable[[Any, Any, Any], Any]
    merge_patches: Callable[[Any, Any, Any], Any]
    predict_rate: Callable[[Any, Any], Any]
    loss: Callable[[Mapping[str, float], Prediction, Measured], Any]


def batch_loss(
    operations: Operations,
    terms: Mapping[str, float],
    *,
    network: Any,
    probe: Callable[[Any], Any],
    constants: Any,
    batch: Batch,
) -> Any:
    """Return the loss of a batch: patches, one object of each group, forward model, terms.

    Parameters
    ----------
    operations : Operations
        Those of the framework that `network`, `constants` and `batch` belong to.
    terms : mapping of str to float
        Name and weight of each term of the loss.
    network
        The backend's `Network`.
    probe : callable
        The backend's `ProbeParameters`: takes numbers of scans (B,), and returns their probes
        (B, modes, N, N).
    constants
        The backend's `Constants`: the fields of `ScanConstants` as tensors.
    batch : Batch
        Tensors.

    Returns
    -------
    tensor, shape ()
    """
    amplitude, scan, kernels, truth = batch
    scale = operations.gather(constants.scale, scan)
    object_ = operations.apply_network(network, amplitude, scale)
    illumination = operations.gather(constants.illumination, scan)
    if object_.shape[1] > 1:
        if network.architecture.num_channels == 1:  # seen apart, patterns leave their phases free
            object_ = operations.turn_to_first(object_, kernels, illumination)
        object_ = operations.merge_patches(object_, kernels, illumination)
    return operations.loss(
        terms,
        Prediction(operations.predict_rate(object_, probe(scan)), object_),
        Measured(
            counts=operations.square(amplitude),
            good_pixels=operations.gather(constants.good_pixels, scan),
            counts_per_good_pixel=operations.gather(constants.counts_per_good_pixel, scan),
            truth=truth,
            illumination=illumination,
        ),
    )


def loss(terms: Mapping[str, float], predicted: Prediction, measured: Measured) -> float:
    """Return the loss of one batch: the weighted sum of its terms, each a mean over samples.

    Against counts, over good pixels and channels, each sample divided by the mean count of its
    scan, so that dose does not set the learning rate:

    - poisson: rate − k·ln(rate) (ln k! dropped);
    - amplitude: (sqrt(rate) − sqrt(k))².

    About the object, weighted with the illumination:

    - supervised: |Re(O − T)| + |Im(O − T)| against the scan's own object T;
    - total_variation: sqrt(|∂O/∂y|² + |∂O/∂x|² + 1e-6), differences between neighbouring pixels.

    Parameters
    ----------
    terms : mapping of str to float
        Name and weight of each term.
    predicted : Prediction
    measured : Measured

    Examples
    --------
    >>> ones = np.ones((1, 1, 2, 2))
    >>> measured = Measured(ones, ones[0], np.ones(1), None, ones[0])
    >>> loss({"amplitude": 2.0}, Prediction(4 * ones, ones), measured)
    2.0
    """
    return float(sum(weight * _term(name, predicted, measured) for name, weight in terms.items()))


def _term(name: str, predicted: Prediction, measured: Measured) -> float:
    if name in PIXEL_LOSSES:
        pixels = PIXEL_LOSSES[name](predicted.rate, measured.counts)
        per_sample = _weighted_mean(pixels, measured.good_pixels) / measured.counts_per_good_pixel
    else:
        per_sample = OBJECT_LOSSES[name](predicted, measured)
    return float(np.mean(per_sample))


def _weighted_mean(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[Any]:
    """Return the mean over channels and weighted pixels of each sample."""
    total = (values * weights[:, None]).sum(axis=(1, 2, 3))
    return np.asarray(total / (weights.sum(axis=(1, 2)) * values.shape[1]))


def _poisson(rate: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    result: NDArray[np.float64] = rate - counts * np.log(rate)
    return result


def _amplitude(rate: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    result: NDArray[np.float64] = (np.sqrt(rate) - np.sqrt(counts)) ** 2
    return result


def _supervised(predicted: Prediction, measured: Measured) -> NDArray[Any]:
    difference = predicted.object_ - measured.truth
    return _weighted_mean(np.abs(difference.real) + np.abs(difference.imag), measured.illumination)


def _total_variation(predicted: Prediction, measured: Measured) -> NDArray[Any]:
    object_ = predicted.object_
    down = object_[..., 1:, :-1] - object_[..., :-1, :-1]
    across = object_[..., :-1, 1:] - object_[..., :-1, :-1]
    steepness = np.sqrt(np.abs(down) ** 2 + np.abs(across) ** 2 + FLAT_SLOPE_SQUARED)
    return _weighted_mean(steepness, measured.illumination[:, :-1, :-1])


PIXEL_LOSSES = {"poisson": _poisson, "amplitude": _amplitude}
OBJECT_LOSSES = {"supervised": _supervised, "total_variation": _total_variation}
