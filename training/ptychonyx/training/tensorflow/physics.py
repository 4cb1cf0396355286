"""The forward model in TensorFlow; `ptychonyx.training.physics` is its oracle."""

from __future__ import annotations

import tensorflow as tf

from ..physics import NO_OVERLAP, OWN_SHARE, RATE_FLOOR_COUNTS, toeplitz_index


def merge_patches(object_patches: tf.Tensor, kernels: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Let the patches of each group agree on one object, seen through each of their windows.

    E_c = (Σ_d z_d·S_cd(w·O_d) + ε·z_c·O_c) / (Σ_d S_cd(w) + ε), z_d the phase towards the first.

    Parameters
    ----------
    object_patches : complex tensor, shape (B, C, N, N)
    kernels : real tensor, shape (B, C, C, 2, 2N − 1)
    weights : real tensor, shape (B, N, N)

    Returns
    -------
    complex tensor, shape (B, C, N, N)
    """
    index = tf.constant(toeplitz_index(object_patches.shape[-1]))
    matrices = tf.gather(kernels, index, axis=-1)[:, :, :, None]
    down, across = matrices[..., 0, :, :], tf.linalg.matrix_transpose(matrices[..., 1, :, :])
    real, imaginary = tf.math.real(object_patches), tf.math.imag(object_patches)
    weight = weights[:, None] * tf.ones_like(real)
    layers = tf.stack([weight * real, weight * imaginary, weight], axis=2)
    real, imaginary, divisor = tf.unstack(down @ layers[:, None] @ across, axis=3)
    divisor = tf.stop_gradient(tf.reduce_sum(divisor, axis=2))  # of the weights alone
    share = tf.constant(OWN_SHARE, divisor.dtype)
    shifted = tf.complex(real, imaginary)
    common = tf.reduce_sum(tf.math.conj(shifted[:, 0]) * shifted[:, 0, :1], axis=(-2, -1))
    squared = tf.square(tf.math.real(common)) + tf.square(tf.math.imag(common))
    length = tf.sqrt(squared + tf.constant(NO_OVERLAP, squared.dtype))
    turns = (common / tf.complex(length, tf.zeros_like(length)))[..., None, None]
    own = tf.cast(share, common.dtype) * turns * object_patches
    merged = tf.reduce_sum(turns[:, None] * shifted, axis=2) + own
    return merged / tf.cast(divisor + share, object_patches.dtype)


def predict_rate(object_: tf.Tensor, probe: tf.Tensor) -> tf.Tensor:
    """Predict the counts that an object gives behind a probe.

    rate = Σ_m |fftshift F(P_m · O)|² + 1e-6, F orthonormal.

    Parameters
    ----------
    object_ : complex tensor, shape (B, C, N, N)
    probe : complex tensor, shape (B, modes, N, N)
        In sqrt(counts).

    Returns
    -------
    real tensor, shape (B, C, N, N)
    """
    exit_wave = probe[:, None] * object_[:, :, None]
    far_field = tf.signal.fft2d(exit_wave)
    power = tf.reduce_sum(
        tf.square(tf.math.real(far_field)) + tf.square(tf.math.imag(far_field)), 2
    )
    num_pixels = object_.shape[-2] * object_.shape[-1]
    return tf.signal.fftshift(power, axes=(-2, -1)) / num_pixels + RATE_FLOOR_COUNTS
