"""The probe of each scan in TensorFlow: constant, or trained together with the network."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from ..config.config import TrainingConfig
from ..data.samples import ScanConstants


class ProbeParameters(keras.layers.Layer):
    """The probe of each scan, constant or trained; √gain · unit · (real + i·imaginary)."""

    def __init__(self, constants: ScanConstants, config: TrainingConfig, dtype: tf.DType) -> None:
        super().__init__(dtype=dtype.name)
        unit = constants.probe_unit()
        probe = constants.probe / unit
        self.unit = tf.constant(unit, dtype)
        for name, array, is_trainable in (
            ("real", probe.real, config.trainable_probe),
            ("imaginary", probe.imag, config.trainable_probe),
            ("log_gain", np.zeros(len(unit)), config.trainable_gain),
        ):
            variable = self.add_weight(
                shape=array.shape, dtype=dtype.name, trainable=is_trainable, name=name
            )
            variable.assign(array)
            setattr(self, name, variable)
        self.built = True

    def call(self, scan: tf.Tensor) -> tf.Tensor:
        """Return the probe (B, modes, N, N) of each sample's scan, in sqrt(counts)."""
        gain = tf.exp(tf.gather(self.log_gain.value, scan) / 2)[:, None, None, None]
        factor = tf.gather(self.unit, scan) * gain
        real, imaginary = (tf.gather(part.value, scan) for part in (self.real, self.imaginary))
        return tf.complex(factor * real, factor * imaginary)


def probe_parameters(probe: ProbeParameters) -> dict[str, tf.Variable]:
    """Return the trained parameters of the probe, by name."""
    found = {f"probe.{name}": getattr(probe, name) for name in ("real", "imaginary", "log_gain")}
    return {name: variable.value for name, variable in found.items() if variable.trainable}


def trained_probe(probe: ProbeParameters) -> NDArray[np.complex64]:
    """Return the probe (modes, N, N) of the first scan, gain included, in sqrt(counts)."""
    first = probe(tf.zeros(1, tf.int64))[0]
    result: NDArray[np.complex64] = first.numpy().astype(np.complex64)
    return result
