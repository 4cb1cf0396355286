"""Merging and the forward model in PyTorch; `ptychonyx.training.physics` is their oracle."""

from __future__ import annotations

import torch
from torch import Tensor

from ..physics.forward import RATE_FLOOR_COUNTS
from ..physics.merging import NO_OVERLAP, OWN_SHARE, toeplitz_index


def turn_to_first(object_patches: Tensor, kernels: Tensor, illumination: Tensor) -> Tensor:
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
    layers = torch.stack([weight * object_patches.real, weight * object_patches.imag], dim=2)
    real, imaginary = (down @ layers @ across).unbind(dim=2)
    shifted = torch.complex(real, imaginary)
    common = (shifted.conj() * shifted[:, :1]).sum(dim=(-2, -1))
    length = torch.sqrt(common.real.square() + common.imag.square() + NO_OVERLAP)
    return (common / length)[..., None, None] * object_patches


def merge_patches(object_patches: Tensor, kernels: Tensor, illumination: Tensor) -> Tensor:
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
    weight = illumination[:, None].expand(object_patches.shape)
    layers = torch.stack(
        [weight * object_patches.real, weight * object_patches.imag, weight], dim=2
    )
    real, imaginary, divisor = (down @ layers[:, None] @ across).sum(dim=2).unbind(dim=2)
    merged = torch.complex(real, imaginary) + OWN_SHARE * object_patches
    return merged / (divisor.detach() + OWN_SHARE)  # it depends on the illumination alone


def _shift_matrices(kernels: Tensor, window_px: int) -> tuple[Tensor, Tensor]:
    """Return matrices that shift layers along y, from the left, and along x, from the right."""
    index = torch.from_numpy(toeplitz_index(window_px)).to(kernels.device)
    matrices = kernels[..., index]
    return matrices[..., 0, None, :, :], matrices[..., 1, None, :, :].transpose(-1, -2)


def predict_rate(object_: Tensor, probe: Tensor) -> Tensor:
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
    far_field = torch.fft.fft2(exit_wave, norm="ortho")
    power = (far_field.real.square() + far_field.imag.square()).sum(dim=2)
    return torch.fft.fftshift(power, dim=(-2, -1)) + RATE_FLOOR_COUNTS
