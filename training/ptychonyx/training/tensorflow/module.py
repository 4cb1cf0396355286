"""Network, probe, loss and optimiser in TensorFlow, as `train` trains them."""

from __future__ import annotations

import keras
import tensorflow as tf

from ..config.config import TrainingConfig
from ..data.samples import ScanConstants
from ..physics.losses import Batch, Operations, batch_loss
from ..run import Best
from .layers import named_parameters
from .loss import loss
from .network import Network, apply_network, get_weights
from .optimizer import make_optimizer
from .physics import merge_patches, predict_rate, turn_to_first
from .probe import ProbeParameters, trained_probe

OPERATIONS = Operations(
    gather=tf.gather,
    square=tf.square,
    apply_network=apply_network,
    turn_to_first=turn_to_first,
    merge_patches=merge_patches,
    predict_rate=predict_rate,
    loss=loss,
)


class Constants:
    """The scans' constants as tensors."""

    def __init__(self, constants: ScanConstants, dtype: tf.DType) -> None:
        self.scale = tf.cast(constants.scale, dtype)
        self.good_pixels = tf.cast(constants.good_pixels, dtype)
        self.counts_per_good_pixel = tf.cast(constants.counts_per_good_pixel, dtype)
        self.illumination = tf.cast(constants.illumination, dtype)


class TrainingModule(keras.Model):
    """Network and probe, so that one checkpoint holds both, with the optimiser's state."""

    def __init__(self, network: Network, config: TrainingConfig, constants: ScanConstants) -> None:
        super().__init__()
        dtype = next(iter(named_parameters(network).values())).dtype
        self.network = network
        self.probe = ProbeParameters(constants, config, dtype)
        self.config = config
        self.constants = Constants(constants, dtype)
        self.compile(optimizer=make_optimizer(config, network, self.probe))
        self.built = True

    def loss_of(self, batch: Batch) -> tf.Tensor:
        """Return the loss of a batch."""
        return batch_loss(
            OPERATIONS,
            self.config.loss_weights,
            network=self.network,
            probe=self.probe,
            constants=self.constants,
            batch=batch,
        )

    def best(self) -> Best:
        """Return weights and probe as a run folder keeps them."""
        return Best(get_weights(self.network), trained_probe(self.probe))


def to_tensors(batch: Batch, dtype: tf.DType = tf.float32) -> Batch:
    """Return a batch of NumPy arrays as tensors, real ones of type `dtype`."""
    complex_dtype = tf.complex128 if dtype == tf.float64 else tf.complex64
    return Batch(
        amplitude=tf.cast(batch.amplitude, dtype),
        scan=tf.constant(batch.scan),
        kernels=tf.cast(batch.kernels, dtype),
        truth=tf.cast(batch.truth, complex_dtype),
    )
