"""Weights of a solver -> one model file that describes and proves itself."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptychonyx.runtime.model.manifest import SCHEMA_VERSION, SolverManifest
from ptychonyx.runtime.model.manifest.solver_proof import SolverVerification, draw_test_features
from ptychonyx.runtime.model.manifest.verification import TOLERANCES
from ptychonyx.training.backends import load_backend, require_backend
from ptychonyx.training.network.solver import SolverArchitecture
from ptychonyx.training.network.weights import Weights, digest_weights

from .backends import load_exporter
from .graph.assemble import OPSET, assemble_solver
from .model_file import check_output
from .proven import LICENSE, ExportReport, write_proven

TEST_SIZES_PX = ((32, 48), (64, 48))
"""Height and width of the test canvases, for a stride of up to 16; larger strides multiply them."""


@dataclass(frozen=True)
class SolverFacts:
    """What a solver's file says about its training, besides the weights.

    Attributes
    ----------
    created : str
        Time at which the training finished, in ISO 8601.
    feature_version : int
        Version of the definition of the features.
    trained_passes : int
        Largest number of passes that the network was trained for.
    scores : dict
        How well it solves a fixed set of simulated scans; JSON values.
    training_summary : dict
        What the training was, in numbers and words; JSON values.
    provenance_digest : str
        sha256 of the training run's provenance.json.
    """

    created: str
    feature_version: int
    trained_passes: int
    scores: dict[str, Any]
    training_summary: dict[str, Any]
    provenance_digest: str


def export_solver(
    backend: str,
    architecture: SolverArchitecture,
    weights: Weights,
    facts: SolverFacts,
    output: Path,
    *,
    name: str | None = None,
    license: str = LICENSE,
) -> ExportReport:
    """Export the weights of a solver to one ONNX file.

    The model is compared with the native network on canvases of two sizes before it is written: a
    model that differs never gets a file.

    Parameters
    ----------
    backend : "tensorflow" or "pytorch"
        Framework that trained the weights, and that they are proven against.
    architecture : SolverArchitecture
    weights : mapping of str to float32 array
    facts : SolverFacts
    output : Path
        The model file, ending in .onnx.
    name, license : str
        Name and license of the model in the manifest; the name is the file's own by default.

    Raises
    ------
    ValueError
        If there is no such backend, the weights are not those of the architecture, or `output` does
        not end in .onnx or its folder does not exist.
    RuntimeError
        If the backend is not installed.
    ExportMismatchError
        If the exported model differs from the native network.
    """
    output = Path(output)
    check_output(output)
    require_backend(backend)
    exporter = load_exporter(backend)
    manifest = SolverManifest(
        schema_version=SCHEMA_VERSION,
        name=name or output.stem,
        license=license,
        backend=backend,
        **_of_exporter(exporter),
        architecture="solver",
        architecture_options={"widths": list(architecture.widths)},
        num_features=architecture.num_features,
        stride_px=architecture.stride,
        parent_digest=None,
        precision="float32",
        verification=make_solver_proof(backend, architecture, weights),
        **_of_training(facts, weights),
    )
    bare = exporter.export_solver_graph(architecture, weights)
    return write_proven(assemble_solver(bare, manifest), manifest, output)


def make_solver_proof(
    backend: str, architecture: SolverArchitecture, weights: Weights
) -> SolverVerification:
    """Let the native network compute the changes for test features of two sizes.

    Returns
    -------
    SolverVerification
        Its largest difference is 0, since no exported model has been compared yet.
    """
    factor = -(-architecture.stride // 16)
    sizes = [(factor * height, factor * width) for height, width in TEST_SIZES_PX]
    features = [draw_test_features(architecture.num_features, size) for size in sizes]
    return SolverVerification(
        changes=tuple(native_change(backend, architecture, weights, each) for each in features),
        largest_difference=0.0,
        tolerance=TOLERANCES["cpu"],
    )


def native_change(
    backend: str,
    architecture: SolverArchitecture,
    weights: Weights,
    features: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Run the native network on the features (num_features, H, W) of one canvas.

    Returns
    -------
    float32 array, shape (2, H, W)
    """
    module = load_backend(backend, "solver")
    network = module.build_solver(architecture)
    module.set_weights(network, weights)
    change: NDArray[np.float32] = module.predict_change(network, features[None])[0]
    return change


def _of_exporter(exporter: ModuleType) -> dict[str, Any]:
    return {
        "framework_version": exporter.FRAMEWORK_VERSION,
        "exporter": exporter.EXPORTER,
        "exporter_version": exporter.EXPORTER_VERSION,
        "opset": OPSET,
    }


def _of_training(facts: SolverFacts, weights: Weights) -> dict[str, Any]:
    values = {field.name: getattr(facts, field.name) for field in dataclasses.fields(facts)}
    summary = {"weights_sha256": digest_weights(weights), **facts.training_summary}
    return values | {"training_summary": summary}
