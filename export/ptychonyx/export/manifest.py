"""The manifest of an exported run: what its model file says about network, training and proof."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ptychonyx.runtime.groups import default_max_distance_px
from ptychonyx.runtime.model.manifest import SCHEMA_VERSION, Manifest
from ptychonyx.runtime.model.manifest.own_residual import OwnResidual
from ptychonyx.runtime.model.manifest.verification import Verification
from ptychonyx.training.config.config import PTYCHOPINN_ONLY, TrainingConfig, architecture_of
from ptychonyx.training.network.architecture import Architecture
from ptychonyx.training.network.weights import Weights, digest_weights
from ptychonyx.training.own_residual import OWN_RESIDUAL
from ptychonyx.training.run import Run, digest_file

from .graph.assemble import OPSET

OBJECT_CONVENTION = (
    "complex transmission of the object; |O| = 1 is vacuum for a probe in sqrt(counts); "
    "the global phase is free"
)
SCALING_RULE = "amplitude * sqrt((N/2)^2 / mean over patterns of the total counts)"


@dataclass(frozen=True, eq=False)
class RunContents:
    """The contents of a run folder that an export needs.

    Attributes
    ----------
    config : TrainingConfig
    architecture : Architecture
        The network that was trained.
    weights : mapping of str to float32 array
        Weights of the best epoch.
    probe : complex64 array, shape (modes, N, N)
        Probe of the first scan, in sqrt(counts).
    provenance : dict
        Contents of provenance.json.
    provenance_digest : str
        sha256 of that file.
    """

    config: TrainingConfig
    architecture: Architecture
    weights: Weights
    probe: NDArray[np.complex64]
    provenance: dict[str, Any]
    provenance_digest: str

    @property
    def first_scan(self) -> dict[str, Any]:
        """Facts about the first scan, from provenance.json."""
        scan: dict[str, Any] = self.provenance["inputs"][0]
        return scan

    @property
    def scale(self) -> float:
        """Input scale of the first scan."""
        return float(self.first_scan["input_scale"])

    @property
    def patch_px(self) -> int:
        """M, the side of the central part of a patch that the exported model returns."""
        return self.config.patch_px or self.architecture.window_px // 2


def read_run(run: Run[TrainingConfig]) -> RunContents:
    """Read what an export needs from a run folder; each file is read once.

    Raises
    ------
    ValueError
        If no epoch was finished, or `patch_px` of the configuration exceeds the window.
    """
    provenance = run.provenance()
    contents = RunContents(
        config=run.config,
        architecture=architecture_of(run.config, int(provenance["inputs"][0]["window_px"])),
        weights=run.best_weights(),
        probe=run.probe(),
        provenance=provenance,
        provenance_digest=digest_file(run.provenance_file),
    )
    window_px = contents.architecture.window_px
    if contents.patch_px > window_px:
        raise ValueError(
            f"`patch_px` is {contents.patch_px}, but the patterns are only "
            f"{window_px}×{window_px}; export a run whose `patch_px` is at most that."
        )
    return contents


def fill_manifest(
    run: RunContents, proof: Verification, exporter: ModuleType, *, name: str, license: str
) -> Manifest:
    """Fill the manifest of an exported run.

    Parameters
    ----------
    run : RunContents
    proof : Verification
        Test patterns, and the patches that the native network gives for them.
    exporter : module
        `ptychonyx.export.tensorflow` or `ptychonyx.export.pytorch`; it knows its versions.
    name, license : str
        Name and license of the model.
    """
    architecture, provenance = run.architecture, run.provenance
    window_px = architecture.window_px
    return Manifest(
        schema_version=SCHEMA_VERSION,
        name=name,
        created=provenance.get("finished", provenance["started"]),
        license=license,
        backend=run.config.backend,
        framework_version=exporter.FRAMEWORK_VERSION,
        exporter=exporter.EXPORTER,
        exporter_version=exporter.EXPORTER_VERSION,
        opset=OPSET,
        architecture=architecture.name,
        architecture_options=_options(architecture),
        window_px=window_px,
        num_channels=architecture.num_channels,
        max_distance_px=run.config.max_distance_px or default_max_distance_px(window_px),
        patch_px=run.patch_px,
        input_quantity="amplitude",
        scaling_rule=SCALING_RULE,
        trained_scale=run.scale,
        object_convention=OBJECT_CONVENTION,
        probe=run.probe,
        probe_energy_eV=run.first_scan["photon_energy_eV"],
        pixel_size_m=run.first_scan["pixel_size_m"],
        training_summary=_training_summary(run),
        provenance_digest=run.provenance_digest,
        parent_digest=None,
        precision="float32",
        verification=proof,
        num_operations=architecture.num_operations,
        own_residual=OwnResidual.from_values(provenance.get(OWN_RESIDUAL)),
    )


def _training_summary(run: RunContents) -> dict[str, Any]:
    scans = run.provenance["inputs"]
    summary = {
        "weights_sha256": digest_weights(run.weights),
        "loss": run.config.loss_weights,
        "num_scans": len(scans),
        "num_patterns": sum(scan["num_patterns"] for scan in scans),
        "probe_source": run.first_scan["probe_source"],
        "probe_modes": run.first_scan["probe_modes"],
    }
    for key in ("epochs", "best_epoch", "best_validation_loss"):
        if key in run.provenance:
            summary[key] = run.provenance[key]
    return summary


def _options(architecture: Architecture) -> dict[str, float | str | bool]:
    """Return the options of a network, but those with a field of their own or without effect."""
    values = dataclasses.asdict(architecture)
    for name in ("name", "window_px", "num_channels"):
        del values[name]
    if architecture.name != "ptychopinn":
        for name in PTYCHOPINN_ONLY:
            del values[name]
    return values
