"""The forward model in TensorFlow; `ptychonyx.training.physics` is its oracle."""

from __future__ import annotations

import tensorflow as tf

from ..physics import RATE_FLOOR_COUNTS


def predict_rate(object_patches: tf.Tensor, probe: tf.Tensor) -> tf.Tensor:
    """Predict the counts that object patches give behind a probe.

    rate = Σ_m |fftshift F(P_m · O)|² + 1e-6, F orthonormal.

    Parameters
    ----------
    object_patches : complex tensor, shape (B, C, N, N)
    probe : complex tensor, shape (B, modes, N, N)
        In sqrt(counts).

    Returns
    -------
    real tensor, shape (B, C, N, N)
    """
    exit_wave = probe[:, None] * object_patches[:, :, None]
    far_field = tf.signal.fft2d(exit_wave)
    power = tf.reduce_sum(
        tf.square(tf.math.real(far_field)) + tf.square(tf.math.imag(far_field)), 2
    )
    num_pixels = object_patches.shape[-2] * object_patches.shape[-1]
    return tf.signal.fftshift(power, axes=(-2, -1)) / num_pixels + RATE_FLOOR_COUNTS
