"""The losses in TensorFlow; `ptychonyx.training.physics.losses` is their oracle."""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from ..physics.losses import FLAT_SLOPE_SQUARED, Measured, Prediction


def loss(terms: Mapping[str, float], predicted: Prediction, measured: Measured) -> tf.Tensor:
    """Return the loss of one batch: the weighted sum of its terms, each a mean over samples.

    Parameters
    ----------
    terms : mapping of str to float
        Name and weight of each term.
    predicted, measured
        Tensors, as `losses.Prediction` and `losses.Measured` describe them.
    """
    weighted = [weight * _term(name, predicted, measured) for name, weight in terms.items()]
    return tf.add_n(weighted)


def _term(name: str, predicted: Prediction, measured: Measured) -> tf.Tensor:
    if name in PIXEL_LOSSES:
        pixels = PIXEL_LOSSES[name](predicted.rate, measured.counts)
        return tf.reduce_mean(
            _weighted_mean(pixels, measured.good_pixels) / measured.counts_per_good_pixel
        )
    return tf.reduce_mean(OBJECT_LOSSES[name](predicted, measured))


def _weighted_mean(values: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Return the mean over channels and weighted pixels of each sample."""
    total = tf.reduce_sum(values * weights[:, None], (1, 2, 3))
    return total / (tf.reduce_sum(weights, (1, 2)) * values.shape[1])


def _poisson(rate: tf.Tensor, counts: tf.Tensor) -> tf.Tensor:
    return rate - counts * tf.math.log(rate)


def _amplitude(rate: tf.Tensor, counts: tf.Tensor) -> tf.Tensor:
    return tf.square(tf.sqrt(rate) - tf.sqrt(counts))


def _supervised(predicted: Prediction, measured: Measured) -> tf.Tensor:
    difference = predicted.object_ - measured.truth
    size = tf.abs(tf.math.real(difference)) + tf.abs(tf.math.imag(difference))
    return _weighted_mean(size, measured.illumination)


def _total_variation(predicted: Prediction, measured: Measured) -> tf.Tensor:
    object_ = predicted.object_
    squared = _slope_squared(tf.math.real(object_)) + _slope_squared(tf.math.imag(object_))
    steepness = tf.sqrt(squared + tf.constant(FLAT_SLOPE_SQUARED, squared.dtype))
    return _weighted_mean(steepness, measured.illumination[:, :-1, :-1])


def _slope_squared(image: tf.Tensor) -> tf.Tensor:
    down = image[..., 1:, :-1] - image[..., :-1, :-1]
    across = image[..., :-1, 1:] - image[..., :-1, :-1]
    return tf.square(down) + tf.square(across)


PIXEL_LOSSES = {"poisson": _poisson, "amplitude": _amplitude}
OBJECT_LOSSES = {"supervised": _supervised, "total_variation": _total_variation}
