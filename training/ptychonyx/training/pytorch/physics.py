"""The forward model in PyTorch; `ptychonyx.training.physics` is its oracle."""

from __future__ import annotations

import torch
from torch import Tensor

from ..physics import NO_OVERLAP, OWN_SHARE, RATE_FLOOR_COUNTS, toeplitz_index


def merge_patches(object_patches: Tensor, kernels: Tensor, weights: Tensor) -> Tensor:
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
    index = torch.from_numpy(toeplitz_index(object_patches.shape[-1])).to(kernels.device)
    matrices = kernels[..., index][:, :, :, None]
    down, across = matrices[..., 0, :, :], matrices[..., 1, :, :].transpose(-1, -2)
    weight = weights[:, None].expand(object_patches.shape)
    layers = torch.stack(
        [weight * object_patches.real, weight * object_patches.imag, weight], dim=2
    )
    real, imaginary, divisor = (down @ layers[:, None] @ across).unbind(dim=3)
    shifted = torch.complex(real, imaginary)
    common = (shifted[:, 0].conj() * shifted[:, 0, :1]).sum(dim=(-2, -1))
    length = torch.sqrt(common.real.square() + common.imag.square() + NO_OVERLAP)
    turns = (common / length)[..., None, None]
    merged = (turns[:, None] * shifted).sum(dim=2) + OWN_SHARE * turns * object_patches
    return merged / (divisor.sum(dim=2).detach() + OWN_SHARE)  # of the weights alone


def predict_rate(object_: Tensor, probe: Tensor) -> Tensor:
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
    far_field = torch.fft.fft2(exit_wave, norm="ortho")
    power = (far_field.real.square() + far_field.imag.square()).sum(dim=2)
    return torch.fft.fftshift(power, dim=(-2, -1)) + RATE_FLOOR_COUNTS
