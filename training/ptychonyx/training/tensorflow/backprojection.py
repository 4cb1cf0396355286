"""A pattern taken back to the object; `ptychonyx.training.network.backprojection` is the oracle."""

from __future__ import annotations

import tensorflow as tf


def backproject(amplitude: tf.Tensor, spectrum: tf.Tensor, object_: tf.Tensor) -> tf.Tensor:
    """Take amplitudes (…, N, N) back to the object.

    Parameters
    ----------
    amplitude : tensor, shape (…, N, N)
        Scaled.
    spectrum, object_ : tensors, shape (modes, 2, N, N)
        Real and imaginary parts of the constants.

    Returns
    -------
    complex tensor, shape (…, N, N)
    """
    lit = amplitude[..., None, :, :]
    waves = tf.complex(lit * spectrum[:, 0], lit * spectrum[:, 1])
    waves = tf.signal.ifft2d(tf.signal.ifftshift(waves, axes=(-2, -1)))
    side = tf.cast(amplitude.shape[-1], waves.dtype)  # orthonormal: TensorFlow divides by N²
    return side * tf.reduce_sum(waves * tf.complex(object_[:, 0], object_[:, 1]), axis=-3)
