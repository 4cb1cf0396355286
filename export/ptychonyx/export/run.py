"""Run folder -> one model file that describes and proves itself."""

from __future__ import annotations

from pathlib import Path

from ptychonyx.runtime.solving.network.features import FEATURE_VERSION
from ptychonyx.training.backends import require_backend
from ptychonyx.training.config.config import TrainingConfig
from ptychonyx.training.config.solver import SolverConfig, solver_architecture_of
from ptychonyx.training.run import Run, digest_file, open_run
from ptychonyx.training.simulated.pool import LAST_PASSES

from .backends import load_exporter
from .graph.assemble import assemble
from .manifest import fill_manifest, read_run
from .model_file import check_output
from .proof import make_proof
from .proven import LICENSE, ExportReport, write_proven
from .solver import SolverFacts, export_solver


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
    run = open_run(Path(run_folder))
    require_backend(run.config.backend)
    named = name or output.stem
    if isinstance(run.config, SolverConfig):
        return _export_solver(Run(run.path, run.config), output, named, license)
    return _export_patches(Run(run.path, run.config), output, named, license)


def _export_patches(
    folder: Run[TrainingConfig], output: Path, name: str, license: str
) -> ExportReport:
    backend = folder.config.backend
    exporter = load_exporter(backend)
    run = read_run(folder)
    proof = make_proof(
        backend, run.architecture, run.weights, run.probe, scale=run.scale, patch_px=run.patch_px
    )
    manifest = fill_manifest(run, proof, exporter, name=name, license=license)
    bare = exporter.export_graph(run.architecture, run.weights)
    return write_proven(assemble(bare, manifest, run.weights), manifest, output)


def _export_solver(run: Run[SolverConfig], output: Path, name: str, license: str) -> ExportReport:
    provenance = run.provenance()
    known = ("epochs", "best_epoch", "best_validation_loss")
    facts = SolverFacts(
        created=provenance.get("finished", provenance["started"]),
        feature_version=FEATURE_VERSION,
        trained_passes=max(LAST_PASSES),
        scores={},
        training_summary={
            "steps_per_epoch": run.config.steps_per_epoch,
            "batch_size": run.config.batch_size,
            **{key: provenance[key] for key in known if key in provenance},
        },
        provenance_digest=digest_file(run.provenance_file),
    )
    return export_solver(
        run.config.backend,
        solver_architecture_of(run.config),
        run.best_weights(),
        facts,
        output,
        name=name,
        license=license,
    )
