"""The losses in PyTorch; `ptychonyx.training.physics.losses` is their oracle."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ..physics.losses import FLAT_SLOPE_SQUARED, Measured, Prediction


def loss(terms: Mapping[str, float], predicted: Prediction, measured: Measured) -> Tensor:
    """Return the loss of one batch: the weighted sum of its terms, each a mean over samples.

    Parameters
    ----------
    terms : mapping of str to float
        Name and weight of each term.
    predicted, measured
        Tensors, as `losses.Prediction` and `losses.Measured` describe them.
    """
    weighted = [weight * _term(name, predicted, measured) for name, weight in terms.items()]
    return torch.stack(weighted).sum()


def _term(name: str, predicted: Prediction, measured: Measured) -> Tensor:
    if name in PIXEL_LOSSES:
        pixels = PIXEL_LOSSES[name](predicted.rate, measured.counts)
        return (
            _weighted_mean(pixels, measured.good_pixels) / measured.counts_per_good_pixel
        ).mean()
    return OBJECT_LOSSES[name](predicted, measured).mean()


def _weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Return the mean over channels and weighted pixels of each sample."""
    total = (values * weights[:, None]).sum(dim=(1, 2, 3))
    return total / (weights.sum(dim=(1, 2)) * values.shape[1])


def _poisson(rate: Tensor, counts: Tensor) -> Tensor:
    return rate - counts * torch.log(rate)


def _amplitude(rate: Tensor, counts: Tensor) -> Tensor:
    return (torch.sqrt(rate) - torch.sqrt(counts)).square()


def _supervised(predicted: Prediction, measured: Measured) -> Tensor:
    difference = predicted.object_ - measured.truth
    return _weighted_mean(difference.real.abs() + difference.imag.abs(), measured.illumination)


def _total_variation(predicted: Prediction, measured: Measured) -> Tensor:
    object_ = predicted.object_
    squared = _slope_squared(object_.real) + _slope_squared(object_.imag)
    steepness = torch.sqrt(squared + FLAT_SLOPE_SQUARED)
    return _weighted_mean(steepness, measured.illumination[:, :-1, :-1])


def _slope_squared(image: Tensor) -> Tensor:
    down = image[..., 1:, :-1] - image[..., :-1, :-1]
    across = image[..., :-1, 1:] - image[..., :-1, :-1]
    return down.square() + across.square()


PIXEL_LOSSES = {"poisson": _poisson, "amplitude": _amplitude}
OBJECT_LOSSES = {"supervised": _supervised, "total_variation": _total_variation}
