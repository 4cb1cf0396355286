"""Network, probe, loss and optimiser in PyTorch, as Lightning trains them."""

from __future__ import annotations

import lightning
import torch
from torch import Tensor

from ..config.config import TrainingConfig
from ..data.feed import BatchPart
from ..data.samples import ScanConstants
from ..physics.losses import Batch, Operations, batch_loss
from ..run import Best
from .loss import loss
from .network import Network, apply_network, get_weights
from .optimizer import make_optimizer
from .physics import merge_patches, predict_rate, turn_to_first
from .probe import ProbeParameters, trained_probe

OPERATIONS = Operations(
    gather=lambda values, index: values[index],
    square=torch.square,
    apply_network=apply_network,
    turn_to_first=turn_to_first,
    merge_patches=merge_patches,
    predict_rate=predict_rate,
    loss=loss,
)


class Constants(torch.nn.Module):
    """The scans' constants as buffers: they move to the device, and no checkpoint holds them."""

    scale: Tensor
    good_pixels: Tensor
    counts_per_good_pixel: Tensor
    illumination: Tensor

    def __init__(self, constants: ScanConstants, dtype: torch.dtype) -> None:
        super().__init__()
        for name in ("scale", "good_pixels", "counts_per_good_pixel", "illumination"):
            tensor = torch.from_numpy(getattr(constants, name)).to(dtype)
            self.register_buffer(name, tensor, persistent=False)


class TrainingModule(lightning.LightningModule):
    """Network and probe, so that one checkpoint holds both, with the optimiser's state.

    DDP averages gradients over `num_workers` processes, which each have a part of a batch.
    """

    def __init__(
        self,
        network: Network,
        config: TrainingConfig,
        constants: ScanConstants,
        *,
        num_workers: int = 1,
    ) -> None:
        super().__init__()
        dtype = next(network.parameters()).dtype
        self.network = network
        self.probe = ProbeParameters(constants, config, dtype)
        self.config = config
        self.constants = Constants(constants, dtype)
        self.num_workers = num_workers
        self.last_loss = torch.zeros(())

    def loss_of(self, batch: Batch) -> Tensor:
        """Return the loss of a batch."""
        value: Tensor = batch_loss(
            OPERATIONS,
            self.config.loss_weights,
            network=self.network,
            probe=self.probe,
            constants=self.constants,
            batch=batch,
        )
        return value

    def best(self) -> Best:
        """Return weights and probe as a run folder keeps them."""
        return Best(get_weights(self.network), trained_probe(self.probe))

    def training_step(self, parts: tuple[BatchPart, ...], batch_idx: int) -> Tensor:
        """Return the loss of a part of a batch, such that the mean over workers is the batch's."""
        (part,) = parts
        value = self.loss_of(part.batch)
        self.last_loss = value.detach()  # Lightning's `outputs` are divided by the accumulation
        return value * (part.share * self.num_workers)

    def validation_step(self, parts: tuple[BatchPart, ...], batch_idx: int) -> Tensor:
        """Return the loss of a part of a validation batch."""
        (part,) = parts
        return self.loss_of(part.batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return Adam over every parameter."""
        return make_optimizer(self.config, self.network, self.probe)


def to_tensors(batch: Batch, dtype: torch.dtype = torch.float32) -> Batch:
    """Return a batch of NumPy arrays as tensors, real ones of type `dtype`."""
    complex_dtype = torch.complex128 if dtype == torch.float64 else torch.complex64
    return Batch(
        amplitude=torch.from_numpy(batch.amplitude).to(dtype),
        scan=torch.from_numpy(batch.scan),
        kernels=torch.from_numpy(batch.kernels).to(dtype),
        truth=torch.from_numpy(batch.truth).to(complex_dtype),
    )
