"""Write a model file, but only one that computes what its proof says."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import onnx

from ptychonyx.runtime.model.kinds import MODEL_OF
from ptychonyx.runtime.model.manifest import AnyManifest

from .errors import ExportMismatchError
from .graph.assemble import with_manifest
from .model_file import open_before_writing, write_model

LICENSE = "not stated"
"""License of a model that was exported without one."""


@dataclass(frozen=True)
class ExportReport:
    """An exported model file, and its difference from the native network.

    Attributes
    ----------
    path : Path
    num_bytes : int
    largest_difference, tolerance : float
        Largest difference of a real or imaginary part of the test patches, and the largest allowed.
    """

    path: Path
    num_bytes: int
    largest_difference: float
    tolerance: float


def write_proven(model: onnx.ModelProto, manifest: AnyManifest, output: Path) -> ExportReport:
    """Write a model file if the model computes what the proof in its manifest says.

    Parameters
    ----------
    model : ModelProto
        The whole model.
    manifest : Manifest or SolverManifest
        The manifest of `model`; the file's manifest also holds the difference that was found.
    output : Path
        The model file.

    Raises
    ------
    ExportMismatchError
        If the model computes something else; nothing is written.
    """
    result = open_before_writing(model, output, MODEL_OF[type(manifest)]).verify()
    if not result.passed:
        (name,) = manifest.outputs
        raise ExportMismatchError(name, result.largest_difference, result.tolerance)
    proven = manifest.with_difference(result.largest_difference)
    write_model(with_manifest(model, proven), output)
    return ExportReport(output, output.stat().st_size, result.largest_difference, result.tolerance)
