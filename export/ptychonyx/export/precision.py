"""Model files of fewer bits, derived from a float32 model file and measured against it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from ptychonyx.runtime.comparison.region import spread_indexes
from ptychonyx.runtime.groups import find_groups
from ptychonyx.runtime.model.manifest import INPUT_NAMES, PRECISIONS, Manifest
from ptychonyx.runtime.model.manifest.verification import Verification
from ptychonyx.runtime.model.session import Model
from ptychonyx.runtime.reconstruction.options import ReconstructionOptions
from ptychonyx.runtime.reconstruction.reconstruct import reconstruct
from ptychonyx.runtime.scaling import read_amplitudes_of
from ptychonyx.runtime.scan import Scan

from .gate import (
    HIGHEST_COMPLEX_NRMSE,
    LOWEST_PHASE_PEARSON,
    check_difference,
    difference,
    tolerance_of,
)
from .graph.assemble import with_graph, with_manifest
from .graph.precision import CONVERSIONS, Inputs
from .model_file import check_output, open_before_writing, write_model

WITHOUT_RESIDUAL = ReconstructionOptions(residual_patterns=0)
NUM_CALIBRATION_SAMPLES = 512
"""Groups of patterns, spread evenly over a scan; more do not widen its ranges."""
BATCH = 32
AMPLITUDE, SCALE = INPUT_NAMES
assert set(PRECISIONS) == {"float32", *CONVERSIONS}


@dataclass(frozen=True)
class DerivedReport:
    """A derived model file, and its difference from the float32 model on the calibration scan.

    Attributes
    ----------
    path : Path
    num_bytes, parent_num_bytes : int
        Sizes of the file and of the float32 one.
    phase_pearson, amplitude_pearson, complex_nrmse : float
        Both models' objects compared where at least half as many patches overlap as usual.
    """

    path: Path
    num_bytes: int
    parent_num_bytes: int
    phase_pearson: float
    amplitude_pearson: float
    complex_nrmse: float


def derive_model(
    source: Path,
    output: Path,
    *,
    precision: str,
    calibration: Scan,
    name: str | None = None,
    lowest_phase_pearson: float = LOWEST_PHASE_PEARSON,
    highest_complex_nrmse: float = HIGHEST_COMPLEX_NRMSE,
) -> DerivedReport:
    """Derive a model file of fewer bits from a float32 one; refuse one that loses quality.

    Parameters
    ----------
    source : Path
        A float32 model file.
    output : Path
        The new model file, ending in .onnx.
    precision : str
        "float16" (weights and features), "bfloat16" (weights) or "int8" (weights and features,
        ranges from the calibration scan).
    calibration : Scan
        Patterns as the model will see them: the scan it was trained on. Both models reconstruct its
        object, and the difference of the two decides.
    name : str, optional
        Name of the model in the manifest; by default that of the file. The license is that of the
        float32 model.
    lowest_phase_pearson, highest_complex_nrmse : float
        Bounds on the difference. Only an untrained network, whose object is noise, needs others.

    Raises
    ------
    ValueError
        If an argument does not fit, or `source` is no float32 model.
    PrecisionLossError
        If the object's phase correlates less than `lowest_phase_pearson` with that of the float32
        model, or its complex error exceeds `highest_complex_nrmse`; nothing is written.
    """
    if precision not in CONVERSIONS:
        raise ValueError(
            f"`precision` is {precision!r}; derived models are {', '.join(CONVERSIONS)}."
        )
    output = Path(output)
    check_output(output)
    parent = _open_parent(Path(source))
    before = reconstruct(calibration, parent, WITHOUT_RESIDUAL)
    scale = float(before.metadata["input_scale"])
    batches = _calibration_batches(calibration, scale, parent.manifest)
    whole = onnx.load(parent.path)
    model = with_graph(whole, CONVERSIONS[precision](whole, batches))
    derivation: dict[str, Any] = {
        "calibration": calibration.name,
        "calibration_samples": sum(len(batch[AMPLITUDE]) for batch in batches),
    }
    manifest = dataclasses.replace(
        parent.manifest,
        name=name or output.stem,
        precision=precision,
        parent_digest=parent.digest,
        derivation=derivation,
    )
    candidate = open_before_writing(with_manifest(model, manifest), output, Model)
    measured = difference(reconstruct(calibration, candidate, WITHOUT_RESIDUAL), before)
    check_difference(measured, precision, lowest_phase_pearson, highest_complex_nrmse)
    proven = dataclasses.replace(
        manifest, derivation=derivation | measured, verification=_proof(candidate)
    )
    write_model(with_manifest(model, proven), output)
    return DerivedReport(output, output.stat().st_size, parent.path.stat().st_size, **measured)


def _open_parent(source: Path) -> Model:
    if source.is_dir():
        raise ValueError(
            f"{source} is a folder, but models of fewer bits are derived from a float32 model file; "
            "export the run to a model file first, and give that."
        )
    parent = Model(source, provider="cpu")
    if parent.manifest.precision != "float32":
        raise ValueError(
            f"{source} is a model of precision {parent.manifest.precision}; derive from the float32 "
            "model."
        )
    return parent


def _calibration_batches(scan: Scan, scale: float, manifest: Manifest) -> list[Inputs]:
    """Return groups of patterns, spread evenly over a scan, as batches of inputs of the graph."""
    groups = find_groups(
        scan.corners_px,
        manifest.num_channels,
        max_distance_px=manifest.max_distance_px,
        rng=np.random.default_rng(0),
    )
    chosen = groups[spread_indexes(len(groups), NUM_CALIBRATION_SAMPLES)]
    amplitude = read_amplitudes_of(scan, chosen)
    scales = np.array([scale], dtype=np.float32)
    return [
        {AMPLITUDE: amplitude[start : start + BATCH], SCALE: scales}
        for start in range(0, len(chosen), BATCH)
    ]


def _proof(derived: Model) -> Verification:
    """Return the parent's proof with the difference that the derived model has from it."""
    proof, largest = derived.manifest.verification, derived.verify().largest_difference
    tolerance = tolerance_of(derived.manifest.precision, largest, proof.tolerance)
    return dataclasses.replace(proof, largest_difference=largest, tolerance=tolerance)
