"""The probe of each scan in PyTorch: constant, or trained together with the network."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..config.config import TrainingConfig
from ..data.samples import ScanConstants


class ProbeParameters(torch.nn.Module):
    """The probe of each scan, constant or trained; √gain · unit · (real + i·imaginary)."""

    unit: Tensor
    real: torch.nn.Parameter
    imaginary: torch.nn.Parameter
    log_gain: torch.nn.Parameter

    def __init__(
        self, constants: ScanConstants, config: TrainingConfig, dtype: torch.dtype
    ) -> None:
        super().__init__()
        unit = constants.probe_unit()
        probe = constants.probe / unit
        self.register_buffer("unit", torch.from_numpy(unit).to(dtype), persistent=False)
        for name, array, is_trainable in (
            ("real", probe.real, config.trainable_probe),
            ("imaginary", probe.imag, config.trainable_probe),
            ("log_gain", np.zeros(len(unit)), config.trainable_gain),
        ):
            value = torch.from_numpy(np.ascontiguousarray(array)).to(dtype)
            setattr(self, name, torch.nn.Parameter(value, requires_grad=is_trainable))

    def forward(self, scan: Tensor) -> Tensor:
        """Return the probe (B, modes, N, N) of each sample's scan, in sqrt(counts)."""
        factor = self.unit[scan] * torch.exp(self.log_gain[scan] / 2)[:, None, None, None]
        return torch.complex(factor * self.real[scan], factor * self.imaginary[scan])


def probe_parameters(probe: ProbeParameters) -> dict[str, torch.nn.Parameter]:
    """Return the trained parameters of the probe, by name."""
    found = {f"probe.{name}": value for name, value in probe.named_parameters()}
    return {name: value for name, value in found.items() if value.requires_grad}


def trained_probe(probe: ProbeParameters) -> NDArray[np.complex64]:
    """Return the probe (modes, N, N) of the first scan, gain included, in sqrt(counts)."""
    with torch.no_grad():
        first = probe(torch.zeros(1, dtype=torch.int64, device=probe.unit.device))[0]
    result: NDArray[np.complex64] = first.cpu().numpy().astype(np.complex64)
    return result
