"""The losses in TensorFlow; `ptychonyx.training.physics.loss` is their oracle."""

from __future__ import annotations

import tensorflow as tf


def loss(
    name: str,
    rate: tf.Tensor,
    counts: tf.Tensor,
    *,
    good_pixels: tf.Tensor,
    mean_count: tf.Tensor,
) -> tf.Tensor:
    """Return the loss of one batch: a mean over good pixels, channels and samples.

    Parameters
    ----------
    name : "poisson" or "amplitude"
    rate, counts : tensor, shape (B, C, N, N)
    good_pixels : tensor, shape (B, N, N)
        1 where a pixel counts.
    mean_count : tensor, shape (B,)
        Mean counts of a good pixel in each sample's scan.
    """
    pixel_loss = PIXEL_LOSSES[name](rate, counts) * good_pixels[:, None]
    per_sample = tf.reduce_sum(pixel_loss, (1, 2, 3))
    per_sample = per_sample / (tf.reduce_sum(good_pixels, (1, 2)) * rate.shape[1])
    return tf.reduce_mean(per_sample / mean_count)


def _poisson(rate: tf.Tensor, counts: tf.Tensor) -> tf.Tensor:
    return rate - counts * tf.math.log(rate)


def _amplitude(rate: tf.Tensor, counts: tf.Tensor) -> tf.Tensor:
    return tf.square(tf.sqrt(rate) - tf.sqrt(counts))


PIXEL_LOSSES = {"poisson": _poisson, "amplitude": _amplitude}
