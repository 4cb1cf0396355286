"""Run folder -> one model file that describes and proves itself."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import onnx

from ptychonyx.runtime.model.kinds import MODEL_OF
from ptychonyx.runtime.model.manifest import AnyManifest
from ptychonyx.training.backends import require_backend
from ptychonyx.training.run import open_run

from .errors import ExportMismatchError
from .graph.assemble import assemble, with_manifest
from .manifest import fill_manifest, read_run
from .model_file import check_output, open_before_writing, write_model
from .proof import make_proof

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


def export_run(
    run_folder: Path, output: Path, *, name: str | None = None, license: str = LICENSE
) -> ExportReport:
    """Export the best weights of a run to one ONNX file.

    The model is compared with the native network on test patterns, which it then carries, before
    it is written: a model that differs never gets a file.

    Parameters
    ----------
    run_folder : Path
        Folder that a training run left.
    output : Path
        The model file, ending in .onnx.
    name, license : str
        Name and license of the model in the manifest; the name is the file's own by default.

    Raises
    ------
    ValueError
        If `run_folder` is not a run, or no epoch of it was finished; if `output` does not end in
        .onnx, or its folder does not exist.
    RuntimeError
        If the backend of the run is not installed.
    ExportMismatchError
        If the exported model differs from the native network.
    """
    output = Path(output)
    check_output(output)
    folder = open_run(Path(run_folder))
    backend = folder.config.backend
    require_backend(backend)
    exporter = import_module(f"ptychonyx.export.{backend}")
    run = read_run(folder)
    proof = make_proof(
        backend, run.architecture, run.weights, run.probe, scale=run.scale, patch_px=run.patch_px
    )
    manifest = fill_manifest(run, proof, exporter, name=name or output.stem, license=license)
    bare = exporter.export_graph(run.architecture, run.weights)
    return write_proven(assemble(bare, manifest, run.weights), manifest, output)


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
