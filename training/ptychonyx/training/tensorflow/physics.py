"""Merging and the forward model in TensorFlow; `ptychonyx.training.physics` is their oracle."""

from __future__ import annotations

import tensorflow as tf

from ..physics.forward import RATE_FLOOR_COUNTS
from ..physics.merging import NO_OVERLAP, OWN_SHARE, toeplitz_index


def turn_to_first(
    object_patches: tf.Tensor, kernels: tf.Tensor, illumination: tf.Tensor
) -> tf.Tensor:
    """Multiply each patch of a group by the one phase factor that fits it to the first patch.

    z_d = s_d / |s_d|, s_d = Σ conj(S_0d(w·O_d)) · S_00(w·O_0).

    Parameters
    ----------
    object_patches : complex tensor, shape (B, C, N, N)
    kernels : real tensor, shape (B, C, C, 2, 2N − 1)
    illumination : real tensor, shape (B, N, N)

    Returns
    -------
    complex tensor, shape (B, C, N, N)
    """
    down, across = _shift_matrices(kernels[:, 0], object_patches.shape[-1])
    weight = illumination[:, None]
    real, imaginary = tf.math.real(object_patches), tf.math.imag(object_patches)
    layers = tf.stack([weight * real, weight * imaginary], axis=2)
    real, imaginary = tf.unstack(down @ layers @ across, axis=2)
    shifted = tf.complex(real, imaginary)
    common = tf.reduce_sum(tf.math.conj(shifted) * shifted[:, :1], axis=(-2, -1))
    squared = tf.square(tf.math.real(common)) + tf.square(tf.math.imag(common))
    length = tf.sqrt(squared + tf.constant(NO_OVERLAP, squared.dtype))
    return (common / tf.complex(length, tf.zeros_like(length)))[..., None, None] * object_patches


def merge_patches(
    object_patches: tf.Tensor, kernels: tf.Tensor, illumination: tf.Tensor
) -> tf.Tensor:
    """Let the patches of each group agree on one object, seen through each of their windows.

    E_c = (Σ_d S_cd(w·O_d) + ε·O_c) / (Σ_d S_cd(w) + ε).

    Parameters
    ----------
    object_patches : complex tensor, shape (B, C, N, N)
    kernels : real tensor, shape (B, C, C, 2, 2N − 1)
    illumination : real tensor, shape (B, N, N)

    Returns
    -------
    complex tensor, shape (B, C, N, N)
    """
    down, across = _shift_matrices(kernels, object_patches.shape[-1])
    real, imaginary = tf.math.real(object_patches), tf.math.imag(object_patches)
    weight = illumination[:, None] * tf.ones_like(real)
    layers = tf.stack([weight * real, weight * imaginary, weight], axis=2)
    shifted = tf.reduce_sum(down @ layers[:, None] @ across, axis=2)
    real, imaginary, divisor = tf.unstack(shifted, axis=2)
    divisor = tf.stop_gradient(divisor)  # it depends on the illumination alone
    share = tf.constant(OWN_SHARE, divisor.dtype)
    merged = tf.complex(real, imaginary) + tf.cast(share, object_patches.dtype) * object_patches
    return merged / tf.cast(divisor + share, object_patches.dtype)


def _shift_matrices(kernels: tf.Tensor, window_px: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Return matrices that shift layers along y, from the left, and along x, from the right."""
    index = tf.constant(toeplitz_index(window_px))
    matrices = tf.gather(kernels, index, axis=-1)
    across = tf.linalg.matrix_transpose(matrices[..., 1, None, :, :])
    return matrices[..., 0, None, :, :], across


def predict_rate(object_: tf.Tensor, probe: tf.Tensor) -> tf.Tensor:
    """Predict the counts that an object gives behind a probe.

    rate = Σ_m |fftshift F(P_m · O)|² + 1e-6, F orthonormal.

    Parameters
    ----------
    object_ : complex tensor, shape (B, C, N, N)
    probe : complex tensor, shape (B, modes, N, N)
        The probe in sqrt(counts).

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
