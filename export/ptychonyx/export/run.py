"""Run folder -> one model file that describes and proves itself."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np
import onnx

from ptychonyx.runtime.groups import default_max_distance_px
from ptychonyx.runtime.model.manifest import SCHEMA_VERSION, TOLERANCES, Manifest, Verification
from ptychonyx.runtime.model.session import Model
from ptychonyx.training.backends import require_backend
from ptychonyx.training.config.config import PTYCHOPINN_ONLY, architecture_of
from ptychonyx.training.network.architecture import Architecture
from ptychonyx.training.network.weights import Weights, digest_weights
from ptychonyx.training.run import Run, digest_file, open_run

from .graph.assemble import OPSET, assemble
from .proof import check_difference, draw_test_amplitude, native_patches

OBJECT_CONVENTION = (
    "complex transmission of the object; |O| = 1 is vacuum for a probe in sqrt(counts); "
    "the global phase is free"
)
SCALING_RULE = "amplitude * sqrt((N/2)^2 / mean over patterns of the total counts)"
LICENCE = "not stated"


@dataclass(frozen=True)
class ExportReport:
    """What was written, and how far it is from the native network."""

    path: Path
    num_bytes: int
    largest_difference: float
    tolerance: float


def export_run(
    run_folder: Path, output: Path, *, name: str | None = None, license: str = LICENCE
) -> ExportReport:
    """Export the best weights of a run to one ONNX file.

    The file is compared with the native network on test patterns, which it then carries, before
    it gets its name: a model that differs is never written.

    Parameters
    ----------
    run_folder : Path
        What `ptychonyx train` left.
    output : Path
        The model file, ending in .onnx.
    name, license : str
        For the manifest; the name is the file's own by default.

    Raises
    ------
    ValueError
        If `run_folder` is not a run, or `output` does not end in .onnx.
    RuntimeError
        If the backend of the run is not installed, or no epoch was finished.
    ExportMismatchError
        If the exported model differs from the native network.
    """
    output = Path(output)
    check_output(output)
    run = open_run(run_folder)
    require_backend(run.config.backend)
    architecture = architecture_of(run.config, int(run.provenance()["inputs"][0]["window_px"]))
    weights = run.best_weights()
    backend = import_module(f"ptychonyx.export.{run.config.backend}")
    manifest = _manifest(run, architecture, name=name or output.stem, license=license)
    bare = backend.export_graph(architecture, weights)
    return _write_verified(bare, manifest, weights, output)


def check_output(output: Path) -> None:
    """Refuse a name or place that cannot become a model file.

    Raises
    ------
    ValueError
        Says what is needed.
    """
    if output.suffix != ".onnx":
        raise ValueError(f"The model file is {output}; its name must end in .onnx.")
    if not output.parent.is_dir():
        raise ValueError(f"There is no folder {output.parent} for the model file; make it first.")


def _manifest(run: Run, architecture: Architecture, *, name: str, license: str) -> Manifest:
    backend = import_module(f"ptychonyx.export.{run.config.backend}")
    provenance, weights, probe = run.provenance(), run.best_weights(), run.probe()
    first = provenance["inputs"][0]
    patch_px = run.config.patch_px or architecture.window_px // 2
    if patch_px > architecture.window_px:
        raise ValueError(
            f"`patch_px` is {patch_px}, but the patterns are only "
            f"{architecture.window_px}×{architecture.window_px}."
        )
    scale = float(first["input_scale"])
    amplitude = draw_test_amplitude(probe, architecture.num_channels, np.random.default_rng(0))
    patches = native_patches(
        run.config.backend, architecture, weights, amplitude, scale=scale, patch_px=patch_px
    )
    summary = {
        "weights_sha256": digest_weights(weights),
        "loss": run.config.loss_weights,
        "num_scans": len(provenance["inputs"]),
        "num_patterns": sum(entry["num_patterns"] for entry in provenance["inputs"]),
        "probe_source": first["probe_source"],
        "probe_modes": first["probe_modes"],
    }
    for key in ("epochs", "best_epoch", "best_validation_loss"):
        if key in provenance:
            summary[key] = provenance[key]
    return Manifest(
        schema_version=SCHEMA_VERSION,
        name=name,
        created=provenance.get("finished", provenance["started"]),
        license=license,
        backend=run.config.backend,
        framework_version=backend.FRAMEWORK_VERSION,
        exporter=backend.EXPORTER,
        exporter_version=backend.EXPORTER_VERSION,
        opset=OPSET,
        architecture=architecture.name,
        architecture_options=_options(architecture),
        window_px=architecture.window_px,
        num_channels=architecture.num_channels,
        max_distance_px=run.config.max_distance_px
        or default_max_distance_px(architecture.window_px),
        patch_px=patch_px,
        input_quantity="amplitude",
        scaling_rule=SCALING_RULE,
        trained_scale=scale,
        object_convention=OBJECT_CONVENTION,
        probe=probe,
        probe_energy_eV=first["photon_energy_eV"],
        pixel_size_m=first["pixel_size_m"],
        training_summary=summary,
        provenance_digest=digest_file(run.provenance_file),
        parent_digest=None,
        precision="float32",
        verification=Verification(
            amplitude=amplitude,
            scale=scale,
            object_patches=np.ascontiguousarray(patches)
            .view(np.float32)
            .reshape(*patches.shape, 2),
            largest_difference=0.0,
            tolerance=TOLERANCES["cpu"],
        ),
        num_operations=architecture.num_operations,
    )


def _options(architecture: Architecture) -> dict[str, float | str | bool]:
    """Return the sizes of a network, without what the manifest says elsewhere or does not apply."""
    values = dataclasses.asdict(architecture)
    for name in ("name", "window_px", "num_channels"):
        del values[name]
    if architecture.name != "ptychopinn":
        for name in PTYCHOPINN_ONLY:
            del values[name]
    return values


def _write_verified(
    bare: onnx.ModelProto, manifest: Manifest, weights: Weights, output: Path
) -> ExportReport:
    verification = manifest.verification
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.") as folder:
        temporary = Path(folder) / output.name
        write_model(assemble(bare, manifest, weights), temporary)
        exported = Model(temporary, provider="cpu").predict(
            verification.amplitude, verification.scale
        )
        native = verification.object_patches.view(np.complex64)[..., 0]
        largest = check_difference(exported, native, tolerance=verification.tolerance)
        verification = dataclasses.replace(verification, largest_difference=largest)
        proven = dataclasses.replace(manifest, verification=verification)
        write_model(assemble(bare, proven, weights), temporary)
        os.replace(temporary, output)
    return ExportReport(output, output.stat().st_size, largest, verification.tolerance)


def write_model(model: onnx.ModelProto, path: Path) -> None:
    """Write a model so that the same model gives the same bytes, and they are on the disk."""
    with path.open("wb") as file:
        file.write(model.SerializeToString(deterministic=True))
        file.flush()
        os.fsync(file.fileno())
