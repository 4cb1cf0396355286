"""Adam in PyTorch, by the formula of `policy`."""

from __future__ import annotations

from typing import Any

import torch

from ..config.config import TrainingConfig
from ..policy import ADAM
from .layers import named_parameters
from .network import Network
from .probe import ProbeParameters, probe_parameters


def make_optimizer(
    config: TrainingConfig, network: Network, probe: ProbeParameters
) -> torch.optim.Optimizer:
    """Return Adam over the parameters of network and probe; the probe's never decay."""
    groups: list[dict[str, Any]] = [
        {"params": list(named_parameters(network).values()), "weight_decay": config.weight_decay}
    ]
    if probe_parameters(probe):
        groups.append({"params": list(probe_parameters(probe).values()), "weight_decay": 0.0})
    return torch.optim.AdamW(
        groups, lr=config.learning_rate, betas=(ADAM.beta_1, ADAM.beta_2), eps=ADAM.epsilon
    )
