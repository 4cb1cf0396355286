"""What the equivalence tests share: both backends by name, the cases, and the NumPy oracle."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from ptychonyx.training.config.config import TrainingConfig, architecture_of
from ptychonyx.training.data.samples import Samples
from ptychonyx.training.network.architecture import HEADS, Architecture
from ptychonyx.training.network.backprojection import OBJECT, SPECTRUM, backproject
from ptychonyx.training.network.layers import (
    Activation,
    AveragePool,
    Border,
    Channels,
    Concatenation,
    Convolution,
    Layers,
    MaxPool,
    Pad,
    Sum,
    Upsample,
)
from ptychonyx.training.network.weights import Weights
from ptychonyx.training.physics import forward, losses, merging

BACKENDS = ("tensorflow", "pytorch")
WINDOW_PX = 32

TOLERANCE = {
    "native against native": 1e-5,  # sums in another order, through the phase head
    "loss against oracle": 1e-5,
    "loss against oracle, float64": 1e-9,  # constants and patterns are stored in float32
    "gradient float32": 1e-3,  # of the parameter's own norm; a prototype had 3e-4
    "gradient float32, of the global norm": 1e-6,  # for gradients that are zero in theory
    "gradient float64": 1e-7,
    "slope of the oracle": 1e-5,
    "losses of 20 steps, float64": 1e-6,
    "loss after an epoch, float32": 1e-2,  # rounding grows from step to step
    "continued run": 1e-5,
}

SETTINGS: dict[str, dict[str, Any]] = {
    "cnn poisson": {},
    "cnn amplitude": {"loss": "amplitude"},
    "cnn C=4 poisson": {"num_channels": 4},
    "cnn C=4 amplitude, trained probe": {
        "num_channels": 4,
        "loss": "amplitude",
        "trainable_probe": True,
        "trainable_gain": True,
    },
    "cnn C=9 softplus": {"num_channels": 9, "amplitude_activation": "softplus"},
    "cnn C=4 all losses": {
        "num_channels": 4,
        "loss": {"poisson": 0.5, "amplitude": 1, "supervised": 2, "total_variation": 0.3},
    },
    "cnn supervised": {"loss": "supervised"},
    "cnn poisson, trained probe": {"trainable_probe": True, "trainable_gain": True},
    "cnn C=1, four merged, trained probe": {
        "num_merged": 4,
        "loss": "amplitude",
        "trainable_probe": True,
        "trainable_gain": True,
    },
    "unet": {"architecture": "unet"},
    "unet C=4 amplitude, trained probe": {
        "architecture": "unet",
        "num_channels": 4,
        "loss": "amplitude",
        "trainable_probe": True,
        "trainable_gain": True,
    },
    "unet C=1, four merged": {"architecture": "unet", "num_merged": 4, "loss": "amplitude"},
    "ptychopinn": {"architecture": "ptychopinn"},
    "ptychopinn C=4 swish": {
        "architecture": "ptychopinn",
        "num_channels": 4,
        "amplitude_activation": "swish",
    },
    "ptychopinn no border, softplus": {
        "architecture": "ptychopinn",
        "probe_big": False,
        "amplitude_activation": "softplus",
    },
    "ptychopinn full window, relu": {
        "architecture": "ptychopinn",
        "pad_object": False,
        "amplitude_activation": "relu",
        "loss": "amplitude",
    },
}
"""Every loss, every network and its options, C = 1, 4 and 9, trained probes."""


def config_of(case: str, **changes: Any) -> TrainingConfig:
    standard: dict[str, Any] = {"architecture": "cnn", "filters": 0.25}
    return TrainingConfig(**(standard | SETTINGS[case] | changes))


def network_of(case: str) -> Architecture:
    return architecture_of(config_of(case), WINDOW_PX)


def backend(name: str, part: str) -> Any:
    return import_module(f"ptychonyx.training.{name}.{part}")


def network_with(name: str, architecture: Architecture, weights: Weights, dtype: str) -> Any:
    module = backend(name, "network")
    network = module.build_network(architecture, dtype=dtype)
    module.set_weights(network, weights)
    return network


def loss_and_gradients(
    name: str, config: TrainingConfig, network: Any, samples: Samples, groups: np.ndarray
) -> tuple[float, dict[str, np.ndarray]]:
    """Return the loss of one batch and its gradient for every parameter, by neutral name."""
    module = backend(name, "module").TrainingModule(network, config, samples.constants)
    parameters = backend(name, "layers").named_parameters(network)
    parameters |= backend(name, "probe").probe_parameters(module.probe)
    dtype = next(iter(parameters.values())).dtype
    batch = backend(name, "module").to_tensors(samples.batch(groups), dtype)
    loss, gradients = GRADIENTS[name](module, batch, parameters)
    return loss, {key: gradient.astype(np.float64) for key, gradient in gradients.items()}


def gradients_tensorflow(module: Any, batch: Any, parameters: dict[str, Any]) -> tuple[float, Any]:
    import tensorflow as tf

    with tf.GradientTape() as tape:
        value = module.loss_of(batch)
    gradients = {
        key: tf.convert_to_tensor(gradient).numpy()
        for key, gradient in tape.gradient(value, parameters).items()
    }
    to_neutral = backend("tensorflow", "layers").to_neutral
    return float(value), {
        key: array if key.startswith("probe.") else to_neutral(array)
        for key, array in gradients.items()
    }


def gradients_pytorch(module: Any, batch: Any, parameters: dict[str, Any]) -> tuple[float, Any]:
    import torch

    value = module.loss_of(batch)
    gradients = torch.autograd.grad(value, list(parameters.values()))
    return float(value.detach()), {
        key: gradient.contiguous().numpy()
        for key, gradient in zip(parameters, gradients, strict=True)
    }


GRADIENTS = {"tensorflow": gradients_tensorflow, "pytorch": gradients_pytorch}


def some_groups(samples: Samples) -> np.ndarray:
    """Return eight groups of both scans, mixed."""
    groups = np.concatenate(list(samples.training_batches(batch_size=64, seed=4, epoch=0)))
    first, second = (groups[samples.scan[groups[:, 0]] == scan] for scan in (0, 1))
    return np.concatenate([first[:5], second[:3]])[[0, 6, 3, 1, 7, 2, 5, 4]]


def oracle_loss(
    config: TrainingConfig,
    weights: dict[str, np.ndarray],
    samples: Samples,
    groups: np.ndarray,
    probe: dict[str, np.ndarray] | None = None,
) -> float:
    """Return the loss in NumPy float64: network, merging, forward model and losses."""
    architecture = architecture_of(config, samples.window_px)
    batch, constants = samples.batch(groups), samples.constants
    scan, amplitude = batch.scan, batch.amplitude.astype(np.float64)
    scaled = amplitude * constants.scale.astype(np.float64)[scan, None, None, None]
    flat = scaled.reshape(-1, config.num_channels, *scaled.shape[2:])
    object_ = patches_of(architecture, weights, flat).reshape(scaled.shape)
    illumination = constants.illumination.astype(np.float64)[scan]
    if config.group_size > 1:
        kernels = batch.kernels.astype(np.float64)
        if config.num_channels == 1:
            object_ = merging.turn_to_first(object_, kernels, illumination)
        object_ = merging.merge_patches(object_, kernels, illumination)
    parts = probe_parts(samples) | (probe or {})
    factor = constants.probe_unit() * np.exp(parts["log_gain"] / 2)[:, None, None, None]
    modes = factor * (parts["real"] + 1j * parts["imaginary"])
    return losses.loss(
        config.loss_weights,
        losses.Prediction(forward.predict_rate(object_, modes[scan]), object_),
        losses.Measured(
            counts=amplitude**2,
            good_pixels=constants.good_pixels.astype(np.float64)[scan],
            counts_per_good_pixel=constants.counts_per_good_pixel.astype(np.float64)[scan],
            truth=batch.truth,
            illumination=illumination,
        ),
    )


def probe_parts(samples: Samples) -> dict[str, np.ndarray]:
    probe = samples.constants.probe / samples.constants.probe_unit()
    return {"real": probe.real, "imaginary": probe.imag, "log_gain": np.zeros(len(probe))}


def patches_of(
    architecture: Architecture, weights: dict[str, np.ndarray], scaled: np.ndarray
) -> np.ndarray:
    features = scaled
    if architecture.is_backprojected:
        seen = backproject(scaled, weights[SPECTRUM], weights[OBJECT])
        features = np.stack([scaled, seen.real, seen.imag], axis=2)
        features = features.reshape(len(scaled), -1, *scaled.shape[2:])
    features = compute(architecture.trunk, weights, features)
    modulus, phase = (compute(architecture.head(name), weights, features) for name in HEADS)
    return modulus * np.exp(1j * phase)


def compute(layers: Layers, weights: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    """Compute layers by the book, (batch, channels, y, x)."""
    for layer in layers:
        match layer:
            case Convolution(name):
                kernel, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
                x = convolve(x, kernel.astype(np.float64), bias.astype(np.float64))
            case Activation(function, factor):
                x = factor * FUNCTIONS[function](x)
            case MaxPool():
                x = x.reshape(*x.shape[:2], x.shape[2] // 2, 2, x.shape[3] // 2, 2).max((3, 5))
            case AveragePool():
                x = x.reshape(*x.shape[:2], x.shape[2] // 2, 2, x.shape[3] // 2, 2).mean((3, 5))
            case Upsample():
                x = x.repeat(2, axis=2).repeat(2, axis=3)
            case Channels(start, stop):
                x = x[:, start:stop]
            case Pad(width):
                x = np.pad(x, ((0, 0), (0, 0), (width, width), (width, width)))
            case Border(_, width):
                x = x.copy()
                x[..., width:-width, width:-width] = 0
            case Sum(branches):
                x = np.sum([compute(branch, weights, x) for branch in branches], axis=0)
            case Concatenation(branches):
                x = np.concatenate([compute(branch, weights, x) for branch in branches], axis=1)
    return x


def convolve(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    height, width = x.shape[2:]
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    taps = np.ndindex(3, 3)
    return bias[:, None, None] + sum(
        np.einsum(
            "bihw,oi->bohw", padded[:, :, dy : dy + height, dx : dx + width], kernel[:, :, dy, dx]
        )
        for dy, dx in taps
    )


FUNCTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "relu": lambda x: np.maximum(x, 0),
    "leaky_relu": lambda x: np.maximum(x, x / 10),
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "swish": lambda x: x / (1 + np.exp(-x)),
    "softplus": lambda x: np.log1p(np.exp(x)),
    "tanh": np.tanh,
}
