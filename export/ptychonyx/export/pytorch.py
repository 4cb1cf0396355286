"""Trained PyTorch network -> bare ONNX graph; the twin of `tensorflow.py`."""

from __future__ import annotations

import warnings

import onnx
import torch

from ptychonyx.training.network.architecture import Architecture
from ptychonyx.training.network.weights import Weights
from ptychonyx.training.pytorch.network import build_network, set_weights

from .graph.assemble import BARE_INPUT, BARE_OUTPUTS, OPSET

EXPORTER = "torch.onnx"
EXPORTER_VERSION = torch.__version__
FRAMEWORK_VERSION = torch.__version__


def export_graph(architecture: Architecture, weights: Weights) -> onnx.ModelProto:
    """Export the bare network as an ONNX graph.

    Returns
    -------
    ModelProto
        `features` (batch, features, N, N) in, `modulus` and `phase` (batch, C, N, N) out.
    """
    network = build_network(architecture)
    set_weights(network, weights)
    window_px = architecture.window_px
    example = torch.zeros(2, architecture.num_features, window_px, window_px)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter deprecates its own internals
        program = torch.onnx.export(
            network.eval(),
            (example,),
            dynamo=True,
            dynamic_shapes={BARE_INPUT: {0: torch.export.Dim("batch", min=1)}},
            opset_version=OPSET,
            input_names=[BARE_INPUT],
            output_names=list(BARE_OUTPUTS),
            external_data=False,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program; its log says why.")
    return program.model_proto
