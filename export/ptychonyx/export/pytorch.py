"""Trained PyTorch network -> bare ONNX graph; the twin of `tensorflow.py`."""

from __future__ import annotations

import logging
import os
import warnings
from typing import Any

import onnx
import torch

from ptychonyx.runtime.model.manifest import CHANGE, FEATURES
from ptychonyx.training.network.architecture import Architecture
from ptychonyx.training.network.solver import SolverArchitecture
from ptychonyx.training.network.weights import Weights
from ptychonyx.training.pytorch import network as patches
from ptychonyx.training.pytorch import solver

from .graph.assemble import BARE_INPUT, BARE_OUTPUTS, OPSET

EXPORTER = "torch.onnx"
EXPORTER_VERSION = torch.__version__
FRAMEWORK_VERSION = torch.__version__

REGISTRATION = "torch.onnx._internal.exporter._registration"
"""Logger that warns of each operation of torchvision, which no network here has."""
LEVELS = "TORCH_LOGS"
"""Environment variable by which a user chooses what torch logs."""


def export_graph(architecture: Architecture, weights: Weights) -> onnx.ModelProto:
    """Export the bare network of patches as an ONNX graph.

    Returns
    -------
    ModelProto
        `features` (batch, features, N, N) in, `modulus` and `phase` (batch, C, N, N) out.
    """
    network = patches.build_network(architecture)
    patches.set_weights(network, weights)
    window_px = architecture.window_px
    example = torch.zeros(2, architecture.num_features, window_px, window_px)
    sides = {0: torch.export.Dim("batch", min=1)}
    return _to_onnx(network, example, BARE_INPUT, BARE_OUTPUTS, sides)


def export_solver_graph(architecture: SolverArchitecture, weights: Weights) -> onnx.ModelProto:
    """Export the bare network of the solver as an ONNX graph.

    Returns
    -------
    ModelProto
        `features` (1, features, H, W) in, `change` (1, 2, H, W) out.
    """
    network = solver.build_solver(architecture)
    solver.set_weights(network, weights)
    stride = architecture.stride
    example = torch.zeros(1, architecture.num_features, 2 * stride, 3 * stride)
    sides = {axis: stride * torch.export.Dim(name) for axis, name in ((2, "rows"), (3, "columns"))}
    return _to_onnx(network, example, FEATURES, (CHANGE,), sides)


def _to_onnx(
    network: torch.nn.Module,
    example: torch.Tensor,
    input_name: str,
    output_names: tuple[str, ...],
    dynamic_sides: dict[int, Any],
) -> onnx.ModelProto:
    if LEVELS not in os.environ:
        logging.getLogger(REGISTRATION).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter deprecates its own internals
        program = torch.onnx.export(
            network.eval(),
            (example,),
            dynamo=True,
            dynamic_shapes=(dynamic_sides,),
            opset_version=OPSET,
            input_names=[input_name],
            output_names=list(output_names),
            external_data=False,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program; its log says why.")
    return program.model_proto
