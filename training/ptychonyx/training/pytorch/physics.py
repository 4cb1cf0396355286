"""The forward model in PyTorch; `ptychonyx.training.physics` is its oracle."""

from __future__ import annotations

import torch
from torch import Tensor

from ..physics import RATE_FLOOR_COUNTS


def predict_rate(object_patches: Tensor, probe: Tensor) -> Tensor:
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
    far_field = torch.fft.fft2(exit_wave, norm="ortho")
    power = (far_field.real.square() + far_field.imag.square()).sum(dim=2)
    return torch.fft.fftshift(power, dim=(-2, -1)) + RATE_FLOOR_COUNTS
