"""The losses in PyTorch; `ptychonyx.training.physics.loss` is their oracle."""

from __future__ import annotations

import torch
from torch import Tensor


def loss(
    name: str, rate: Tensor, counts: Tensor, *, good_pixels: Tensor, mean_count: Tensor
) -> Tensor:
    """Return the loss of one batch: a mean over good pixels, channels and samples.

    Parameters
    ----------
    name : "poisson" or "amplitude"
    rate, counts : tensor, shape (B, C, N, N)
    good_pixels : tensor, shape (B, N, N)
        1 where a pixel counts.
    mean_count : tensor, shape (B,)
        Mean counts of a good pixel in each sample's scan.
    """
    pixel_loss = PIXEL_LOSSES[name](rate, counts) * good_pixels[:, None]
    per_sample = pixel_loss.sum(dim=(1, 2, 3))
    per_sample = per_sample / (good_pixels.sum(dim=(1, 2)) * rate.shape[1])
    return (per_sample / mean_count).mean()


def _poisson(rate: Tensor, counts: Tensor) -> Tensor:
    return rate - counts * torch.log(rate)


def _amplitude(rate: Tensor, counts: Tensor) -> Tensor:
    return (torch.sqrt(rate) - torch.sqrt(counts)).square()


PIXEL_LOSSES = {"poisson": _poisson, "amplitude": _amplitude}
